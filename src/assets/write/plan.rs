//! Decides what happens to each file, before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::Error;
use super::index::{self, Index};
use super::survey::Survey;
use crate::assets::tree;
use crate::finding::{Finding, Findings};

/// What writing does. Paths are relative to the asset directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Whether the directory held no rendered tree before.
    pub created: bool,
    /// Rendered files that do not change.
    pub kept: Vec<String>,
    /// Rendered files that are new or different.
    pub changed: Vec<String>,
    /// Files that were rendered before and are no longer.
    pub removed: Vec<String>,
    /// Files that the user added. They stay.
    pub carried: Vec<String>,
}

/// Decides.
///
/// # Errors
/// If an edit of a rendered file would be lost.
pub(super) fn plan(dir: &Path, survey: &Survey, index: &Index) -> Result<Written, Error> {
    let mut plan = Written { created: !survey.is_ours(), ..Written::default() };
    let mut edited = Vec::new();
    for path in &survey.files {
        let (known, new) = (survey.known.get(path), index.files.get(path));
        if known.is_none() && new.is_none() {
            plan.carried.push(path.clone());
            continue;
        }
        let present = index::digest(&tree::read(dir, path).map_err(Error::Read)?);
        let is_edited = known.is_none_or(|digests| !digests.contains(&present));
        match new {
            Some(new) if *new == present => plan.kept.push(path.clone()),
            _ if is_edited => edited.push(path),
            Some(_) => plan.changed.push(path.clone()),
            None => plan.removed.push(path.clone()),
        }
    }
    let new = index.files.keys().filter(|path| !survey.files.contains(*path));
    plan.changed.extend(new.cloned());
    plan.changed.sort();
    match edited.is_empty() {
        true => Ok(plan),
        false => Err(Error::Refused(Findings(edited.into_iter().map(|path| finding(dir, path)).collect()))),
    }
}

fn finding(dir: &Path, path: &str) -> Finding {
    Finding {
        field: dir.join(path).display().to_string(),
        value: String::new(),
        problem: "it was changed by hand since it was rendered".to_owned(),
        cure: "put the change into components.<name>.patches of the configuration, or delete the file to have it rendered anew"
            .to_owned(),
    }
}

/// The user's directories that the new tree must have. A directory without rendered files keeps its
/// attributes.
pub(super) fn carried_dirs<'a>(
    survey: &'a Survey,
    plan: &Written,
    files: &BTreeMap<String, Vec<u8>>,
) -> Vec<(&'a str, Option<super::survey::Attributes>)> {
    let rendered = parents(files.keys());
    let formerly_rendered = parents(survey.known.keys());
    let carried = parents(plan.carried.iter());
    let is_wanted = |dir: &str| carried.contains(dir) || !formerly_rendered.contains(dir);
    let dirs = survey.dirs.iter().filter(|(dir, _)| is_wanted(dir));
    dirs.map(|(dir, attributes)| (dir.as_str(), (!rendered.contains(dir.as_str())).then_some(*attributes)))
        .collect()
}

/// Directories that held rendered files and no longer do, innermost first.
pub(super) fn abandoned_dirs<'a>(survey: &'a Survey, files: &BTreeMap<String, Vec<u8>>) -> Vec<&'a str> {
    let rendered = parents(files.keys());
    let formerly_rendered = parents(survey.known.keys());
    let is_abandoned = |dir: &&str| survey.dirs.contains_key(*dir) && !rendered.contains(dir);
    formerly_rendered.into_iter().filter(is_abandoned).rev().collect()
}

/// Every directory above the paths.
fn parents<'a>(paths: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    paths.flat_map(|path| path.match_indices('/').map(|(end, _)| &path[..end])).collect()
}
