//! Output of `start`: typed events become a live line on a terminal, plain lines in a pipe, JSON
//! lines in a file, and the report. Data flows one way: no caller reads anything back.
//!
//! ```text
//! start ─ Event ─► Hub: stamps it ─ Told ─► Console, EventLines, report::Recorder
//! ```

mod console;
mod event;
mod lines;

use std::time::{Duration, Instant};

use time::OffsetDateTime;

pub use console::Console;
pub use event::{Basis, End, Event, PodLife, Probed, Problem, ms};
pub use lines::{EventLines, SCHEMA_VERSION};

/// Where the work reports its events.
pub trait Sink: Send + Sync {
    /// Reports `event`.
    fn tell(&self, event: Event);
}

/// An event, and when it was reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// By this machine's clock.
    pub at: OffsetDateTime,
    /// Since the command began, by the monotonic clock.
    pub elapsed: Duration,
    /// The event.
    pub event: Event,
}

/// An output that gets every event, in order.
pub trait Output: Send + Sync {
    /// Writes `stamped`. An output handles its own errors, because they must not stop the command.
    fn receive(&self, stamped: &Stamped);
}

/// Stamps events and passes them to all outputs.
pub struct Hub<'a> {
    began: Instant,
    outputs: Vec<&'a dyn Output>,
}

impl<'a> Hub<'a> {
    /// Starts the clock of the command.
    pub fn new(outputs: Vec<&'a dyn Output>) -> Self {
        Self { began: Instant::now(), outputs }
    }
}

impl Sink for Hub<'_> {
    fn tell(&self, event: Event) {
        let stamped = Stamped { at: OffsetDateTime::now_utc(), elapsed: self.began.elapsed(), event };
        self.outputs.iter().for_each(|output| output.receive(&stamped));
    }
}
