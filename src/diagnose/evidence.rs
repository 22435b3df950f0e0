//! What was observed. Plain data: `decide` says what it means.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::ResourceExt as _;
use time::OffsetDateTime;

use super::subject::Workload;
use super::underway::Underway;
use crate::cluster::connect::Readyz;
use crate::preflight::Check;

/// Something that was to be observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed<T> {
    /// This is how it is.
    Seen(T),
    /// It cannot be seen from here, and why.
    Unknown(String),
}

/// Everything that was observed.
pub struct Evidence {
    /// When, on this machine's clock, which the runtime uses too.
    pub now: OffsetDateTime,
    /// What the checks of the machine found; else why they cannot be made.
    pub checks: Observed<Vec<Check>>,
    /// How long the container runtime took to answer.
    pub runtime_took: time::Duration,
    /// Static pods of the assets whose files are in kubelet's folder, as the runtime knows them.
    pub static_pods: Observed<Vec<StaticPod>>,
    /// The API of this machine.
    pub api: ApiState,
    /// The cluster, if its API answers.
    pub cluster: Option<Cluster>,
    /// What the command that waits is about to do.
    pub underway: Underway,
}

/// A static pod of the assets.
#[derive(Clone, Debug)]
pub struct StaticPod {
    /// Name in its manifest.
    pub name: String,
    /// Its file in kubelet's folder.
    pub file: PathBuf,
    /// Whether it stays after the hand-over, as etcd does.
    pub stays: bool,
    /// When the file was last changed.
    pub placed: Option<OffsetDateTime>,
    /// How long its containers may take to end.
    pub grace: time::Duration,
    /// Whether the runtime still has the pod of an earlier file of that name.
    pub lingers: bool,
    /// When the runtime started its sandbox.
    pub started: Option<OffsetDateTime>,
    /// The image of sandboxes, if the runtime is known to lack it.
    pub lacks: Option<String>,
    /// Its containers, in the order of the manifest.
    pub containers: Vec<Container>,
}

/// A container of a static pod.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image, as the manifest names it.
    pub image: String,
    /// Whether the runtime has the image, if it says.
    pub has_image: Option<bool>,
    /// Its state.
    pub life: Life,
    /// How the one before it, of the same name, ended.
    pub before: Option<End>,
}

/// The state of a container.
#[derive(Clone, Debug)]
pub enum Life {
    /// The runtime has none of this name.
    Missing,
    /// It was made, or runs, since.
    Running(OffsetDateTime),
    /// It has ended.
    Ended(End),
}

/// How a container ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Exit code of its process.
    pub exit_code: i32,
    /// The runtime's reason, such as `OOMKilled`.
    pub reason: String,
    /// How many ran before it.
    pub attempt: u32,
    /// Its last lines.
    pub lines: Observed<Vec<String>>,
    /// The file that holds all of them.
    pub log: Option<PathBuf>,
}

/// The API of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiState {
    /// The port.
    pub port: u16,
    /// The best answer of this machine's addresses, and which gave it; `None` if no process listens.
    pub answer: Option<(String, Readyz)>,
    /// Whether the processes that listen are seen, and are apiservers.
    pub is_apiserver: bool,
    /// The API's URL.
    pub url: String,
    /// The answer at that URL, which kubelets use. Probed only once the API of this machine is ready.
    pub at_url: Option<Readyz>,
}

/// What the API reports.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The apiserver's present moment. Its machine's clock may differ from this one's.
    pub now: OffsetDateTime,
    /// Whether this machine's node has registered.
    pub has_node: bool,
    /// How many nodes have.
    pub nodes: usize,
    /// Those of them that are not Ready.
    pub unready: Vec<Unready>,
    /// The last error in kubelet's journal, where none has.
    pub kubelet_said: Option<String>,
    /// Certificate requests of kubelets, where this machine has no node yet.
    pub requests: Vec<CertificateSigningRequest>,
    /// Bindings that may let them be approved, in the same case.
    pub bindings: Vec<ClusterRoleBinding>,
    /// Pods of the namespaces that required workloads are in.
    pub pods: Vec<Pod>,
    /// DaemonSets there.
    pub daemon_sets: Vec<DaemonSet>,
    /// Warnings there.
    pub events: Vec<Event>,
    /// Workloads that must come up.
    pub required: Vec<Workload>,
    /// Last lines of containers that ended, by pod and container.
    pub lines: BTreeMap<(String, String), Vec<String>>,
}

/// A node that is not Ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unready {
    /// Its name.
    pub node: String,
    /// Why, by its kubelet or by the controller that watches kubelets.
    pub said: String,
}

impl Unready {
    /// Those of `nodes`.
    pub fn among(nodes: &[Node]) -> Vec<Self> {
        let of = |node: &Node| {
            let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
            let said = match ready {
                Some(ready) if ready.status == "True" => return None,
                Some(ready) => ready.message.clone().unwrap_or_default(),
                None => "kubelet has not reported yet".to_owned(),
            };
            Some(Self { node: node.name_any(), said })
        };
        nodes.iter().filter_map(of).collect()
    }
}

impl Cluster {
    /// A cluster in which nothing was found.
    pub fn at(now: OffsetDateTime) -> Self {
        Self {
            now,
            has_node: false,
            nodes: 0,
            unready: Vec::new(),
            kubelet_said: None,
            requests: Vec::new(),
            bindings: Vec::new(),
            pods: Vec::new(),
            daemon_sets: Vec::new(),
            events: Vec::new(),
            required: Vec::new(),
            lines: BTreeMap::new(),
        }
    }
}
