//! What there is on the machine, as far as it can be seen. Plain data: whether it will do is decided elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::Value;
use time::OffsetDateTime;

use crate::host::cri::Condition;
use crate::host::programs::Program;
use crate::host::routes::Route;

/// Everything that was looked at.
pub struct Seen {
    pub is_root: bool,
    /// The file that was changed last, of those that were looked at.
    pub newest: Option<(PathBuf, OffsetDateTime)>,
    pub kubelet: Option<Kubelet>,
    pub health: Health,
    /// Whether somebody listens where kubelets do.
    pub kubelet_listens: bool,
    pub runtime: Runtime,
    /// Registries of images that are not there.
    pub registries: BTreeMap<String, Registry>,
    /// Ports of ours that somebody listens on; else why that cannot be seen.
    pub taken: Result<Vec<Taken>, String>,
    pub api: Api,
    /// What each of etcd's servers says.
    pub etcd: Vec<Member>,
    /// Why the host of the API's URL has no address, if it has none.
    pub api_host: Result<(), String>,
    pub routes: Result<Vec<Route>, String>,
    pub addresses: Vec<IpAddr>,
    pub volumes: Vec<Volume>,
    /// Files in kubelet's folder.
    pub manifests: Result<Vec<Manifest>, String>,
    /// Why our folders of keys cannot be used, by path.
    pub key_folders: BTreeMap<PathBuf, Result<(), String>>,
    pub etcd_data: DataFolder,
    /// Files that kubeadm leaves on a controller.
    pub kubeadm: Vec<PathBuf>,
}

impl Seen {
    /// Whether the files that we see are the machine's, as far as a running kubelet is evidence.
    pub fn sees_machine(&self) -> bool {
        self.kubelet.as_ref().is_some_and(|kubelet| kubelet.process.shares_our_files())
    }
}

/// A kubelet whose process can be seen.
pub struct Kubelet {
    pub process: Program,
    /// Its configuration file, with what is laid over it; else why that cannot be read.
    pub config: Result<Value, String>,
    pub watched: Watched,
    /// Whether it has credentials of its own already, so that it need not ask for any.
    pub has_credentials: bool,
}

/// Where a kubelet looks for static pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Nowhere.
    Nothing,
    /// In the folder that we would write to.
    Ours,
    /// In another one.
    Other(String),
    /// That cannot be told, and why.
    Unknown(String),
}

/// What kubelet says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    /// It answers, but not that all is well.
    Sick(String),
    /// Nobody answers.
    Silent(String),
    /// It was told not to answer.
    Off,
}

/// The container runtime.
pub enum Runtime {
    /// Its socket is not to be seen from here.
    Unseen(String),
    /// It should answer at its socket, and does not.
    Silent { socket: PathBuf, why: String },
    Answers {
        version: String,
        conditions: Vec<Condition>,
        /// References of the images it has; else why it does not say.
        images: Result<Vec<String>, String>,
    },
}

/// A registry that an image would come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registry {
    Reached,
    /// And nothing was seen that leads around it.
    Unreached(String),
    /// It cannot be reached from here, but the runtime may know a mirror or a proxy.
    Detour(String),
}

/// A port of ours that somebody listens on.
pub struct Taken {
    pub port: u16,
    pub addresses: Vec<IpAddr>,
    /// Programs that do, as far as they can be seen.
    pub holders: Vec<Program>,
}

/// Who answers at the API's port of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    Nobody,
    /// An apiserver with a certificate of our CA.
    Ours,
    Other(String),
}

/// One of etcd's servers.
pub struct Member {
    pub url: String,
    pub answer: Etcd,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Etcd {
    Healthy,
    Sick(String),
    Unreachable(String),
    /// Its certificate is not one that we accept.
    Untrusted(Distrust),
    /// It does not accept ours.
    RefusesUs(String),
    /// We cannot even ask.
    Unaskable(String),
}

impl Etcd {
    /// Whether waiting does not help.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Untrusted(_) | Self::RefusesUs(_) | Self::Unaskable(_))
    }
}

/// Why a server's certificate is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    Authority,
    Name,
    Expired,
    NotYetValid,
    Other,
}

/// Room in a folder, or in the one above it that is there.
pub struct Volume {
    pub path: PathBuf,
    pub needed: u64,
    pub room: Result<Room, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub free: u64,
    pub has_inodes: bool,
    pub is_read_only: bool,
}

/// A file in kubelet's folder.
pub struct Manifest {
    pub path: PathBuf,
    pub content: Vec<u8>,
}

/// The folder of etcd's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFolder {
    /// None is wanted on this machine, or there is nothing in it.
    Free,
    Unseen,
    /// It holds data.
    Used {
        /// Whether an etcd of this very CA was placed here.
        is_of_this_cluster: bool,
    },
}
