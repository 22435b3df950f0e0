//! Reads the target directory before anything is written to it. Read-only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::index::{self, Index};
use crate::assets::tree;
use crate::finding::{Finding, Findings};

/// Prefix of staging folders inside the target. One that exists belongs to a render that is running
/// or was interrupted.
pub(in crate::assets) const STAGING: &str = ".bootkube-staging-";

/// A new file system has this directory.
const LOST_AND_FOUND: &str = "lost+found";

/// The target directory as it was found.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Everything but directories, by path. Links are not followed.
    pub(super) files: BTreeSet<String>,
    /// Directories, by path.
    pub(super) dirs: BTreeMap<String, Attributes>,
    /// Digests that an unedited file may have: those of the index and of interrupted renders.
    pub(super) known: BTreeMap<String, BTreeSet<String>>,
    /// The index, if there is one.
    pub(super) index: Option<Vec<u8>>,
    /// Folders of renders that were interrupted.
    pub(super) staging: Vec<PathBuf>,
}

/// Mode and owner of a directory of the user's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Survey {
    /// Reads `dir`.
    ///
    /// # Errors
    /// If bootkube did not write `dir`, or it cannot be read.
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let mut survey = Self::default();
        match fs::metadata(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return survey.of_missing(dir),
            Err(source) => return Err(Error::Read(tree::Error { path: dir.to_owned(), source })),
            Ok(metadata) if !metadata.is_dir() => {
                return Err(refuse(dir, "it is not a directory", NAME_ANOTHER));
            }
            Ok(_) => survey.walk(dir, "")?,
        }
        survey.files.remove(index::NAME);
        survey.index = read_if_there(&dir.join(index::NAME))?;
        let staged: Vec<_> = survey.staging.clone();
        for path in staged.iter().map(|staging| staging.join(index::NAME)) {
            if let Some(bytes) = read_if_there(&path)? {
                survey.learn(&path, &bytes)?;
            }
        }
        match survey.index.clone() {
            Some(bytes) => survey.learn(&dir.join(index::NAME), &bytes)?,
            None if survey.is_empty() || !survey.staging.is_empty() => {}
            None => return Err(refuse(dir, "it is not empty and bootkube did not write it", NAME_ANOTHER)),
        }
        Ok(survey)
    }

    fn of_missing(self, dir: &Path) -> Result<Self, Error> {
        match fs::symlink_metadata(dir) {
            Ok(_) => Err(refuse(
                dir,
                "it is a link whose target does not exist",
                "create the target, or name another directory",
            )),
            Err(_) => Ok(self),
        }
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dirs.keys().all(|dir| dir == LOST_AND_FOUND)
    }

    /// Whether a rendered tree is there, complete or not.
    pub(super) fn is_ours(&self) -> bool {
        self.index.is_some() || !self.staging.is_empty()
    }

    fn learn(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let index = Index::parse(bytes).map_err(|reason| {
            let problem = format!("it is not an index of bootkube: {reason}");
            refuse(path, &problem, "name another directory, or use the version that wrote this one")
        })?;
        for (path, digest) in index.files {
            self.known.entry(path).or_default().insert(digest);
        }
        Ok(())
    }

    fn walk(&mut self, root: &Path, folder: &str) -> Result<(), Error> {
        let path = root.join(folder);
        let fail = |source| Error::Read(tree::Error { path: path.clone(), source });
        for entry in fs::read_dir(&path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| fail(io::Error::other("a file name is not UTF-8")))?;
            let relative = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let metadata = entry.metadata().map_err(fail)?;
            if !metadata.is_dir() {
                self.files.insert(relative);
            } else if folder.is_empty() && name.starts_with(STAGING) {
                self.staging.push(root.join(name));
            } else {
                if relative != LOST_AND_FOUND {
                    self.walk(root, &relative)?;
                }
                self.dirs.insert(relative, attributes(&metadata));
            }
        }
        Ok(())
    }
}

fn attributes(metadata: &fs::Metadata) -> Attributes {
    Attributes { mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() }
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read(tree::Error { path: path.to_owned(), source })),
    }
}

const NAME_ANOTHER: &str = "name another directory, or an empty one";

fn refuse(path: &Path, problem: &str, cure: &str) -> Error {
    Error::Refused(Findings(vec![Finding {
        field: "--asset-dir".to_owned(),
        value: path.display().to_string(),
        problem: problem.to_owned(),
        cure: cure.to_owned(),
    }]))
}
