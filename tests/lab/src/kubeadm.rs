//! A cluster that kubeadm makes on a machine, for comparison: the same kubelet, images and network,
//! and kubeadm's defaults for the rest. What `bootkube render` writes before the clock runs,
//! kubeadm's phases write before it too.

use serde_json::{Value, json};

use crate::error::Result;
use crate::machine::Machine;
use crate::quirks;

const CONFIG: &str = "/root/kubeadm.yaml";
/// Certificates, kubeconfigs, and kubelet's configuration.
const PREPARATIONS: [&[&str]; 3] = [&["certs", "all"], &["kubeconfig", "all"], &["kubelet-start"]];

/// kubeadm on a machine without another cluster.
#[derive(Clone, Debug)]
pub struct Kubeadm {
    machine: Machine,
}

impl Kubeadm {
    /// Path of the administrator's kubeconfig on the machine.
    pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
    /// What is left to do once kubelet runs.
    pub const INIT: [&str; 5] =
        ["kubeadm", "init", "--config", CONFIG, "--skip-phases=preflight,certs,kubeconfig,kubelet-start"];

    /// Writes the files that kubelet and the control plane read.
    pub fn prepare(machine: &Machine) -> Result<Self> {
        let version = machine.run(&["kubeadm", "version", "-o", "short"])?;
        let documents = config(machine, version.trim()).map(|document| document.to_string());
        machine.write(CONFIG, documents.join("\n---\n").as_bytes(), 0o600)?;
        for phase in PREPARATIONS {
            machine.run(&[&["kubeadm", "init", "phase"], phase, &["--config", CONFIG]].concat())?;
        }
        Ok(Self { machine: machine.clone() })
    }

    /// Starts kubelet with these files.
    pub fn start_kubelet(&self) -> Result<()> {
        let flags = [
            "--config=/var/lib/kubelet/config.yaml".to_owned(),
            "--kubeconfig=/etc/kubernetes/kubelet.conf".into(),
            format!("--hostname-override={}", self.machine.name()),
            format!("--node-ip={}", self.machine.ip()),
            "--v=2".into(),
        ];
        self.machine.start_kubelet_with(&flags)
    }
}

fn config(machine: &Machine, version: &str) -> [Value; 3] {
    let mut kubelet = quirks::kubelet_config();
    if let Value::Object(kubelet) = &mut kubelet {
        kubelet.insert("apiVersion".into(), json!("kubelet.config.k8s.io/v1beta1"));
        kubelet.insert("kind".into(), json!("KubeletConfiguration"));
        kubelet.insert("serializeImagePulls".into(), json!(false));
    }
    let api = "kubeadm.k8s.io/v1beta4";
    [
        json!({
            "apiVersion": api,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": machine.ip()},
            "nodeRegistration": {
                "name": machine.name(),
                "criSocket": "unix:///run/containerd/containerd.sock",
                "kubeletExtraArgs": [{"name": "node-ip", "value": machine.ip()}],
            },
        }),
        json!({
            "apiVersion": api,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": version,
            "networking": {"podSubnet": "10.2.0.0/16", "serviceSubnet": "10.3.0.0/24"},
        }),
        kubelet,
    ]
}
