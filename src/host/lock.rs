//! One at a time on a machine, also from containers that share nothing but a folder: whoever changes the machine locks that folder, which
//! needs nothing to be written. The kernel lets go of the lock of a process that has died, so a stale one blocks nobody.
//!
//! Beside the lock its holder says who it is, in a file. The file locks nothing.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use serde::{Deserialize, Serialize};

use super::files::{self, failed};

/// In the folder: who holds it.
const HOLDER: &str = "bootkube.lock";

/// Who holds the lock. A process id would mean nothing in another container.
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
    /// Somebody else has it.
    #[error("{} is in use by {}", folder.display(), holder.as_ref().map_or("a bootkube that has not said yet who it is".to_owned(), ToString::to_string))]
    Held {
        /// What is locked.
        folder: PathBuf,
        /// Who, once it has said so.
        holder: Option<Box<Holder>>,
    },
    /// The system refused.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    said: PathBuf,
    #[expect(dead_code, reason = "the folder is locked as long as it is open")]
    folder: File,
}

/// Locks `folder`, which is made if it is not there, unless somebody else has it.
pub fn take(folder: &Path, me: &Holder) -> Result<Lock, Error> {
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let open = File::open(folder).map_err(failed("open", folder))?;
    let said = folder.join(HOLDER);
    match open.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Held { folder: folder.to_owned(), holder: read(&said) });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", folder)(error).into()),
    }
    if let Err(error) = say(&said, me) {
        tracing::debug!(error = crate::error::chain(&error), "the holder of the lock is not told"); // a full disk: the lock holds
    }
    Ok(Lock { said, folder: open })
}

fn say(path: &Path, me: &Holder) -> Result<(), files::Error> {
    let text = serde_json::to_vec(me).map_err(|error| failed("describe", path)(io::Error::from(error)))?;
    files::sweep(path)?;
    files::write_atomic(path, &text, files::PRIVATE_FILE)
}

fn read(path: &Path) -> Option<Box<Holder>> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the folder is let go of; a name that stays behind is not looked at.
        fs::remove_file(&self.said).ok();
    }
}

#[cfg(test)]
mod tests {
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
    fn one_has_it_at_a_time_and_who_does_is_named() {
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
    fn a_name_that_was_left_behind_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(HOLDER), serde_json::to_vec(&me()).unwrap()).unwrap();
        take(folder.path(), &me()).unwrap();
    }

    #[test]
    fn a_holder_that_is_killed_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut holder = Command::new("flock");
        holder.arg(folder.path()).args(["sh", "-c", "echo; exec sleep 60"]).stdout(Stdio::piped());
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
