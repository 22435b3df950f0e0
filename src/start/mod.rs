//! The pivot: from a kubelet and a folder of assets to a control plane that runs itself.
