//! Copies of the pods of a machine that must come back without the API: what to keep, when to run
//! it, and how it is made and stored.
//!
//! ```text
//! API, runtime, kubelet, disk ─ the agent ─► Observation ─ decide ─► Actions ─ the agent ─► copy::make ─► Copy ─► Store
//! ```
//!
//! [`decide`] is the state machine: what was seen, and the time, in; what to do, out. [`parent`]
//! reads pods and the objects that own them, and says which ask for a copy. [`copy`] turns a pod of
//! the API into one that kubelet runs without it. [`store`] keeps copies on disk. All of it is
//! synchronous and makes no connection: the agent looks, and the agent acts.
//!
//! A copy is kept of a *workload* of this machine, not of a pod: an edit replaces the pod, and the
//! copy of the last good one must stay.

pub mod copy;
pub mod decide;
#[cfg(test)]
mod decide_tests;
#[cfg(test)]
mod defects_tests;
mod memory;
pub mod observed;
pub mod parent;
#[cfg(test)]
mod parent_tests;
pub mod report;
pub mod store;

use std::fmt;

use serde::{Deserialize, Serialize};

/// Annotation, `true` on a pod that asks for a copy, and on the pod template of its workload.
pub const CHECKPOINT: &str = "checkpointer.alpha.coreos.com/checkpoint";
/// On a copy: the name of the pod that it was made from.
pub const CHECKPOINT_OF: &str = "checkpointer.alpha.coreos.com/checkpoint-of";
/// Label of a copy, `true`: by it a pod's rules on where it may run leave copies out.
pub const COPY: &str = "bootkube.dev/copy";

/// A workload on this machine: a DaemonSet, a Deployment, a pod on its own. Two of one name in one
/// namespace share a copy, the one of whichever pod is newer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// Namespace of its pods.
    pub namespace: String,
    /// Name of the workload.
    pub name: String,
}

impl Id {
    /// The workload `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a copy is made of: the same for the same template and the same files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub String);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a copy relates to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The pod of the agent itself: its copy always is active, and the last to go.
    Own,
    /// The apiserver: shares its port with its copy.
    Apiserver,
    /// A component that elects a leader: its copy has a port of its own.
    Leader,
    /// Anything else: the pod and its copy are never wanted at the same time.
    Exclusive,
}
