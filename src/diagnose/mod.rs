//! Why a wait lasts: observes the machine and the cluster, and names the deepest cause.
//!
//! ```text
//! machine, runtime, API ─ observe, once, all at the same time ─► Evidence   plain data; what cannot be seen is marked so
//! Evidence ─ decide, pure: the deepest cause first ─► Verdict               blocked (what, why, what to do), or unexplained
//! ```
//!
//! A crashing apiserver may have a cause below it (its etcd), and an unready pod may have one more
//! (its apiserver), so the decision follows the order in which these depend on each other.
//!
//! What passes by itself is not in the way: what the command is about to mend ([`Underway`]), and
//! what components report once while they start ([`trouble`]).
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
#[cfg(test)]
mod passing_tests;
mod pods;
mod requests;
mod slowness;
mod subject;
#[cfg(test)]
mod tests;
mod trouble;
mod underway;
mod unscheduled;
mod unwell;

pub use blocker::{Below, Blocker, Verdict};
pub use observe_api::is_apiserver;
pub use subject::{Subject, Workload};
pub use underway::{Brought, Refusal, Restart, Underway};
pub use unwell::{Unwell, sentences, starting, unwell};

/// Observes once, and decides. What the command that waits is about to mend is not in its way.
pub async fn diagnose(subject: &Subject, underway: Underway) -> Verdict {
    decide::decide(&observe::observe(subject, underway).await)
}
