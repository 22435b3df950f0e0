//! What happens, told to a person: typed events become terminal output or plain lines. Nobody asks the ui anything.

use std::time::Duration;

/// Something worth telling.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A phase began.
    PhaseStarted {
        /// Its name.
        phase: &'static str,
    },
    /// A phase ended well.
    PhaseFinished {
        /// Its name.
        phase: &'static str,
        /// How long it took.
        elapsed: Duration,
    },
    /// What the phase is waiting for changed: the first thing not yet ready, and why.
    Waiting {
        /// Its name.
        phase: &'static str,
        /// What is not ready and why, in one line.
        on: String,
    },
    /// An object was applied, or refused with a reason.
    Object {
        /// `Kind namespace/name`.
        object: String,
        /// File it came from.
        file: String,
        /// `Err` holds the API's reason.
        result: Result<(), String>,
    },
    /// Something done, in one line.
    Info(String),
    /// Something odd that does not stop the work.
    Warning(String),
}

/// Where events go.
pub trait Sink: Send + Sync {
    /// Tells `event`.
    fn tell(&self, event: Event);
}
