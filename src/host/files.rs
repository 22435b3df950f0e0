//! Files that are there whole or not at all, with their mode from the first moment, on disk when
//! the call returns.
//!
//! A new file is written beside its place under a dot-name, which kubelet's manifest folder
//! ignores, and renamed. Nothing here follows a symbolic link in the last part of a name it
//! creates, and nothing reads a file.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Mode of directories that hold secrets.
pub const PRIVATE_DIR: u32 = 0o700;
/// Mode of files that may hold secrets.
pub const PRIVATE_FILE: u32 = 0o600;

/// A failed change of the file system.
#[derive(Debug, thiserror::Error)]
#[error("failed to {act} `{}`", path.display())]
pub struct Error {
    /// What was tried, as a verb.
    pub act: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Names act and path of a failure.
pub fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { act, path, source }
}

/// Puts `bytes` at `path`, over a file that is there: readers see the old content or the new, also
/// after a power cut.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = temp_path(path);
    let written = create(&temporary, bytes, mode)
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("rename into place", path)));
    if let Err(error) = written {
        // The first failure is the one to report; a dot-file that stays behind does no harm.
        fs::remove_file(&temporary).ok();
        return Err(error);
    }
    sync_dir(parent(path))
}

/// Removes the file `path`, for good when the call returns.
pub fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_file(path).map_err(failed("remove", path))?;
    sync_dir(parent(path))
}

/// Creates the file `path`, which must not exist, with exactly `mode`, and waits until its content
/// is on disk.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed("create", path))?;
    // The umask may have taken bits away; before there is content, none can be seen too early.
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed("set the mode of", path))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.sync_all().map_err(failed("sync", path))
}

/// Creates the directory `path`, which must not exist, with exactly `mode`.
pub fn create_dir(path: &Path, mode: u32) -> Result<(), Error> {
    DirBuilder::new().mode(mode).create(path).map_err(failed("create", path))?;
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

/// Creates a private directory, and those above it that are missing, on disk when the call returns.
/// One that exists keeps its mode.
pub fn ensure_dir(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    ensure_dir(parent(path))?;
    match create_dir(path, PRIVATE_DIR) {
        Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created.and_then(|()| sync_dir(parent(path))),
    }
}

/// Waits until the entries of the directory `path` are on disk.
pub fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(failed("sync", path))
}

/// Waits until it is on disk whether `path` is there. Where the directory that holds it is missing
/// there is nothing to wait for.
pub fn sync_parent(path: &Path) -> Result<(), Error> {
    match sync_dir(parent(path)) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

/// The directory that holds `path`.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A new name beside `path` that kubelet and shells overlook: `.NAME.bootkube-RANDOM`.
pub fn temp_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    parent(path).join(format!("{}{}", temporary_prefix(&name), random()))
}

/// What names given by [`temp_path`] for `name` start with.
pub fn temporary_prefix(name: &str) -> String {
    format!(".{name}.bootkube-")
}

/// Removes what interrupted writes and removals of `path` have left beside it, for good when the
/// call returns. The caller must be the only one that writes there.
pub fn sweep(path: &Path) -> Result<(), Error> {
    let folder = parent(path);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("read", folder))?,
    };
    let prefix = temporary_prefix(&path.file_name().unwrap_or_default().to_string_lossy());
    let mut has_any = false;
    for entry in entries {
        let left = entry.map_err(failed("read", folder))?.path();
        if !left.file_name().unwrap_or_default().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        // Of a link only the link is removed, not what it leads to.
        let is_dir = fs::symlink_metadata(&left).map_err(failed("read", &left))?.is_dir();
        let removed = if is_dir { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
        removed.map_err(failed("remove", &left))?;
        has_any = true;
    }
    if has_any { sync_dir(folder) } else { Ok(()) }
}

/// Sixteen hexadecimal digits that differ from call to call.
pub fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// A machine with these files, for tests: its root.
#[cfg(test)]
pub(crate) fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod.yaml");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o644).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o644));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder");
        create_dir(&path, 0o700).unwrap();
        create(&path.join("x"), b"", 0o600).unwrap();
        let error = write_atomic(&path, b"one", 0o600).unwrap_err();
        assert!(error.to_string().contains("rename into place"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_was_cut_off_is_swept_away_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod.yaml");
        create(&temp_path(&path), b"half", 0o600).unwrap();
        create_dir(&temp_path(&path), 0o700).unwrap();
        let others = [path.clone(), temp_path(&dir.path().join("other.yaml"))];
        others.iter().for_each(|other| create(other, b"whole", 0o600).unwrap());
        sweep(&path).unwrap();
        assert!(others.iter().all(|other| other.exists()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        sweep(&dir.path().join("no/folder")).unwrap();
    }

    #[test]
    fn temporary_names_differ() {
        assert_ne!(temp_path(Path::new("a/b")), temp_path(Path::new("a/b")));
        assert!(temp_path(Path::new("b")).to_string_lossy().starts_with("./.b.bootkube-"));
    }
}
