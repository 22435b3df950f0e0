//! What a look finds. Plain data: what it means is decided elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Event, Pod};
use time::OffsetDateTime;

use super::{Blocker, Workload};
use crate::cluster::connect::Readyz;
use crate::preflight::Check;

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// This is how it is.
    Seen(T),
    /// It cannot be seen from here, and why.
    Unknown(String),
}

/// Everything that was looked at.
pub struct Seen {
    /// When.
    pub now: OffsetDateTime,
    /// What the checks of the machine find; else why they cannot be made.
    pub checks: Look<Vec<Check>>,
    /// Our static pods whose files are in kubelet's folder, as the runtime has them.
    pub static_pods: Look<Vec<StaticPod>>,
    /// Who listens on the API's port of this machine.
    pub api: Api,
    /// The cluster, if its API answers.
    pub cluster: Option<Cluster>,
    /// What whoever waits knows to be in its way.
    pub stuck: Option<Blocker>,
}

/// A static pod of ours.
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
    /// Whether the runtime still has the pod of an earlier file of the same name.
    pub lingers: bool,
    /// Since when the runtime has it.
    pub started: Option<OffsetDateTime>,
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
    /// How far it is.
    pub life: Life,
    /// How an earlier one of the same name ended.
    pub before: Option<End>,
}

/// How far a container is.
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
    /// What its process ended with.
    pub exit_code: i32,
    /// The runtime's word for it, such as `OOMKilled`.
    pub reason: String,
    /// How many had run before it.
    pub attempt: u32,
    /// Its last lines.
    pub lines: Look<Vec<String>>,
    /// The file that holds all of them.
    pub log: Option<PathBuf>,
}

/// Who listens on the API's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// The port.
    pub port: u16,
    /// What the first of this machine's addresses says that answers best; `None` if nobody listens.
    pub answer: Option<(String, Readyz)>,
    /// The API's URL.
    pub url: String,
    /// What is said there, which is where kubelets ask; asked only once the API of this machine is ready.
    pub at_url: Option<Readyz>,
}

/// What the API tells.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Whether this machine's node has registered.
    pub has_node: bool,
    /// What kubelets asked for to become nodes, where this machine has none.
    pub requests: Vec<CertificateSigningRequest>,
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
