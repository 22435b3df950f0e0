//! The cluster that runs on this machine, and what of it assets cannot change.
//!
//! ```text
//! assets ─┐
//! API ────┼─ Settled::read, pure ─► Settled ─┐
//! process ┘                        Settled ─┴─ differences, pure ─► a Difference for each field
//! ```
//!
//! Most of a cluster is changed by a rollout: flags, images, replicas, resolvers. Some of it is
//! settled when the cluster begins, because something outlives the rollout: an address in a
//! Service, a range in a Node, a token in a pod, a URL in a kubelet's file, data in etcd. `render`
//! tells of such a change, and `preflight` and `start` refuse it where the cluster runs.

mod ask;
mod differences;
mod field;
mod fields;
#[cfg(test)]
mod fields_tests;
mod local_api;
mod observe;
mod pem;
mod settled;

pub use differences::{Difference, differences};
pub use local_api::{probe_api_at_its_url, probe_local_api};
pub use observe::{ApiListener, Found, Living, Other, Wanted, look};
pub use settled::Settled;
