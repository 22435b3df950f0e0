//! The pivot: from a kubelet and a folder of assets to a control plane that runs itself.
//!
//! Everything is read, parsed and ordered before the machine is touched. The bootstrap control plane is removed only when the pods
//! that replace it are known to be Ready; on any failure before that it stays, unless the user wants it gone, and `start` can be run
//! again: what was done is in the [journal](crate::journal).

mod adopt;
mod begin;
mod clear_stale_status;
mod conflict;
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
pub use options::{OnFailure, Options, Report};
pub use preview::{Preview, preview};
pub use required::RequiredPod;

pub use crate::phase::{MORE_PHASES, PHASES, PhaseTimeout, Timeouts, duration};
