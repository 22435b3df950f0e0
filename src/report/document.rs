//! What `report.json` holds: the figures, and the story that they were computed from.

use serde::Serialize;

use super::figures::Figures;
use super::story::Story;

/// Version of report.json. It grows with every change that breaks a reader of the version before.
const VERSION: u32 = 1;

/// The document.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    v: u32,
    figures: Figures,
    #[serde(flatten)]
    story: &'a Story,
}

impl<'a> Document<'a> {
    pub(super) fn new(story: &'a Story) -> Self {
        Self { v: VERSION, figures: Figures::new(story), story }
    }
}
