//! What happens, told to whoever listens: typed events become a live line on a terminal, plain lines in a pipe, JSON lines in a
//! file, and the story that a report tells. Nobody asks the ui anything.
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

/// Where those who work tell what happens.
pub trait Sink: Send + Sync {
    /// Tells `event`.
    fn tell(&self, event: Event);
}

/// An event, and when it was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// By the clock on the wall.
    pub at: OffsetDateTime,
    /// Since the command began, by a clock that is never set.
    pub elapsed: Duration,
    /// What.
    pub event: Event,
}

/// Somebody who is told everything, in order.
pub trait Output: Send + Sync {
    /// Takes notice of `told`. Whatever goes wrong with that is its own concern: the work goes on.
    fn hear(&self, told: &Told);
}

/// Stamps events and passes them on.
pub struct Hub<'a> {
    began: Instant,
    outputs: Vec<&'a dyn Output>,
}

impl<'a> Hub<'a> {
    /// The command begins now.
    pub fn new(outputs: Vec<&'a dyn Output>) -> Self {
        Self { began: Instant::now(), outputs }
    }
}

impl Sink for Hub<'_> {
    fn tell(&self, event: Event) {
        let told = Told { at: OffsetDateTime::now_utc(), elapsed: self.began.elapsed(), event };
        self.outputs.iter().for_each(|output| output.hear(&told));
    }
}
