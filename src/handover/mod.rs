//! The hand-over from one apiserver to the next on one port of a machine: which of them gets new
//! connections.
//!
//! An apiserver that terminates resets the connections that reach it last, and one that starts
//! refuses users until it has read the RBAC objects. So while two share the port, new connections
//! are steered to the older one until the newer one has answered that it is ready, and to the newer
//! one from then on, before the older one ends. `start` does so in a pivot, and the agent in every
//! later rollout.
//!
//! ```text
//! Port: ask each index ─► pod, ready? ─► guard: decide (agent, start), or unpivot::incoming ─► Port: flip, and verify
//! ```
//!
//! The agent and `start` may do so at once. A lock keeps their questions apart, and both come to
//! the same decision. While `unpivot` steers, the agent has stepped down.
//!
//! Whether an answer counts as ready is decided where it is read (`cluster::question`). All three
//! only compare it with `Readyz::Ready`.

pub mod decide;
mod group;
mod guard;
pub mod lock;
mod port;

pub use guard::guard;
pub use port::{Answer, Error, Port};

/// Condition of an apiserver's pod: the apiserver has answered for itself that it is ready, and new
/// connections of its machine go to it. Only then is the pod Ready, and only then does its
/// DaemonSet end the pod before it.
pub const SERVING: &str = "bootkube.dev/serving";
