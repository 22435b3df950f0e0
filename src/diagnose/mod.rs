//! Why a wait lasts: observes the machine and the cluster, and names the deepest cause.
//!
//! ```text
//! machine, runtime, API ─ observe, once, all at the same time ─► Evidence   plain data; what cannot be seen is marked so
//! Evidence ─ decide, pure: the deepest cause first ─► Verdict               blocked (what, why, what to do), or unexplained
//! ```
//!
//! A crashing apiserver may have a cause below it (its etcd), and an unready pod may have one more (its
//! apiserver), so the decision follows the order in which these depend on each other.
//!
//! Nothing here waits, retries or changes anything. What cannot be seen does not count as wrong:
//! bootkube's container usually sees only /etc/kubernetes and the network of the machine.

mod api;
mod blocker;
#[cfg(test)]
mod catalogue_tests;
mod containers;
mod decide;
mod evidence;
pub mod objects;
mod observe;
mod observe_api;
mod pods;
mod requests;
mod subject;
#[cfg(test)]
mod tests;

pub use blocker::{Below, Blocker, Verdict};
pub use subject::{Subject, Workload};

/// Observes once, and decides. `stuck` is what the waiting phase itself knows to be in its way.
pub async fn diagnose(subject: &Subject, stuck: Option<Blocker>) -> Verdict {
    decide::decide(&observe::observe(subject, stuck).await)
}
