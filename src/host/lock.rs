//! The lock of a machine: of the commands that change it, one works at a time. Containers that
//! share nothing but the folder share the lock.
//!
//! The lock is a file that only root can open (see [`lock_file`]). Its content names the holder.
//! The kernel releases the lock of a process that has died. The content that such a process leaves
//! behind locks nothing.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{self, failed};
use super::lock_file;

/// Name of the lock in its folder.
const NAME: &str = "bootkube.lock";

/// The holder of the lock. A process id would mean nothing in another container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `start` or `reset`.
    pub command: String,
    /// Version of bootkube.
    pub bootkube: String,
    /// The name of the machine, or of its container.
    pub host: String,
    /// The machine's boot id.
    pub boot: String,
    /// Since when: RFC 3339, UTC.
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, bootkube, host, boot, since } = self;
        write!(f, "bootkube {command} (version {bootkube}) on {host}, boot {boot}, since {since}")
    }
}

/// Why the lock cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds it.
    #[error("{} is in use by {}", folder.display(), holder.as_ref().map_or("a bootkube that has not yet written its name".to_owned(), ToString::to_string))]
    Held {
        /// What is locked.
        folder: PathBuf,
        /// The holder, once it has written its name.
        holder: Option<Box<Holder>>,
    },
    /// The system refused.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

/// Locks `folder`, which is created if it is missing.
///
/// # Errors
/// [`Error::Held`] at once while another process holds the lock: this never waits.
pub fn take(folder: &Path, me: &Holder) -> Result<Lock, Error> {
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let path = folder.join(NAME);
    loop {
        let file = lock_file::open(&path)?;
        match file.try_lock() {
            // The last holder removed the file after it was opened here: the lock is of no use.
            Ok(()) if !lock_file::is_at(&file, &path)? => continue,
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Held { folder: folder.to_owned(), holder: read(&path) });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error).into()),
        }
        if let Err(error) = introduce(&file, me) {
            // Such as on a full disk. The lock holds all the same.
            tracing::debug!(%error, "the lock does not name its holder");
        }
        return Ok(Lock { path, file });
    }
}

fn introduce(mut file: &File, me: &Holder) -> io::Result<()> {
    file.set_len(0)?; // what a holder that died has left
    file.rewind()?;
    file.write_all(&serde_json::to_vec(me)?)
}

fn read(path: &Path) -> Option<Box<Holder>> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While the lock is held still, so that the file is no other process's. A file that stays
        // behind locks nothing.
        if lock_file::is_at(&self.file, &self.path).unwrap_or(false) {
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use super::*;

    fn me() -> Holder {
        let text = |text: &str| text.to_owned();
        Holder {
            command: text("start"),
            bootkube: text("1"),
            host: text("n1"),
            boot: text("b"),
            since: text("now"),
        }
    }

    #[test]
    fn one_holder_at_a_time_which_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), &me()).unwrap();
        let refused = take(folder.path(), &me()).unwrap_err().to_string();
        for named in ["n1", "boot b", "since now", "bootkube start"] {
            assert!(refused.contains(named), "{refused}");
        }
        drop(first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        take(folder.path(), &me()).unwrap();
    }

    #[test]
    fn a_name_that_was_left_behind_locks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let longer = Holder { host: "a-machine-with-a-longer-name".into(), ..me() };
        fs::write(folder.path().join(NAME), serde_json::to_vec(&longer).unwrap()).unwrap();
        let _held = take(folder.path(), &me()).unwrap();
        let Err(Error::Held { holder, .. }) = take(folder.path(), &me()) else { panic!("it is held") };
        assert_eq!(*holder.unwrap(), me());
    }

    #[test]
    fn a_user_that_is_not_root_cannot_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        drop(take(folder.path(), &me()).unwrap());
        let script = r#"exec 9< "$0" && flock -n 9 && echo && exec sleep 60"#;
        let mut attacker = Command::new("setpriv");
        attacker.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script]);
        let mut attacker = attacker.arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = [0];
        io::Read::read_exact(attacker.stdout.as_mut().unwrap(), &mut line).unwrap(); // it has locked the folder
        let taken = take(folder.path(), &me());
        attacker.kill().unwrap();
        attacker.wait().unwrap();
        taken.unwrap();
    }

    #[test]
    fn a_holder_whose_file_was_removed_leaves_that_of_the_next_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path(), &me()).unwrap();
        fs::remove_file(folder.path().join(NAME)).unwrap();
        let _second = take(folder.path(), &me()).unwrap();
        drop(first);
        assert!(take(folder.path(), &me()).is_err());
    }

    #[test]
    fn a_holder_that_is_killed_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        drop(take(folder.path(), &me()).unwrap());
        let mut holder = Command::new("flock");
        holder.arg(folder.path().join(NAME)).args(["sh", "-c", "echo; exec sleep 60"]).stdout(Stdio::piped());
        let mut holder = holder.spawn().unwrap();
        let mut line = [0];
        io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert!(matches!(take(folder.path(), &me()), Err(Error::Held { holder: None, .. })));
        // flock passes its lock on to its child, which has to die too.
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let child = fs::read_to_string(children).unwrap();
        Command::new("kill").args(["-KILL", &holder.id().to_string(), child.trim()]).status().unwrap();
        holder.wait().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while take(folder.path(), &me()).is_err() {
            assert!(std::time::Instant::now() < deadline);
        }
    }
}
