//! Removes one file or folder that was placed, with a record in the journal before and after.

use std::path::Path;

use crate::host::static_pods;
use crate::journal::{Journal, Record};
use crate::phase::Error;

/// Removes a static pod that holds `content`, or is as the journal says. Returns whether there was
/// one.
pub fn remove_file(journal: &Journal, path: &Path, content: &[u8]) -> Result<bool, Error> {
    let state = journal.state();
    if !path.exists() && !state.things.contains_key(path) {
        return Ok(false);
    }
    let removing = || static_pods::remove(path, content, |found| state.has_placed(path, found));
    remove(journal, path, removing).map(|()| true)
}

/// Removes a folder of keys of ours, and what an interrupted removal left of it. Returns whether
/// there was one.
pub fn remove_folder(journal: &Journal, folder: &Path) -> Result<bool, Error> {
    if !is_there(journal, folder) {
        static_pods::remove_key_folder(folder)?;
        return Ok(false);
    }
    remove(journal, folder, || static_pods::remove_key_folder(folder)).map(|()| true)
}

fn is_there(journal: &Journal, folder: &Path) -> bool {
    folder.exists() || journal.state().things.contains_key(folder)
}

fn remove(
    journal: &Journal,
    path: &Path,
    act: impl FnOnce() -> Result<(), static_pods::Error>,
) -> Result<(), Error> {
    journal.record(Record::Removing { path: path.to_owned() })?;
    act()?;
    Ok(journal.record(Record::Removed { path: path.to_owned() })?)
}
