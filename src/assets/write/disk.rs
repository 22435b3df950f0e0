//! The single file-system changes of writing a tree, one function each.
//!
//! Each calls [`step`] first. It does nothing except in tests, where it can end the work between
//! any two changes.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::survey::Attributes;
use crate::host::files::{self, Error, PRIVATE_DIR, PRIVATE_FILE, failed};

/// Creates a file, with the directories it needs.
pub(super) fn file(root: &Path, relative: &str, content: &[u8]) -> Result<(), Error> {
    dirs_above(root, relative)?;
    let path = root.join(relative);
    step(&path)?;
    files::create(&path, content, PRIVATE_FILE)
}

/// Creates the missing directories above `relative`.
pub(super) fn dirs_above(root: &Path, relative: &str) -> Result<(), Error> {
    for (end, _) in relative.match_indices('/') {
        let dir = root.join(&relative[..end]);
        if !dir.is_dir() {
            self::dir(&dir)?;
        }
    }
    Ok(())
}

/// Creates a directory.
pub(super) fn dir(path: &Path) -> Result<(), Error> {
    step(path)?;
    files::create_dir(path, PRIVATE_DIR)
}

/// Gives a directory the owner and mode of the user's directory.
pub(super) fn attributes(path: &Path, attributes: Attributes) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    step(path)?;
    let Attributes { mode, uid, gid } = attributes;
    chown(path, Some(uid), Some(gid)).map_err(failed("set the owner of", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

/// Hard-links a file of the user's, so that nothing about it changes.
pub(super) fn link(from: &Path, to: &Path) -> Result<(), Error> {
    step(to)?;
    fs::hard_link(from, to).map_err(failed("link", to))
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    step(to)?;
    fs::rename(from, to).map_err(failed("move into place", to))
}

/// Moves a tree to a free name, or over an empty directory.
pub(super) fn take_place(from: &Path, to: &Path) -> Result<(), Error> {
    movable(to)?;
    rename(from, to)
}

/// Exchanges two trees atomically.
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

/// Removes a directory if it is empty.
pub(super) fn remove_if_empty(path: &Path) -> Result<(), Error> {
    step(path)?;
    match fs::remove_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        result => result.map_err(failed("remove", path)),
    }
}

/// Syncs every directory of a tree to disk. Files are synced when they are created.
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
    use std::path::Path;

    use crate::host::files::{Error, failed};

    thread_local! {
        /// After so many changes every further change fails, as if the process had died.
        pub(crate) static STEPS_LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
        /// Whether exchanging trees fails, as if the target were a mount point.
        pub(crate) static IS_MOUNT_POINT: Cell<bool> = const { Cell::new(false) };
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
