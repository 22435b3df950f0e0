//! The pivot: from a kubelet and a folder of assets to a control plane that runs itself.
//!
//! Everything is read, parsed and ordered before the machine is touched. The bootstrap control
//! plane is removed only when the pods that replace it are Ready. After a failure before that it
//! stays, unless the user wants it removed, and the same command goes on (see the room `journal`).

mod adopt;
mod begin;
mod clear_stale_status;
mod conflict;
mod error;
mod gap;
mod kubelet;
mod machine;
mod objects;
mod observe;
mod options;
mod pivot;
mod place;
pub mod plan;
mod preview;
mod required;
mod subject;
mod take_over;
mod traffic_switch;

pub use begin::start;
pub use error::{Error, Failed, Left, Refused};
pub use options::{Apply, Lookup, OnFailure, Options, Report};
pub use preview::{Preview, preview};
pub use required::RequiredPod;

use crate::phase::{Command, Phase, Situation};
pub use crate::phase::{PhaseTimeout, Timeouts, duration};

/// Names of the phases of a first start, in order.
pub fn usual_phases() -> Vec<&'static str> {
    let situation = Situation { has_static_etcd: true, ..Situation::default() };
    Phase::of(Command::Start).filter(|phase| phase.runs(situation)).map(Phase::name).collect()
}
