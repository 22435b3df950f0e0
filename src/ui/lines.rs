//! Events for programs: one JSON object a line, each written as soon as it is reported.
//! `docs/events.md` describes them.
//!
//! If the reader goes away the work continues: that is logged once, and nothing more is written.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::{Event, Output, Stamped, ms};
use crate::timestamp::rfc3339;

/// Version of the format. It changes only when a reader of the version before would break.
pub const SCHEMA_VERSION: u32 = 1;

/// Writes events to a file or pipe.
pub struct EventLines {
    /// `None` once writing has failed.
    to: Mutex<Option<Box<dyn Write + Send>>>,
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    time: String,
    elapsed_ms: f64,
    #[serde(flatten)]
    event: &'a Event,
}

impl EventLines {
    /// Writes to the file `path`, replacing its content, or to standard output if it is `-`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(match path == Path::new("-") {
            true => Self::to(io::stdout()),
            false => Self::to(File::create(path)?),
        })
    }

    /// Writes to `writer`.
    pub fn to(writer: impl Write + Send + 'static) -> Self {
        Self { to: Mutex::new(Some(Box::new(writer))) }
    }
}

impl Output for EventLines {
    fn receive(&self, stamped: &Stamped) {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = to.as_mut() else { return };
        if let Err(error) = write(writer, stamped) {
            tracing::warn!(%error, "failed to write an event; no more events are written");
            *to = None;
        }
    }
}

/// Writes the whole line at once, so that a reader never sees half of one.
fn write(writer: &mut impl Write, stamped: &Stamped) -> io::Result<()> {
    let Stamped { at, elapsed, event } = stamped;
    let line = Line { v: SCHEMA_VERSION, time: rfc3339(*at), elapsed_ms: ms(*elapsed), event };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    writer.write_all(&bytes)?;
    writer.flush()
}
