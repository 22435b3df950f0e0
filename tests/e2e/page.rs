//! What the pages of the documents say to type.

use crate::blocks::{self, Section};

/// A section of a page in the project.
pub fn section(page: &str, heading: &str) -> Section {
    let text = std::fs::read_to_string(lab::workspace().join(page)).unwrap();
    let found = blocks::sections(&text).into_iter().find(|section| section.heading == heading);
    found.unwrap_or_else(|| panic!("{page} has no heading {heading:?}"))
}

/// The scripts below a heading, of which there must be so many.
pub fn scripts<const COUNT: usize>(page: &str, heading: &str) -> [String; COUNT] {
    let found = section(page, heading).scripts();
    found.try_into().unwrap_or_else(|found| panic!("{page}, {heading}: {found:#?}"))
}
