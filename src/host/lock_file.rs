//! Files that only root can lock.
//!
//! flock(2) asks for no permission but the one to open the file. Whatever every user may read,
//! every user may lock: a folder of mode 0755, an abstract socket's name likewise. So a lock of
//! ours is a file of mode 0600. The kernel releases it when its holder closes the file or dies, and
//! no lock outlives a reboot.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::files::{Error, PRIVATE_FILE, failed};

/// Opens the file `path` to lock it, and creates it where it is missing. Its folder must exist.
///
/// # Errors
/// If `path` is a symbolic link, no regular file, or belongs to another user: such a file may be
/// one that other users can lock too.
pub fn open(path: &Path) -> Result<File, Error> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK; // a pipe under this name must not make `open` wait
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE_FILE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(failed("open the lock", path))?;
    let found = file.metadata().map_err(failed("read", path))?;
    if !found.is_file() || found.uid() != geteuid().as_raw() {
        let why = "it is no regular file of this user; move it away";
        return Err(failed("use the lock", path)(io::Error::other(why)));
    }
    if found.mode() & 0o077 != 0 {
        // An administrator's `chmod -R` must neither open the lock to every user nor stop the
        // control plane.
        file.set_permissions(Permissions::from_mode(PRIVATE_FILE))
            .map_err(failed("set the mode of", path))?;
    }
    Ok(file)
}

/// Whether `path` still names `file`. A lock on a removed file does not exclude a process that
/// opens the path later.
pub fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    let held = file.metadata().map_err(failed("read", path))?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::process::Command;

    use super::*;

    #[test]
    fn another_user_can_neither_open_nor_lock_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("lock");
        let file = open(&path).unwrap();
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "flock", "--nonblock"];
        let mut attempt = Command::new("setpriv");
        let refused = attempt.args(nobody).arg(&path).arg("true").output().unwrap();
        assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied"), "{refused:?}");
        file.try_lock().unwrap();
    }

    #[test]
    fn a_link_a_pipe_and_a_file_of_another_user_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("target"), "").unwrap();
        symlink(path("target"), path("link")).unwrap();
        assert!(open(&path("link")).is_err());
        Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(open(&path("pipe")).unwrap_err().to_string().contains("pipe"));
        fs::write(path("foreign"), "").unwrap();
        chown(path("foreign"), Some(65534), None).unwrap();
        assert!(open(&path("foreign")).is_err());
        assert!(open(folder.path()).is_err());
    }

    #[test]
    fn a_mode_that_lets_others_in_is_tightened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE_FILE);
    }

    #[test]
    fn a_file_that_was_removed_is_no_longer_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let file = open(&path).unwrap();
        assert!(is_at(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap());
        open(&path).unwrap();
        assert!(!is_at(&file, &path).unwrap(), "another file of the same name");
    }
}
