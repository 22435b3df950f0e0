//! Who listens where: several apiservers on one port of this machine, and which of them gets new connections.
//!
//! An apiserver that leaves drops what reaches it last, one that starts refuses whom it does not know yet. So while two share the port new
//! connections are steered to the older one until the newer one says, asked itself, that it is ready; then to the newer one, before the
//! older one ends. `start` does so in a pivot, the agent in every later roll.
//!
//! ```text
//! Port: ask each index ─► who, ready? ─► decide (agent), or the order in which they came (start) ─► Port: flip, and look
//! ```
//!
//! Both may be at work at once: each question is asked under a lock of the network namespace, and both come to the same decision.

pub mod decide;
mod guard;
pub mod lock;
mod port;

pub use guard::guard;
pub use port::{Answer, Error, Port};

/// Condition of an apiserver's pod: it has answered for itself, and new connections of its machine go to it. Only then is the pod Ready,
/// and only then does its DaemonSet end the one before it.
pub const SERVING: &str = "bootkube.dev/serving";
