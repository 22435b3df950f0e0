//! The report of a `start`: its events become a story, and the story becomes a page, a file for
//! programs, and the last lines on the terminal.
//!
//! ```text
//! Told events ─ Recorder ─► Story ─► figures, lines     the terminal
//!                                ├─► report.json
//!                                └─► report.html        one file: style and drawing inside, no script, nothing fetched
//! ```
//!
//! Everything but [`write()`] is pure. Events hold no secret, so every user may read the files.

mod chart;
mod document;
mod figures;
mod html;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use document::Document;
pub use figures::Figures;
pub use html::page;
pub use story::{Blocker, Outcome, Phase, Story, Wait};

use crate::host::files;
use crate::ui::{Output, Stamped};

/// Mode of the files: they hold no secret.
const MODE: u32 = 0o644;

/// Records every event.
#[derive(Default)]
pub struct Recorder {
    events: Mutex<Vec<Stamped>>,
}

impl Recorder {
    /// The story so far.
    pub fn story(&self) -> Story {
        Story::from_events(&self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output for Recorder {
    fn receive(&self, stamped: &Stamped) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(stamped.clone());
    }
}

/// Writes report.json and report.html into `dir`, which is created if it is missing. Returns the
/// path of the page.
pub fn write(story: &Story, dir: &Path) -> Result<PathBuf, files::Error> {
    fs::create_dir_all(dir).map_err(files::failed("create", dir))?;
    let data = dir.join("report.json");
    let json = serde_json::to_vec_pretty(&Document::new(story));
    let json = json.map_err(|error| files::failed("write", &data)(error.into()))?;
    files::write_atomic(&data, &json, MODE)?;
    let page = dir.join("report.html");
    files::write_atomic(&page, html::page(story).as_bytes(), MODE)?;
    Ok(page)
}
