//! Writes a rendered tree so that a crash leaves the old one or the new one.
//!
//! The new tree is built beside the old one and the two change places in one system call. Files that the user added get a
//! second name in the new tree and so stay what they are. Where the directory cannot change places (a mount point, a parent
//! that is read-only), its files are moved in one by one from a folder inside it; that folder tells an interrupted render.
//!
//! Refused: a directory that is not ours, and files of ours that somebody changed, since the change would be lost.

mod disk;
mod index;
mod plan;
mod survey;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Assets;
use super::tree::{self, Hidden};
use crate::finding::Findings;
use crate::host::files;
use index::Index;
use survey::Survey;

/// What names of staging folders inside the target start with: a render that is under way, or was interrupted.
pub(super) const STAGING: &str = ".bootkube-staging-";

/// Why a tree was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is not ours, or files in it were changed. Nothing was touched.
    #[error("{0}")]
    Refused(Findings),
    /// The directory cannot be read. Nothing was touched.
    #[error(transparent)]
    Read(tree::Error),
    /// A change of the file system failed. The old tree is there, or the new one.
    #[error(transparent)]
    Write(files::Error),
}

/// What writing did. Paths are relative to the asset directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Whether there was no tree of ours before.
    pub created: bool,
    /// Rendered files that are as they were.
    pub kept: Vec<String>,
    /// Rendered files that are new or different.
    pub changed: Vec<String>,
    /// Files that were rendered before, and are no longer.
    pub removed: Vec<String>,
    /// Files that are not ours and were left alone.
    pub carried: Vec<String>,
}

/// A directory that nobody else renders into while this lives: whoever makes keys asks here for the earlier ones first.
pub struct Target {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Target {
    /// Takes `dir` for this render, once others that write beside it are done.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let dir = resolve(dir).map_err(Error::Write)?;
        let lock = lock(&dir).map_err(Error::Write)?;
        Ok(Self { dir, _lock: lock })
    }

    /// See [`previous`].
    pub fn previous(&self) -> Result<BTreeMap<String, Vec<u8>>, tree::Error> {
        previous(&self.dir)
    }

    /// Writes `assets`.
    pub fn write(&self, assets: &Assets) -> Result<Written, Error> {
        let dir = &self.dir;
        let survey = Survey::of(dir)?;
        let index = Index::of(&assets.files);
        let written = plan::plan(dir, &survey, &index)?;
        let job = Job { dir, survey, index: index.to_bytes(), assets, plan: &written };
        job.run().map_err(Error::Write)?;
        Ok(written)
    }
}

/// Writes `assets` to `dir`.
pub fn write(dir: &Path, assets: &Assets) -> Result<Written, Error> {
    Target::open(dir)?.write(assets)
}

/// Whether [`write()`] would refuse `dir` as not ours: asked before keys are made.
pub fn check_target(dir: &Path) -> Result<(), Findings> {
    match Survey::of(dir) {
        Err(Error::Refused(findings)) => Err(findings),
        // What cannot be read cannot be judged; writing tells why.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The secrets of an earlier render, by path: `tls/**`, the kubelets' kubeconfig and the bootstrap token. Empty where there
/// are none. Of a render that was interrupted they are those it would have left.
pub fn previous(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, tree::Error> {
    let mut found = BTreeMap::new();
    collect_secrets(dir, &mut found)?;
    for name in tree::names(dir)?.iter().filter(|name| name.starts_with(STAGING)) {
        // Without an index nothing was moved out of it yet: the tree is whole without.
        if dir.join(name).join(index::NAME).exists() {
            collect_secrets(&dir.join(name), &mut found)?;
        }
    }
    Ok(found)
}

fn collect_secrets(dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) -> Result<(), tree::Error> {
    let mut paths = tree::files(dir, "tls", Hidden::Skip)?;
    paths.extend(["auth/kubeconfig-kubelet", "manifests/kubelet-bootstrap-token.yaml"].map(str::to_owned));
    for path in paths {
        match tree::read(dir, &path) {
            Ok(content) => drop(found.insert(path, content)),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A flat map of path to content, the form Terraform's external data source takes. Everything rendered is text.
pub fn to_json(assets: &Assets) -> String {
    let files = assets.files.iter().map(|(path, content)| (path.as_str(), String::from_utf8_lossy(content)));
    let map: serde_json::Map<_, _> = files.map(|(path, content)| (path.to_owned(), content.into())).collect();
    serde_json::Value::Object(map).to_string()
}

/// The directory behind links; its parents are made where they are missing.
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

/// One render at a time: waits for another that writes beside this one. Held until dropped.
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
        let staging = files::beside(self.dir);
        let replaced = self.build(&staging).and_then(|()| self.swap(&staging));
        match replaced {
            Ok(()) => self.finish(&staging),
            Err(error) => {
                // The first failure is the one to tell; what stays is removed by the next render.
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

    /// The whole new tree, at `root`.
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

    /// The new tree is in place; the old one, if there was one, is at `staging`.
    fn finish(&self, staging: &Path) -> Result<(), files::Error> {
        files::sync_dir(files::parent(self.dir))?;
        match self.survey.is_ours() {
            true => disk::remove_tree(staging),
            false => Ok(()),
        }
    }

    /// The second best way: from a folder inside the directory, file by file, the index last.
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

    /// What changes, and the index last: with it there, the folder is complete.
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

/// Removes a tree that is of no use; if that fails the next render does it.
fn clean_up(path: &Path) {
    disk::remove_tree(path).ok();
}

/// Whether a directory can only be filled, not replaced.
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
    // A parent that cannot be read holds none: nothing can have been written there either.
    for name in tree::names(parent).unwrap_or_default().iter().filter(|name| is_leftover(name)) {
        disk::remove_tree(&parent.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
