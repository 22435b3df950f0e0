//! A cluster on the lab's machines, made as a user makes one: bootkube renders, kubelet joins with
//! the rendered token, and `start` does the rest. Every command runs on the first machine.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::families::Families;
use crate::lab::Lab;
use crate::machine::{EtcdTls, Machine};
use crate::quirks;

/// Where assets are on a machine.
pub const ASSETS: &str = "/opt/bootkube/assets";
/// For `bootkube start`, as the README has it.
pub const MAY_RESTART_KUBELET: [&str; 2] = ["--restart-kubelet", "systemctl restart kubelet"];
/// `bootkube start`, which may restart kubelet, without the program's name.
pub const START: [&str; 5] = ["start", "--asset-dir", ASSETS, MAY_RESTART_KUBELET[0], MAY_RESTART_KUBELET[1]];
/// The image of the binary under test, on every machine.
pub const IMAGE: &str = "quay.io/bootkube/bootkube:lab";
/// The configuration file on the first machine.
pub const CONFIG: &str = "/opt/bootkube/cluster.yaml";
/// The apiservers' audit log on a machine.
pub const AUDIT_LOG: &str = "/var/log/kubernetes/audit.log";
const AUDIT_POLICY: &str = "/etc/kubernetes/audit-policy.yaml";

/// A cluster whose first controller is n1.
#[derive(Clone, Debug)]
pub struct Cluster {
    lab: Lab,
}

impl Cluster {
    /// Puts the binary onto every machine, and a configuration onto the first: the lab's, changed
    /// by `changes` (a JSON merge patch, RFC 7386: maps are merged, null removes, all else is
    /// replaced).
    pub fn prepare(lab: &Lab, binary: &Path, changes: &Value) -> Result<Self> {
        let cluster = Self::of(lab);
        for machine in lab.machines() {
            machine.install_bootkube(binary, IMAGE)?;
            machine.write(AUDIT_POLICY, audit_policy().to_string().as_bytes(), 0o600)?;
        }
        let mut config = cluster.config()?;
        json_patch::merge(&mut config, changes);
        cluster.controller()?.write(CONFIG, format!("{config:#}\n").as_bytes(), 0o600)?;
        Ok(cluster)
    }

    /// A cluster of machines that were prepared in another way.
    pub fn of(lab: &Lab) -> Self {
        Self { lab: lab.clone() }
    }

    /// The first controller.
    pub fn controller(&self) -> Result<Machine> {
        self.lab.machine("n1")
    }

    /// The configuration of a user whose machine has no CNI plugin of bootkube's, and what this
    /// host needs beyond that.
    fn config(&self) -> Result<Value> {
        let args: serde_json::Map<_, _> = quirks::kube_proxy_args()
            .iter()
            .map(|(flag, value)| ((*flag).to_owned(), json!(value)))
            .collect();
        Ok(json!({
            "apiVersion": "bootkube.dev/v1alpha1",
            "kind": "ClusterConfig",
            "clusterName": "lab",
            "apiServers": [format!("https://{}:6443", self.controller()?.ip())],
            "etcd": {"mode": "staticPod"},
            "networking": "none",
            "images": {"bootkube": IMAGE},
            "components": {
                "kube-apiserver": {
                    "extraArgs": {
                        "audit-log-path": AUDIT_LOG,
                        "audit-policy-file": AUDIT_POLICY,
                    },
                    "extraVolumes": [
                        {
                            "name": "audit-policy",
                            "hostPath": AUDIT_POLICY,
                            "mountPath": AUDIT_POLICY,
                            "pathType": "File",
                        },
                        {
                            "name": "audit-log",
                            "hostPath": "/var/log/kubernetes",
                            "mountPath": "/var/log/kubernetes",
                            "pathType": "DirectoryOrCreate",
                            "readOnly": false,
                        },
                    ],
                },
                "kube-proxy": {"extraArgs": args},
            },
        }))
    }

    /// Renders the assets on the first controller.
    pub fn render(&self) -> Result<String> {
        self.controller()?.run(&["bootkube", "render", "--config", CONFIG, "--asset-dir", ASSETS])
    }

    /// Starts etcd as a service of the first controller, with the rendered certificates.
    pub fn start_etcd(&self) -> Result<()> {
        let controller = self.controller()?;
        let file = |name: &str| format!("{ASSETS}/tls/etcd/{name}");
        let tls = EtcdTls {
            ca: file("server-ca.crt"),
            server_certificate: file("server.crt"),
            server_key: file("server.key"),
            peer_certificate: file("peer.crt"),
            peer_key: file("peer.key"),
        };
        controller.start_etcd(&tls, std::slice::from_ref(&controller))
    }

    /// Starts kubelet on `machine`, to join with the rendered bootstrap token.
    pub fn join(&self, machine: &Machine) -> Result<()> {
        let kubeconfig = self.controller()?.read(&format!("{ASSETS}/auth/kubeconfig-kubelet"))?;
        machine.write("/etc/kubernetes/kubeconfig", &kubeconfig, 0o600)?;
        machine.start_kubelet(self.families()?)
    }

    /// The address families of the configuration.
    fn families(&self) -> Result<Families> {
        let controller = self.controller()?;
        let config: Value = serde_json::from_slice(&controller.read(CONFIG)?)
            .map_err(Error::parse(controller.path(CONFIG)))?;
        Ok(Families::of(&config))
    }

    /// Runs `words`, a command that starts the cluster, on the first controller to its end,
    /// whatever its status. Its output is kept for a dump.
    pub fn start_by(&self, words: &[&str]) -> Result<Output> {
        let controller = self.controller()?;
        let output = controller.exec(words)?;
        let log = [output.stdout.as_slice(), &output.stderr].concat();
        controller.write("/var/log/lab/bootkube.log", &log, 0o600)?;
        Ok(output)
    }

    /// Runs kubectl on the first controller, as administrator; its standard output.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.controller()?.run(&[&["kubectl"], arguments].concat())
    }
}

/// Every write, by user and client program.
fn audit_policy() -> Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
            {"level": "None"},
        ],
    })
}
