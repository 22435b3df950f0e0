//! What happens, told to a person: typed events become a live line on a terminal or plain lines in a pipe. Nobody asks the ui
//! anything.

mod console;

use std::time::Duration;

pub use console::Console;

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
        /// What is not ready and why, as a sentence without its full stop.
        on: String,
    },
    /// Something done, in one line.
    Info(String),
    /// Something odd, or refused, that does not stop the work.
    Warning(String),
}

/// Where events go.
pub trait Sink: Send + Sync {
    /// Tells `event`.
    fn tell(&self, event: Event);
}
