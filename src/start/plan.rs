//! Everything `start` will do, worked out from the asset directory before the machine is touched.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::conflict::conflict;
use super::required::{self, Required, RequiredPod};
use crate::assets::bind_address::{self, NODE_ADDRESS};
use crate::assets::command;
use crate::assets::load::{Layout, StaticPod};
use crate::assets::node_marks::NodeMarks;
use crate::assets::object::Object;
use crate::assets::order::{self, Stage};
use crate::cluster::apply::Item;
use crate::cluster::kubeconfig::{self, Access};
use crate::handover::SERVING;
use crate::journal::{Role, Thing};

/// Why no pivot can be planned from the assets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// None of the bootstrap pods is an apiserver.
    #[error("bootstrap-manifests/: no pod runs an apiserver; render the assets again")]
    NoApiserver,
    /// More than one of the bootstrap pods is an apiserver.
    #[error("bootstrap-manifests/: more than one pod runs an apiserver; leave one")]
    ManyApiservers,
    /// The administrator's kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
}

const USUAL_PORTS: [(&str, u16); 2] = [("kube-controller-manager", 10257), ("kube-scheduler", 10259)];

/// A static pod to place, and what `start` needs to know of it.
pub struct Placement {
    /// Path of its file in kubelet's folder.
    pub path: PathBuf,
    /// Its bytes, as in the asset directory.
    pub content: Vec<u8>,
    /// `namespace/name` of the pod.
    pub pod: String,
    /// The port that its manifest gives, or else the default of its program.
    pub port: Option<u16>,
    /// `--bind-address`, if it is set.
    pub bind_address: Option<String>,
    /// Whether `--permit-port-sharing` is set.
    pub shares_port: bool,
    /// Its role in the journal.
    pub role: Role,
}

impl Placement {
    /// The same, as the journal records it.
    pub fn thing(&self) -> Thing {
        let file = Thing::file(&self.path, self.role, &self.content);
        Thing { pod: Some(self.pod.clone()), port: self.port, ..file }
    }
}

/// Everything that `start` will do.
pub struct Plan {
    /// How the administrator reaches the API.
    pub access: Access,
    /// The kubeconfig that `access` came from.
    pub kubeconfig: Vec<u8>,
    /// Files of [`crate::BOOTSTRAP_SECRETS`].
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Static pods that stay on the machine: etcd.
    pub staying: Vec<Placement>,
    /// Files of [`crate::ETCD_KEYS`].
    pub etcd_keys: BTreeMap<String, Vec<u8>>,
    /// The bootstrap apiserver.
    pub apiserver: Placement,
    /// The other bootstrap pods.
    pub others: Vec<Placement>,
    /// Objects, in the order in which they are applied.
    pub stages: Vec<Vec<Item>>,
    /// Objects that can refuse or delay every other one, in the same way. They are applied when the
    /// control plane works.
    pub admission: Vec<Vec<Item>>,
    /// Pods that must be Ready before the bootstrap control plane is removed.
    pub required: Vec<Required>,
    /// What makes this node a controller.
    pub marks: NodeMarks,
    /// Whether new connections can be steered from the bootstrap apiserver to the self-hosted one.
    pub is_steered: bool,
    /// Why only one of the two can listen at a time, if so, as in assets of v0.14.
    pub conflict: Option<String>,
}

impl Plan {
    /// Works everything out.
    pub fn new(
        layout: Layout,
        asset_dir: &Path,
        pod_manifest_path: &Path,
        required_pods: Option<&[RequiredPod]>,
    ) -> Result<Self, Error> {
        let access = kubeconfig::parse(&layout.kubeconfig, &asset_dir.join("auth/kubeconfig"))?;
        let (apiserver, others) = bootstrap_pods(&layout.bootstrap_manifests, pod_manifest_path)?;
        let staying = layout
            .controller_manifests
            .iter()
            .map(|pod| placement(pod, pod_manifest_path, Role::StayingPod))
            .collect();
        let required = required::resolve(required_pods, &layout.objects);
        let marks = NodeMarks::of(&layout.objects);
        let is_steered = shares_wildcard(&apiserver) && has_gate(&layout.objects);
        let mut pods = layout.bootstrap_manifests.iter().map(|pod| &pod.value);
        let conflict =
            pods.find(|pod| is_apiserver(pod)).and_then(|bootstrap| conflict(bootstrap, &layout.objects));
        let mut secrets = layout.tls.clone();
        secrets.insert("kubeconfig".to_owned(), layout.kubeconfig.clone());
        let keys = layout.tls.iter().filter_map(|(path, key)| Some((path.strip_prefix("etcd/")?, key)));
        let etcd_keys = keys.map(|(path, key)| (path.to_owned(), key.clone())).collect();
        let (last, first): (Vec<_>, Vec<_>) =
            order::order(layout.objects).into_iter().partition(|(stage, _)| stage.is_admission());
        let of_stages = |stages: Vec<(Stage, Vec<Object>)>| {
            stages.into_iter().map(|(_, objects)| items(objects)).collect::<Vec<_>>()
        };
        let (stages, admission) = (of_stages(first), of_stages(last));
        let kubeconfig = layout.kubeconfig;
        Ok(Self {
            access,
            kubeconfig,
            secrets,
            staying,
            etcd_keys,
            apiserver,
            others,
            stages,
            admission,
            required,
            marks,
            is_steered,
            conflict,
        })
    }

    /// The required pods. An apiserver that waits for the port cannot be Ready.
    pub fn required_to_hand_over(&self) -> Vec<Required> {
        let required = self.required.iter().cloned();
        match self.conflict {
            None => required.collect(),
            Some(_) => required.map(Required::without_the_port).collect(),
        }
    }

    /// For a kernel that does not steer: the bootstrap apiserver binds this machine's address.
    /// Linux prefers the more specific listener, so clients stay with it until it is gone.
    pub fn step_aside(&mut self) {
        self.is_steered = false;
        if self.apiserver.bind_address.as_deref() == Some(NODE_ADDRESS) {
            return;
        }
        if let Some(content) = bind_address::set(&self.apiserver.content) {
            self.apiserver.content = content;
            self.apiserver.bind_address = Some(NODE_ADDRESS.to_owned());
        }
    }

    /// The port of this machine's apiservers.
    pub fn api_port(&self) -> u16 {
        self.apiserver.port.or(self.access.server.port_or_known_default()).unwrap_or(443)
    }

    /// Whether the bootstrap apiserver listens at `address`. A shared wildcard counts as its own.
    pub fn bootstrap_listens_at(&self, address: IpAddr) -> bool {
        match self.apiserver.bind_address.as_deref().map(str::parse::<IpAddr>) {
            Some(Ok(bound)) => bound == address || bound.is_unspecified() && address.is_unspecified(),
            Some(Err(_)) => !address.is_unspecified(), // NODE_ADDRESS
            None => address.is_unspecified(),
        }
    }

    /// Whether the bootstrap apiserver listens on every address; another one must share its port.
    pub fn bootstrap_holds_wildcard(&self) -> bool {
        self.bootstrap_listens_at(Ipv4Addr::UNSPECIFIED.into())
            || self.bootstrap_listens_at(Ipv6Addr::UNSPECIFIED.into())
    }

    /// All temporary static pods, the apiserver first.
    pub fn temporary(&self) -> impl Iterator<Item = &Placement> {
        std::iter::once(&self.apiserver).chain(&self.others)
    }
}

/// Whether a self-hosted apiserver can listen beside `apiserver`, on every address.
fn shares_wildcard(apiserver: &Placement) -> bool {
    let bound = apiserver.bind_address.as_deref().map(str::parse::<IpAddr>);
    apiserver.shares_port && bound.is_none_or(|bound| bound.is_ok_and(|bound| bound.is_unspecified()))
}

/// Whether the self-hosted apiserver's pods have the readiness gate of steering.
fn has_gate(objects: &[Object]) -> bool {
    let is_apiserver = |object: &&Object| object.kind() == "DaemonSet" && object.name() == "kube-apiserver";
    let gates = objects.iter().filter(is_apiserver).flat_map(|object| {
        object.value["spec"]["template"]["spec"]["readinessGates"].as_array().into_iter().flatten()
    });
    gates.into_iter().any(|gate| gate["conditionType"] == SERVING)
}

fn items(objects: Vec<Object>) -> Vec<Item> {
    objects.into_iter().map(|object| Item { file: object.file, value: object.value }).collect()
}

/// The apiserver's static pod and the others.
fn bootstrap_pods(pods: &[StaticPod], folder: &Path) -> Result<(Placement, Vec<Placement>), Error> {
    let (mut apiservers, others): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| is_apiserver(&pod.value));
    let others = others.into_iter().map(|pod| placement(pod, folder, Role::BootstrapPod)).collect();
    match (apiservers.pop(), apiservers.is_empty()) {
        (Some(apiserver), true) => Ok((placement(apiserver, folder, Role::BootstrapApiserver), others)),
        (None, _) => Err(Error::NoApiserver),
        (Some(_), false) => Err(Error::ManyApiservers),
    }
}

/// What `start` needs to know of a static pod that is placed in `folder`.
pub fn placement(pod: &StaticPod, folder: &Path, role: Role) -> Placement {
    Placement {
        path: folder.join(pod.file_name()),
        pod: pod.pod_name(),
        content: pod.bytes.clone(),
        port: flag(&pod.value, "secure-port")
            .and_then(|port| port.parse().ok())
            .or_else(|| usual_port(&pod.value)),
        bind_address: flag(&pod.value, "bind-address"),
        shares_port: command::is_on(command::words(&pod.value), "permit-port-sharing"),
        role,
    }
}

/// Default ports of the elected components, which assets of v0.14 do not set.
fn usual_port(pod: &Value) -> Option<u16> {
    let runs =
        |program| command::containers(pod).any(|one| command::runs(command::container_words(one), program));
    USUAL_PORTS.into_iter().find(|(program, _)| runs(program)).map(|(_, port)| port)
}

fn is_apiserver(pod: &Value) -> bool {
    command::containers(pod)
        .any(|container| command::runs(command::container_words(container), "kube-apiserver"))
}

fn flag(pod: &Value, name: &str) -> Option<String> {
    command::flag(command::words(pod), name)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub mod tests;
