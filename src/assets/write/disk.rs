//! The changes of the file system that writing a tree is made of, one function each.
//!
//! Each passes [`step`] first, which does nothing but in tests: there the work can end between any two changes.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::survey::Attributes;
use crate::host::files::{self, Error, PRIVATE_DIR, PRIVATE_FILE, failed};

/// A new file of ours, with the directories it needs.
pub(super) fn file(root: &Path, relative: &str, content: &[u8]) -> Result<(), Error> {
    dirs_above(root, relative)?;
    let path = root.join(relative);
    step(&path)?;
    files::create(&path, content, PRIVATE_FILE)
}

/// The directories above `relative`, where they are missing.
pub(super) fn dirs_above(root: &Path, relative: &str) -> Result<(), Error> {
    for (end, _) in relative.match_indices('/') {
        let dir = root.join(&relative[..end]);
        if !dir.is_dir() {
            self::dir(&dir)?;
        }
    }
    Ok(())
}

/// A new directory of ours.
pub(super) fn dir(path: &Path) -> Result<(), Error> {
    step(path)?;
    files::create_dir(path, PRIVATE_DIR)
}

/// Makes a directory look as the user's did.
pub(super) fn attributes(path: &Path, attributes: Attributes) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    step(path)?;
    let Attributes { mode, uid, gid } = attributes;
    chown(path, Some(uid), Some(gid)).map_err(failed("set the owner of", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

/// A second name for a file of the user's: nothing about it changes.
pub(super) fn link(from: &Path, to: &Path) -> Result<(), Error> {
    step(to)?;
    fs::hard_link(from, to).map_err(failed("link", to))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    step(to)?;
    fs::rename(from, to).map_err(failed("move into place", to))
}

/// Moves a tree to a name that is free, or that of an empty directory.
pub(super) fn take_place(from: &Path, to: &Path) -> Result<(), Error> {
    movable(to)?;
    rename(from, to)
}

/// Swaps two trees at once.
pub(super) fn exchange(one: &Path, other: &Path) -> Result<(), Error> {
    movable(other)?;
    step(other)?;
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
        .map_err(|error| failed("exchange", other)(error.into()))
}

pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    step(path)?;
    fs::remove_file(path).map_err(failed("remove", path))
}

pub(super) fn remove_tree(path: &Path) -> Result<(), Error> {
    step(path)?;
    fs::remove_dir_all(path).map_err(failed("remove", path))
}

/// Removes a directory if nothing is in it.
pub(super) fn remove_if_empty(path: &Path) -> Result<(), Error> {
    step(path)?;
    match fs::remove_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => result.map_err(failed("remove", path)),
    }
}

/// Waits until every directory of a tree is on disk. Files are since their creation.
pub(super) fn sync_dirs(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(failed("read", path))? {
        let entry = entry.map_err(failed("read", path))?;
        if entry.file_type().map_err(failed("read", path))?.is_dir() {
            sync_dirs(&entry.path())?;
        }
    }
    files::sync_dir(path)
}

#[cfg(not(test))]
fn step(_: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(not(test))]
fn movable(_: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
use crash::{movable, step};

#[cfg(test)]
pub(super) mod crash {
    use std::cell::Cell;
    use std::io;

    use super::*;

    thread_local! {
        /// After so many changes every further one fails, as if the process were gone.
        pub(in super::super) static STEPS_LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
        /// Whether trees cannot change places, as if the target were a mount point.
        pub(in super::super) static IS_MOUNT_POINT: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn step(path: &Path) -> Result<(), Error> {
        match STEPS_LEFT.get() {
            0 => Err(failed("survive at", path)(io::Error::other("crash"))),
            left => {
                STEPS_LEFT.set(left - 1);
                Ok(())
            }
        }
    }

    pub(super) fn movable(path: &Path) -> Result<(), Error> {
        match IS_MOUNT_POINT.get() {
            true => Err(failed("move", path)(rustix::io::Errno::BUSY.into())),
            false => Ok(()),
        }
    }
}
