//! Writes a rendered tree.
//!
//! # Guarantees
//! A crash at any point leaves the old tree or the new one. The new tree is built beside the old
//! one, and one system call exchanges the two. Files that the user added are hard-linked into the
//! new tree. A directory that cannot be exchanged (a mount point, or its parent is read-only) gets
//! its files one by one from a staging folder inside it. If that is interrupted, the staging folder
//! shows it, and the next render completes the tree.
//!
//! # Errors
//! A directory that bootkube did not write is refused, and so is one whose rendered files were
//! edited: the edits would be lost. So is an object that is too large for the API, rendered or added
//! by the user.

mod disk;
mod error;
mod index;
mod plan;
mod survey;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::tree::{self, Hidden};
use super::{Assets, oversized};
use crate::finding::Findings;
use crate::host::files;
pub use error::Error;
use index::Index;
pub use plan::Written;
pub(super) use survey::STAGING;
use survey::Survey;

/// A directory, locked against other renders until this value is dropped. The earlier keys are read
/// under the same lock.
pub struct Target {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Target {
    /// Locks `dir`. Waits for another render that writes to it or beside it.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let dir = resolve(dir).map_err(Error::Write)?;
        let lock = lock(&dir).map_err(Error::Write)?;
        Ok(Self { dir, _lock: lock })
    }

    /// See [`previous`].
    pub fn previous(&self) -> Result<BTreeMap<String, Vec<u8>>, tree::Error> {
        previous(&self.dir)
    }

    /// See [`earlier`].
    pub fn earlier(&self, assets: &Assets) -> Result<BTreeMap<String, Vec<u8>>, tree::Error> {
        earlier(&self.dir, assets)
    }

    /// Writes `assets`.
    pub fn write(&self, assets: &Assets) -> Result<Written, Error> {
        let dir = &self.dir;
        let survey = Survey::read(dir)?;
        let index = Index::new(&assets.files);
        let written = plan::plan(dir, &survey, &index)?;
        refuse_too_large(dir, assets, &written.carried)?;
        let job = Job { dir, survey, index: index.to_bytes(), assets, plan: &written };
        job.run().map_err(Error::Write)?;
        Ok(written)
    }
}

/// An error if an object of `assets`, or of the user's files that stay, is too large for the API.
fn refuse_too_large(dir: &Path, assets: &Assets, added: &[String]) -> Result<(), Error> {
    let mut found = oversized::find(&assets.files);
    let manifests = added.iter().filter(|path| oversized::is_manifest(path));
    // What cannot be read stays as it is, too: `start` says so.
    let readable = manifests.filter_map(|path| Some((path.clone(), tree::read(dir, path).ok()?)));
    found.extend(oversized::find(&readable.collect()));
    if found.is_empty() { Ok(()) } else { Err(Error::Refused(Findings(found))) }
}

/// Writes `assets` to `dir`.
pub fn write(dir: &Path, assets: &Assets) -> Result<Written, Error> {
    Target::open(dir)?.write(assets)
}

/// Whether [`write()`] would refuse `dir` because bootkube did not write it. This is checked before
/// keys are generated.
///
/// # Errors
/// The reason for refusing it.
pub fn check_target(dir: &Path) -> Result<(), Findings> {
    match Survey::read(dir) {
        Err(Error::Refused(findings)) => Err(findings),
        // A directory that cannot be read is reported by the write itself, with its cause.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The secrets of an earlier render, by path: `tls/**`, the kubelets' kubeconfig and the bootstrap
/// tokens. Empty if there are none. After an interrupted render these are the secrets that it would
/// have left.
pub fn previous(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, tree::Error> {
    let mut found = BTreeMap::new();
    collect_secrets(dir, &mut found)?;
    for name in tree::names(dir)?.iter().filter(|name| name.starts_with(STAGING)) {
        // Without an index nothing has been moved out of this folder yet, and the old tree is
        // complete.
        if dir.join(name).join(index::NAME).exists() {
            collect_secrets(&dir.join(name), &mut found)?;
        }
    }
    Ok(found)
}

fn collect_secrets(dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) -> Result<(), tree::Error> {
    let mut paths = tree::files(dir, "tls", Hidden::Skip)?;
    paths.extend(tree::files(dir, "manifests/node-tokens", Hidden::Skip)?);
    paths.extend(["auth/kubeconfig-kubelet", "manifests/kubelet-bootstrap-token.yaml"].map(str::to_owned));
    collect(dir, paths, found)
}

/// The files of `paths` that are there.
fn collect(
    dir: &Path,
    paths: impl IntoIterator<Item = String>,
    found: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), tree::Error> {
    for path in paths {
        match tree::read(dir, &path) {
            Ok(content) => drop(found.insert(path, content)),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The files in `dir` that `assets` have, too, as they are now.
pub fn earlier(dir: &Path, assets: &Assets) -> Result<BTreeMap<String, Vec<u8>>, tree::Error> {
    let mut found = BTreeMap::new();
    collect(dir, assets.files.keys().cloned(), &mut found)?;
    Ok(found)
}

/// A flat map of path to content, as Terraform's external data source expects it. Every rendered
/// file is text.
pub fn to_json(assets: &Assets) -> String {
    let files = assets.files.iter().map(|(path, content)| (path.as_str(), String::from_utf8_lossy(content)));
    let map: serde_json::Map<_, _> = files.map(|(path, content)| (path.to_owned(), content.into())).collect();
    serde_json::Value::Object(map).to_string()
}

/// The directory with links resolved. Missing parents are created.
fn resolve(dir: &Path) -> Result<PathBuf, files::Error> {
    match fs::canonicalize(dir) {
        Ok(path) => Ok(path),
        Err(_) if fs::symlink_metadata(dir).is_ok() => Ok(dir.to_owned()),
        Err(_) => {
            let parent = files::parent(dir);
            fs::create_dir_all(parent).map_err(files::failed("create", parent))?;
            let parent = fs::canonicalize(parent).map_err(files::failed("resolve", parent))?;
            Ok(parent.join(dir.file_name().unwrap_or_default()))
        }
    }
}

/// Locks the parent of `dir`, so that one render at a time works there. Waits for the lock.
fn lock(dir: &Path) -> Result<Option<File>, files::Error> {
    let Ok(file) = File::open(files::parent(dir)).or_else(|_| File::open(dir)) else { return Ok(None) };
    flock(&file, FlockOperation::LockExclusive).map_err(|error| files::failed("lock", dir)(error.into()))?;
    Ok(Some(file))
}

struct Job<'a> {
    dir: &'a Path,
    survey: Survey,
    index: Vec<u8>,
    assets: &'a Assets,
    plan: &'a Written,
}

impl Job<'_> {
    fn run(&self) -> Result<(), files::Error> {
        remove_leftovers(self.dir)?;
        if self.is_done() {
            return Ok(());
        }
        let staging = files::temp_path(self.dir);
        let replaced = self.build(&staging).and_then(|()| self.swap(&staging));
        match replaced {
            Ok(()) => self.finish(&staging),
            Err(error) => {
                // The first failure is the one to report. The next render removes what is left.
                clean_up(&staging);
                match self.dir.is_dir() && is_immovable(&error) {
                    true => self.move_in(),
                    false => Err(error),
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        let Written { created: _, kept: _, changed, removed, carried: _ } = self.plan;
        let is_indexed = self.survey.index.as_deref() == Some(&self.index);
        changed.is_empty() && removed.is_empty() && is_indexed && self.survey.staging.is_empty()
    }

    /// Builds the whole new tree at `root`.
    fn build(&self, root: &Path) -> Result<(), files::Error> {
        disk::dir(root)?;
        for (path, content) in &self.assets.files {
            disk::file(root, path, content)?;
        }
        let dirs = plan::carried_dirs(&self.survey, self.plan, &self.assets.files);
        for (path, _) in &dirs {
            disk::dirs_above(root, &format!("{path}/"))?;
        }
        for path in &self.plan.carried {
            disk::link(&self.dir.join(path), &root.join(path))?;
        }
        for (path, attributes) in &dirs {
            if let Some(attributes) = attributes {
                disk::attributes(&root.join(path), *attributes)?;
            }
        }
        disk::file(root, index::NAME, &self.index)?;
        disk::sync_dirs(root)
    }

    fn swap(&self, staging: &Path) -> Result<(), files::Error> {
        match self.survey.is_ours() {
            true => disk::exchange(staging, self.dir),
            false => disk::take_place(staging, self.dir),
        }
    }

    /// Syncs the exchange to disk, then removes the old tree, which is at `staging` now.
    fn finish(&self, staging: &Path) -> Result<(), files::Error> {
        files::sync_dir(files::parent(self.dir))?;
        match self.survey.is_ours() {
            true => disk::remove_tree(staging),
            false => Ok(()),
        }
    }

    /// Writes a directory that cannot be exchanged: file by file from a folder inside it, the index
    /// last.
    fn move_in(&self) -> Result<(), files::Error> {
        let staging = self.dir.join(format!("{STAGING}{}", files::random()));
        self.stage(&staging).inspect_err(|_| clean_up(&staging))?;
        for path in &self.plan.changed {
            disk::dirs_above(self.dir, path)?;
            disk::rename(&staging.join(path), &self.dir.join(path))?;
        }
        for path in &self.plan.removed {
            disk::remove_file(&self.dir.join(path))?;
        }
        for dir in plan::abandoned_dirs(&self.survey, &self.assets.files) {
            disk::remove_if_empty(&self.dir.join(dir))?;
        }
        disk::sync_dirs(self.dir)?;
        for interrupted in &self.survey.staging {
            disk::remove_tree(interrupted)?;
        }
        disk::rename(&staging.join(index::NAME), &self.dir.join(index::NAME))?;
        files::sync_dir(self.dir)?;
        disk::remove_tree(&staging)
    }

    /// Writes the changed files to the staging folder, and the index last. A staging folder with an
    /// index is complete.
    fn stage(&self, staging: &Path) -> Result<(), files::Error> {
        disk::dir(staging)?;
        for path in &self.plan.changed {
            disk::file(staging, path, &self.assets.files[path])?;
        }
        disk::sync_dirs(staging)?;
        disk::file(staging, index::NAME, &self.index)?;
        files::sync_dir(staging)?;
        files::sync_dir(self.dir)
    }
}

/// Removes a tree that is of no use. If that fails, the next render removes it.
fn clean_up(path: &Path) {
    disk::remove_tree(path).ok();
}

/// Whether the error means that the directory cannot be exchanged, so that its files must be moved
/// in.
fn is_immovable(error: &files::Error) -> bool {
    let errno = error.source.raw_os_error().map(Errno::from_raw_os_error);
    let is_about_the_place = [
        Errno::BUSY,
        Errno::XDEV,
        Errno::ROFS,
        Errno::ACCESS,
        Errno::PERM,
        Errno::INVAL,
        Errno::NOSYS,
        Errno::NOTSUP,
        Errno::NOTEMPTY,
        Errno::EXIST,
        Errno::MLINK,
    ];
    errno.is_some_and(|errno| is_about_the_place.contains(&errno))
}

/// Trees of earlier renders that were interrupted.
fn remove_leftovers(dir: &Path) -> Result<(), files::Error> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix = files::temporary_prefix(&name);
    let is_leftover = |name: &String| {
        let random = name.strip_prefix(&prefix).unwrap_or_default();
        random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let parent = files::parent(dir);
    // If the parent cannot be read, no earlier render can have written there.
    for name in tree::names(parent).unwrap_or_default().iter().filter(|name| is_leftover(name)) {
        disk::remove_tree(&parent.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
