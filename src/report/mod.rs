//! A picture of what happened: the events of a `start` become a story, and the story a page, a file for programs, and the last lines on
//! the terminal.
//!
//! ```text
//! Told events ─ Recorder ─► Story ─► figures, lines     the terminal
//!                                ├─► report.json
//!                                └─► report.html        one file: style and drawing inside, no script, nothing fetched
//! ```
//!
//! Everything but [`write()`] is pure. Nothing secret is told in events, so the files are for everybody to read.

mod chart;
mod figures;
mod html;
mod story;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub use figures::Figures;
pub use html::page;
pub use story::{Blocker, Outcome, Phase, Story, Wait};

use crate::host::files;
use crate::ui::{Output, Told};

/// Mode of the files: there is no secret in them.
const MODE: u32 = 0o644;

/// Keeps what is told.
#[derive(Default)]
pub struct Recorder {
    told: Mutex<Vec<Told>>,
}

impl Recorder {
    /// What has happened so far.
    pub fn story(&self) -> Story {
        Story::of(&self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output for Recorder {
    fn hear(&self, told: &Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told.clone());
    }
}

/// Writes report.json and report.html into `dir`, which is made if it is not there. Returns the page's path.
pub fn write(story: &Story, dir: &Path) -> Result<PathBuf, files::Error> {
    fs::create_dir_all(dir).map_err(files::failed("create", dir))?;
    let data = dir.join("report.json");
    let json = serde_json::to_vec_pretty(&story.document());
    let json = json.map_err(|error| files::failed("write", &data)(error.into()))?;
    files::write_atomic(&data, &json, MODE)?;
    let page = dir.join("report.html");
    files::write_atomic(&page, html::page(story).as_bytes(), MODE)?;
    Ok(page)
}
