//! What the commands that change this machine share: they hold its lock, note in the journal what they do, and work in phases. A phase
//! has a name, a time and a progress; what keeps a long one waiting is looked for while it lasts.

mod error;
mod explain;
mod machine;
mod progress;
mod runner;
pub mod session;
mod timeouts;

pub use error::{Error, Refused};
pub use machine::{PROBE, check_root, on_port, sockets_on};
pub use progress::Progress;
pub use runner::Runner;
pub use session::unready;
pub use timeouts::{APPLY, MORE_PHASES, PHASES, PhaseTimeout, Timeouts, duration};

/// Elected components, by the name of their lease.
pub const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
