//! What can be seen of kubelet and of the container runtime. Plain data.

use std::path::PathBuf;

use super::config::Config;
use super::kubeconfig::Kubeconfig;
use crate::host::cri::Condition;
use crate::host::programs::Program;

/// A kubelet whose process can be seen.
pub struct Kubelet {
    pub process: Program,
    /// Its configuration; else why it cannot be read.
    pub config: Result<Config, String>,
    pub watched: StaticPodFolder,
    /// Its own kubeconfig, if there is one already; else why it cannot be read.
    pub own: Option<Result<Kubeconfig, String>>,
    /// The kubeconfig by which it joins, if its command line names one.
    pub bootstrap: Option<Result<Kubeconfig, String>>,
    /// The CA by which it verifies its clients, if it has one.
    pub authority: Option<Result<Vec<u8>, String>>,
    /// Files that it reads when it starts, and that were changed later.
    pub changed: Vec<String>,
}

/// Where a setting of kubelet is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By this flag.
    Flag(String),
    /// In this file.
    File(String),
}

/// The folder that a kubelet watches for static pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticPodFolder {
    /// None.
    Nothing,
    /// The folder that `start` writes to.
    Ours,
    /// Another one.
    Other(String),
    /// Unknown, and why.
    Unknown(String),
}

/// What kubelet answers at its health endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    /// It answers that something is wrong.
    Sick(String),
    /// It does not answer.
    Silent(String),
    /// The endpoint is turned off.
    Off,
}

/// The container runtime.
pub enum Runtime {
    /// Its socket cannot be seen from here.
    Unseen(String),
    /// Its socket exists or is configured, but does not answer.
    Silent { socket: PathBuf, why: String },
    Answers {
        version: String,
        conditions: Vec<Condition>,
        /// The image that pod sandboxes are made from, if that is known.
        sandbox_image: Option<String>,
        /// Whether it leaves control groups to systemd, where kubelet does not take the runtime's word for it.
        uses_systemd: Option<bool>,
        /// References of its images; else why they cannot be listed.
        images: Result<Vec<String>, String>,
    },
}
