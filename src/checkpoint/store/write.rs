//! Folders that are there whole or not at all, and gone for good when they are removed.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use crate::checkpoint::copy::Folder;
use crate::host::files::{self, Error, PRIVATE_DIR, failed};

/// What all temporary names have in them, see [`files::temp_path`].
const TEMPORARY: &str = ".bootkube-";

/// Creates a folder that must be private even if it exists, and those above it that are missing.
pub fn private_dir(path: &Path) -> Result<(), Error> {
    files::ensure_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIR)).map_err(failed("set the mode of", path))
}

/// Writes the folders of one revision to `path`, unless it is there: then it is complete, and what
/// it holds is in its name.
pub fn folders(path: &Path, folders: &BTreeMap<String, Folder>) -> Result<(), Error> {
    files::ensure_dir(files::parent(path))?;
    if path.is_dir() {
        return Ok(());
    }
    let temporary = files::temp_path(path);
    let written = fill(&temporary, folders)
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("rename into place", path)));
    if let Err(error) = written {
        // The first failure is the one to report; what stays is swept away later.
        fs::remove_dir_all(&temporary).ok();
        return Err(error);
    }
    files::sync_dir(files::parent(path))
}

fn fill(root: &Path, folders: &BTreeMap<String, Folder>) -> Result<(), Error> {
    files::create_dir(root, PRIVATE_DIR)?;
    for (volume, folder) in folders {
        let Folder { owner, mode, files } = folder;
        let top = root.join(volume);
        directory(&top, *mode, *owner)?;
        for (path, file) in files {
            let place = top.join(path);
            between(&top, files::parent(&place), *mode, *owner)?;
            files::create(&place, &file.bytes, file.mode)?;
            give(&place, *owner)?;
        }
        sync_tree(&top)?;
    }
    files::sync_dir(root)
}

/// The folders from `top` down to `path`.
fn between(top: &Path, path: &Path, mode: u32, owner: (u32, u32)) -> Result<(), Error> {
    if path == top || path.is_dir() {
        return Ok(());
    }
    between(top, files::parent(path), mode, owner)?;
    directory(path, mode, owner)
}

fn directory(path: &Path, mode: u32, owner: (u32, u32)) -> Result<(), Error> {
    files::create_dir(path, mode)?;
    give(path, owner)
}

/// Changes owner and group, where they differ.
fn give(path: &Path, owner: (u32, u32)) -> Result<(), Error> {
    let found = fs::metadata(path).map_err(failed("read", path))?;
    if (found.uid(), found.gid()) == owner {
        return Ok(());
    }
    chown(path, Some(owner.0), Some(owner.1)).map_err(failed("change the owner of", path))?;
    // The kernel takes bits away with the owner.
    fs::set_permissions(path, found.permissions()).map_err(failed("set the mode of", path))
}

fn sync_tree(folder: &Path) -> Result<(), Error> {
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        sync_tree(&path)?;
    }
    files::sync_dir(folder)
}

/// What is in a folder; a missing one is empty.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("read", folder))?,
    };
    let paths: Result<Vec<PathBuf>, io::Error> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(failed("read", folder))?;
    paths.sort();
    Ok(paths)
}

/// What interrupted writes of `name`, or of any file if it is empty, left in a folder.
pub fn temporary(folder: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    let ours = |path: &PathBuf| {
        let found = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.starts_with(&format!(".{name}")) && found.contains(&format!("{name}{TEMPORARY}"))
    };
    Ok(entries(folder)?.into_iter().filter(ours).collect())
}

/// Removes a file for good; that it is gone already is fine.
pub fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed.map_err(failed("remove", path)).and_then(|()| files::sync_dir(files::parent(path)))
        }
    }
}

/// Removes a folder and everything in it for good; that it is gone already is fine.
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => remove_file(path),
        removed => {
            removed.map_err(failed("remove", path)).and_then(|()| files::sync_dir(files::parent(path)))
        }
    }
}

/// Removes a folder if nothing is in it.
pub fn remove_empty(path: &Path) -> Result<(), Error> {
    match fs::remove_dir(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Ok(())
        }
        removed => {
            removed.map_err(failed("remove", path)).and_then(|()| files::sync_dir(files::parent(path)))
        }
    }
}
