//! Files of ours on the machine: static pods in kubelet's folder, and the folders of keys they read.
//!
//! A file that is there already is adopted if it is ours to the byte, and refused, untouched, if it is not. Only what was placed
//! or adopted is removed.

use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::files::{self, failed};

/// Marks a folder of keys as ours: only such a one is ever overwritten or removed.
const OURS: &str = ".bootkube";

/// Why a file could not be placed or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something else is there.
    #[error("{} exists and is not what would be placed; move it away and run start again", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A folder is there that we did not make.
    #[error(
        "{} exists and was not made by bootkube, it may hold the keys of a running control plane; \
         move it away and run start again",
        path.display()
    )]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The system refused.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// Whether `path` can be placed: free, or already holding exactly `content`.
pub fn check_free(path: &Path, content: &[u8]) -> Result<(), Error> {
    match fs::read(path) {
        Ok(found) if found == content => Ok(()),
        Ok(_) => Err(Error::Foreign { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("read", path)(error).into()),
    }
}

/// Places a static pod so that kubelet sees all of it or nothing. One that is there just so keeps its time.
pub fn place(path: &Path, content: &[u8]) -> Result<(), Error> {
    check_free(path, content)?;
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        ensure_dir(folder)?;
    }
    Ok(files::write_atomic(path, content, files::PRIVATE_FILE)?)
}

/// A private folder, and those above it that are missing. One that exists keeps its mode.
fn ensure_dir(folder: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(files::PRIVATE_DIR);
    Ok(builder.create(folder).map_err(failed("create", folder))?)
}

/// Removes a static pod of ours, if it still is what was placed; that it is gone already is fine.
pub fn remove(path: &Path, content: &[u8]) -> Result<(), Error> {
    check_free(path, content)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error).into()),
        _ => Ok(()),
    }
}

/// Whether a folder of keys can be written: absent, empty, or made by us.
pub fn check_key_folder(folder: &Path) -> Result<(), Error> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", folder)(error).into()),
    };
    if entries.next().is_none() || folder.join(OURS).exists() {
        return Ok(());
    }
    Err(Error::ForeignFolder { path: folder.to_owned() })
}

/// Writes a folder of keys, readable by root alone. Files of ours that are the same already are left alone.
pub fn write_key_folder(folder: &Path, content: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    check_key_folder(folder)?;
    ensure_dir(folder)?;
    write_key(&folder.join(OURS), b"made by bootkube\n")?;
    for (path, bytes) in content {
        write_key(&folder.join(path), bytes)?;
    }
    Ok(())
}

/// Adds one file to a folder of keys, unless it is there just so.
pub fn write_key(path: &Path, content: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        ensure_dir(folder)?;
    }
    Ok(files::write_atomic(path, content, files::PRIVATE_FILE)?)
}

/// Removes a folder of keys, if it is ours, and what an interrupted removal left of it. It is renamed first: a part of it without its
/// marker would pass for somebody else's.
pub fn remove_key_folder(folder: &Path) -> Result<(), Error> {
    check_key_folder(folder)?;
    if folder.exists() {
        let dying = files::beside(folder);
        fs::rename(folder, &dying).map_err(failed("rename", folder))?;
    }
    let parent = files::parent(folder);
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed("read", parent))?,
    };
    let prefix = files::temporary_prefix(&folder.file_name().unwrap_or_default().to_string_lossy());
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        fs::remove_dir_all(entry.path()).map_err(failed("remove", &entry.path()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_foreign_static_pod_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bootstrap-apiserver.yaml");
        fs::write(&path, "foreign").unwrap();
        assert!(place(&path, b"ours").unwrap_err().to_string().contains("bootstrap-apiserver.yaml"));
        assert_eq!(fs::read(&path).unwrap(), b"foreign");
    }

    #[test]
    fn a_static_pod_of_ours_is_adopted_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pod.yaml");
        place(&path, b"ours").unwrap();
        place(&path, b"ours").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(remove(&path, b"edited since").is_err());
        remove(&path, b"ours").unwrap();
        remove(&path, b"ours").unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_foreign_key_folder_is_neither_written_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.key"), "live").unwrap();
        assert!(write_key_folder(folder.path(), &BTreeMap::new()).is_err());
        assert!(remove_key_folder(folder.path()).is_err());
        assert_eq!(fs::read(folder.path().join("ca.key")).unwrap(), b"live");
    }

    #[test]
    fn a_key_folder_of_ours_is_private_and_removed_whole() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("bootstrap-secrets");
        write_key_folder(&folder, &BTreeMap::from([("etcd/server.key".into(), b"key".to_vec())])).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.join("etcd/server.key")), 0o600);
        assert_eq!([mode(&folder), mode(&folder.join("etcd"))], [0o700, 0o700]);
        fs::create_dir(parent.path().join(".bootstrap-secrets.bootkube-interrupted")).unwrap();
        remove_key_folder(&folder).unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
