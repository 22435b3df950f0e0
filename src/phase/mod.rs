//! What the commands that change this machine share. They hold its lock, record what they do in the
//! journal, and work in phases. A phase has a name, a time limit and a progress. While it lasts,
//! bootkube looks for what keeps it waiting.

mod act;
mod api;
mod error;
mod explain;
mod machine;
mod progress;
mod runner;
pub mod session;
mod table;
mod timeouts;

pub use act::{Act, Verb};
pub use api::{ask_api, has_node};
pub use error::Error;
pub(crate) use error::from_phase;
pub use machine::{PROBE, check_root, local_addresses, on_port, sockets_on};
pub use progress::Progress;
pub use runner::Runner;
pub use table::{Command, Phase, Situation};
pub use timeouts::{PhaseTimeout, Timeouts, duration, phase_names};

/// Elected components, by the name of their lease.
pub const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
