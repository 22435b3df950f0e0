//! Why a wait lasts: looks at the machine and the cluster, and names the first thing that is in the way.
//!
//! ```text
//! machine, runtime, API ─ observe, once, at the same time ─► Seen   plain data; what cannot be seen is said as such
//! Seen ─ decide, pure: the deepest cause first ─► Verdict           blocked (what, why, what to do), or nothing is seen to be wrong
//! ```
//!
//! A crash of the apiserver has a cause below it (its etcd), and an unready pod one more (its apiserver): so the order of the
//! decision is that of what depends on what. Nothing here waits, retries or changes anything, and nothing that cannot be seen is
//! taken for wrong: bootkube's container usually has nothing of the machine but /etc/kubernetes and its network.

mod api;
mod ask;
mod containers;
mod decide;
pub mod log;
pub mod objects;
mod observe;
mod pods;
mod requests;
mod seen;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::assets::load::Layout;
use crate::cluster::kubeconfig::Access;
use crate::preflight;

/// What is in the way: a sentence what, a sentence why, a line what to do.
pub type Blocker = preflight::Problem;

/// What is waited for, worked out from the assets.
pub struct Subject {
    /// The assets.
    pub layout: Layout,
    /// What the checks of the machine need to know.
    pub checks: preflight::Options,
    /// The administrator's way to the API.
    pub access: Access,
    /// The port of this machine's apiservers.
    pub api_port: u16,
    /// Workloads that must come up.
    pub required: Vec<Workload>,
}

/// A workload by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name, with which those of its pods begin.
    pub name: String,
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Something is in the way.
    Blocked(Blocker),
    /// Nothing is seen to be in the way.
    Unexplained {
        /// What could not be looked at, and why.
        unseen: Vec<String>,
    },
}

impl Verdict {
    /// What is in the way, if anything is.
    pub fn blocker(self) -> Option<Blocker> {
        match self {
            Self::Blocked(blocker) => Some(blocker),
            Self::Unexplained { .. } => None,
        }
    }
}

/// Looks once. `stuck` is what whoever waits knows to be in its way.
pub async fn look(subject: &Subject, stuck: Option<Blocker>) -> Verdict {
    decide::decide(&observe::observe(subject, stuck).await)
}

/// The lines of a blocker below its first: why, and what to do.
pub struct Below<'a>(pub &'a Blocker);

impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocker { what: _, why, cure } = self.0;
        write!(f, "  why: {why}\n  do:  {cure}")
    }
}
