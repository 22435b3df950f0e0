//! The messages of CRI v1, as far as bootkube uses them. Field numbers are those of its
//! `api.proto`.

use std::collections::BTreeMap;
use std::fmt;

use prost::Message;

/// Name and version of a runtime.
#[derive(Clone, PartialEq, Message)]
pub struct Version {
    /// Such as `containerd`.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub version: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// A condition in the runtime's status.
#[derive(Clone, PartialEq, Message)]
pub struct Condition {
    /// `RuntimeReady` or `NetworkReady`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Whether it is true.
    #[prost(bool, tag = "2")]
    pub holds: bool,
    /// Why not, in a word.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// Why not, in a sentence.
    #[prost(string, tag = "4")]
    pub message: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Conditions {
    #[prost(message, repeated, tag = "1")]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusQuestion {
    #[prost(bool, tag = "1")]
    pub verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RawRuntimeStatus {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Conditions>,
    /// Only in the answer to a verbose question: JSON by topic.
    #[prost(btree_map = "string, string", tag = "2")]
    pub info: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(string, repeated, tag = "2")]
    pub tags: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub digests: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Images {
    #[prost(message, repeated, tag = "1")]
    pub images: Vec<Image>,
}

/// A request whose fields all stay empty.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Question {}

/// The name of a pod sandbox.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PodName {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub name: Option<PodName>,
    #[prost(int32, tag = "3")]
    pub state: i32,
    #[prost(int64, tag = "4")]
    pub created: i64,
    #[prost(btree_map = "string, string", tag = "5")]
    pub labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "6")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SandboxQuestion {
    #[prost(string, tag = "1")]
    pub id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PodSandboxes {
    #[prost(message, repeated, tag = "1")]
    pub sandboxes: Vec<PodSandbox>,
}

/// The name of a container.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerName {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, tag = "2")]
    pub attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageName {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "18")]
    pub asked_for: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListedContainer {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub sandbox: String,
    #[prost(message, optional, tag = "3")]
    pub name: Option<ContainerName>,
    #[prost(message, optional, tag = "4")]
    pub image: Option<ImageName>,
    #[prost(int32, tag = "6")]
    pub state: i32,
    #[prost(int64, tag = "7")]
    pub created: i64,
    #[prost(btree_map = "string, string", tag = "8")]
    pub labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "9")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListedContainers {
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<ListedContainer>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerQuestion {
    #[prost(string, tag = "1")]
    pub id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerAnswer {
    #[prost(message, optional, tag = "1")]
    pub status: Option<RawStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RawStatus {
    #[prost(int32, tag = "3")]
    pub state: i32,
    #[prost(int64, tag = "5")]
    pub started: i64,
    #[prost(int64, tag = "6")]
    pub finished: i64,
    #[prost(int32, tag = "7")]
    pub exit_code: i32,
    #[prost(string, tag = "10")]
    pub reason: String,
    #[prost(string, tag = "11")]
    pub message: String,
    #[prost(string, tag = "15")]
    pub log_path: String,
}
