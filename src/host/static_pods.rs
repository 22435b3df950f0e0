//! Files of ours on the machine: static pods in kubelet's folder, and the folders of keys they
//! read.
//!
//! A file that is there already is adopted if it is ours to the byte, replaced if an earlier run
//! placed it, and refused, untouched, if neither is so. Only what was placed or adopted is removed.
//! Whether a file is an earlier run's the caller knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::files::{self, failed};

/// Marks a folder of keys as ours: only such a one is ever overwritten or removed.
const OURS: &str = ".bootkube";

/// Why a file could not be placed or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something else is there.
    #[error("{} exists and is not what would be placed; move it away and run the same command again", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A folder is there that we did not make.
    #[error(
        "{} exists and was not made by bootkube, it may hold the keys of a running control plane; \
         move it away and run the same command again",
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

/// What is where a static pod belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The pod, to the byte.
    Same,
    /// Another file of ours.
    Earlier,
}

/// Looks whether `content` can be placed at `path`. A file that is not the same must be one that
/// `is_ours`.
pub fn look(path: &Path, content: &[u8], is_ours: impl Fn(&[u8]) -> bool) -> Result<Found, Error> {
    match fs::read(path) {
        Ok(found) if found == content => Ok(Found::Same),
        Ok(found) if is_ours(&found) => Ok(Found::Earlier),
        Ok(_) => Err(Error::Foreign { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(error) => Err(failed("read", path)(error).into()),
    }
}

/// Places a static pod, over one that is there, so that kubelet sees all of it or nothing.
pub fn place(path: &Path, content: &[u8]) -> Result<(), Error> {
    files::ensure_dir(files::parent(path))?;
    files::sweep(path)?;
    Ok(files::write_atomic(path, content, files::PRIVATE_FILE)?)
}

/// Removes a static pod for good, if it still is what was placed. It may be gone already.
pub fn remove(path: &Path, content: &[u8], is_ours: impl Fn(&[u8]) -> bool) -> Result<(), Error> {
    files::sweep(path)?;
    match look(path, content, is_ours)? {
        // An earlier run may have removed it and died before that was on disk.
        Found::Nothing => Ok(files::sync_parent(path)?),
        Found::Same | Found::Earlier => Ok(files::remove(path)?),
    }
}

/// Whether a folder of keys can be written: absent, empty, or made by us.
pub fn check_key_folder(folder: &Path) -> Result<(), Error> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", folder)(error).into()),
    };
    if entries.next().is_none() || is_ours(folder) {
        return Ok(());
    }
    Err(Error::ForeignFolder { path: folder.to_owned() })
}

/// Whether `folder` bears the mark of those that were made here.
pub fn is_ours(folder: &Path) -> bool {
    folder.join(OURS).exists()
}

/// Whether a folder of ours holds all of `content`.
pub fn holds(folder: &Path, content: &BTreeMap<String, Vec<u8>>) -> bool {
    let is_there = |(path, bytes): (&String, &Vec<u8>)| holds_key(&folder.join(path), bytes);
    is_ours(folder) && content.iter().all(is_there)
}

/// Whether `path` is a file of this `content`.
pub fn holds_key(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|found| found == content)
}

/// Writes a folder of keys, readable by root alone: a new one is there whole or not at all. In one
/// of ours, which pods may have mounted, files that are the same already are left alone.
pub fn write_key_folder(folder: &Path, content: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    check_key_folder(folder)?;
    if is_ours(folder) {
        return write_keys(folder, content);
    }
    files::ensure_dir(files::parent(folder))?;
    files::sweep(folder)?;
    let temporary = files::temp_path(folder);
    files::create_dir(&temporary, files::PRIVATE_DIR)?;
    write_key(&temporary.join(OURS), b"made by bootkube\n")?;
    write_keys(&temporary, content)?;
    fs::rename(&temporary, folder).map_err(failed("rename into place", folder))?;
    Ok(files::sync_dir(files::parent(folder))?)
}

fn write_keys(folder: &Path, content: &BTreeMap<String, Vec<u8>>) -> Result<(), Error> {
    content.iter().try_for_each(|(path, bytes)| write_key(&folder.join(path), bytes))
}

/// Adds one file to a folder of keys, unless it is there just so.
pub fn write_key(path: &Path, content: &[u8]) -> Result<(), Error> {
    files::ensure_dir(files::parent(path))?;
    files::sweep(path)?;
    match holds_key(path, content) {
        true => Ok(()),
        false => Ok(files::write_atomic(path, content, files::PRIVATE_FILE)?),
    }
}

/// Removes a folder of keys for good, if it is ours, and what an interrupted removal left of it. It
/// is renamed first: a part of it without its marker would pass for a foreign folder.
pub fn remove_key_folder(folder: &Path) -> Result<(), Error> {
    check_key_folder(folder)?;
    if folder.exists() {
        let dying = files::temp_path(folder);
        fs::rename(folder, &dying).map_err(failed("rename", folder))?;
    }
    files::sweep(folder)?;
    Ok(files::sync_parent(folder)?)
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
        let error = look(&path, b"ours", |_| false).unwrap_err().to_string();
        assert!(error.contains("bootstrap-apiserver.yaml"), "{error}");
        assert!(remove(&path, b"ours", |_| false).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"foreign");
    }

    #[test]
    fn a_static_pod_of_ours_is_adopted_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pod.yaml");
        assert_eq!(look(&path, b"ours", |_| false).unwrap(), Found::Nothing);
        place(&path, b"ours").unwrap();
        assert_eq!(look(&path, b"ours", |_| false).unwrap(), Found::Same);
        assert_eq!(look(&path, b"newer", |found| found == b"ours").unwrap(), Found::Earlier);
        place(&path, b"newer").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(remove(&path, b"edited since", |_| false).is_err());
        remove(&path, b"newer", |_| false).unwrap();
        remove(&path, b"newer", |_| false).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
        assert!(holds(&folder, &BTreeMap::from([("etcd/server.key".into(), b"key".to_vec())])));
        assert!(!holds(&folder, &BTreeMap::from([("etcd/server.key".into(), b"other".to_vec())])));
        fs::create_dir(parent.path().join(".bootstrap-secrets.bootkube-interrupted")).unwrap();
        remove_key_folder(&folder).unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
