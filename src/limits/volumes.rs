//! Volumes of rendered pods: their names, and where the first container has them. `render`'s tests
//! hold this table against the manifests.

/// A volume of a component's pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// The component.
    pub component: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Where the first container has it; empty if another container alone has it.
    pub mount_path: &'static str,
    /// Whether it is a Secret or a ConfigMap, inside of which nothing can be mounted.
    pub is_of_the_api: bool,
}

const fn volume(component: &'static str, name: &'static str, mount_path: &'static str) -> Volume {
    Volume { component, name, mount_path, is_of_the_api: false }
}

const fn of_the_api(component: &'static str, name: &'static str, mount_path: &'static str) -> Volume {
    Volume { is_of_the_api: true, ..volume(component, name, mount_path) }
}

const AGENT: &str = "pod-checkpointer";

/// Every volume.
pub const VOLUMES: &[Volume] = &[
    of_the_api("coredns", "config", "/etc/coredns"),
    volume("etcd", "certs", "/etc/kubernetes/etcd"),
    volume("etcd", "data", "/var/lib/etcd"),
    volume("flannel", "cni-config", ""),
    volume("flannel", "cni-plugins", ""),
    of_the_api("flannel", "config", "/etc/kube-flannel"),
    volume("flannel", "run", "/run/flannel"),
    volume("flannel", "xtables-lock", "/run/xtables.lock"),
    of_the_api("kube-apiserver", "secrets", "/etc/kubernetes/secrets"),
    volume("kube-apiserver", "trusted-certs", "/etc/ssl/certs"),
    of_the_api("kube-controller-manager", "secrets", "/etc/kubernetes/secrets"),
    volume("kube-controller-manager", "trusted-certs", "/etc/ssl/certs"),
    volume("kube-proxy", "lib-modules", "/lib/modules"),
    of_the_api("kube-proxy", "secrets", "/etc/kubernetes/secrets"),
    volume("kube-proxy", "xtables-lock", "/run/xtables.lock"),
    of_the_api("kube-scheduler", "secrets", "/etc/kubernetes/secrets"),
    volume(AGENT, "checkpoint-secrets", "/etc/kubernetes/checkpoint-secrets"),
    of_the_api(AGENT, "config", "/etc/kubernetes/config"),
    volume(AGENT, "inactive-manifests", "/etc/kubernetes/inactive-manifests"),
    volume(AGENT, "kubelet-identity", "/var/lib/kubelet/pki"),
    volume(AGENT, "manifests", "/etc/kubernetes/manifests"),
    volume(AGENT, "runtime", "/run/containerd"),
    of_the_api(AGENT, "secrets", "/etc/kubernetes/secrets"),
];
