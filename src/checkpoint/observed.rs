//! What the agent saw of the workloads of a machine in one round: what [`decide`](super::decide)
//! decides on.

use std::collections::BTreeMap;

use super::{Id, Revision, Role};

/// What the API says of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// It does not answer.
    Unknown,
    /// A pod is assigned to this machine.
    Here,
    /// None is, but its owner wants one that does not exist yet, here or on any other machine.
    Wanted,
    /// Its owner has all the pods that it wants, on other machines.
    Elsewhere,
    /// Neither the pod nor an owner is there.
    Gone,
}

impl Api {
    /// Whether nothing wants the pod on this machine.
    pub fn is_unwanted(self) -> bool {
        matches!(self, Self::Elsewhere | Self::Gone)
    }
}

/// What the runtime says of the pod, not of its copy. Of several pods the healthiest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// It does not answer.
    Unknown,
    /// No container of it runs.
    Stopped,
    /// A container runs, or a static pod of another program does in its place. The pod is not
    /// healthy.
    Unhealthy,
    /// All containers run, and the pod is Ready.
    Healthy,
}

/// What kubelet says of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kubelet {
    /// It does not answer, or was not asked.
    Unknown,
    /// It has the pod, and runs it if it can.
    Lists,
    /// It does not know the pod.
    Lacks,
}

/// A pod that a copy may be made of: it is healthy now, and its containers started with the files
/// that its copy would get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The pod.
    pub uid: String,
    /// What its copy would be.
    pub revision: Revision,
}

/// What is on disk of a workload; both absent: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// The copy to use.
    pub kept: Option<Revision>,
    /// The copy in kubelet's folder.
    pub active: Option<Revision>,
}

/// What was seen of one workload of this machine in one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What kind of copy it has.
    pub role: Role,
    /// What the API says.
    pub api: Api,
    /// What the runtime says.
    pub parent: Parent,
    /// What kubelet says. It matters only for [`Role::Exclusive`].
    pub kubelet: Kubelet,
    /// What is on disk; `None` if that could not be read.
    pub disk: Option<Disk>,
    /// The newest pod that a copy may be made of, if there is one.
    pub offer: Option<Offer>,
}

/// What was seen at one time. A workload that is not in it is unknown in every respect.
pub type Observation = BTreeMap<Id, Observed>;
