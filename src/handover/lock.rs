//! Locks that the agents of a machine, `start` and `unpivot` share.
//!
//! Each is a file in a folder that the agent's pod mounts, and only root can open it (see
//! [`lock_file`]): no other user can make the agent step down or keep connections from being
//! steered. The kernel releases a lock when its holder ends, in whatever way.
//!
//! Earlier agents locked names of abstract sockets instead, which any process in the machine's
//! network namespace could take. Such an agent and one of this version do not exclude each other.
//! In the rollout from one to the other, the older agent's copy works beside the newer agent's pod
//! until the copy is replaced as well, which is once the new pod has been healthy for a while. Both
//! come to the same decisions, and each checks where connections go after it has steered them.

use std::fs::{File, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::fs::inotify;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use crate::CHECKPOINT_SECRETS;
use crate::host::files::{self, Error, failed};
use crate::host::lock_file;

/// A thread that waits for a lock does nothing else.
const STACK: usize = 64 * 1024;

/// What is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The work of this machine's agent.
    Agent,
    /// Standing in for the agent. A command that takes this lock before it waits for
    /// [`Name::Agent`] makes the agent step down.
    StandIn,
    /// Steering the connections to a port.
    Steering(u16),
}

impl Name {
    fn file(self) -> String {
        match self {
            Self::Agent => ".agent.lock".to_owned(),
            Self::StandIn => ".stand-in.lock".to_owned(),
            Self::Steering(port) => format!(".steering-{port}.lock"),
        }
    }
}

/// The locks of a machine.
#[derive(Clone, Debug)]
pub struct Locks {
    folder: PathBuf,
}

impl Default for Locks {
    fn default() -> Self {
        Self { folder: CHECKPOINT_SECRETS.into() }
    }
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    #[expect(dead_code, reason = "the lock lasts as long as its file is open")]
    file: File,
}

#[derive(Clone, Copy)]
enum Mode {
    /// At most one holder.
    Exclusive,
    /// Held beside others that only look.
    Shared,
}

impl Locks {
    /// Locks in `folder`, which every process that is to respect them must use.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Waits for the lock `name`.
    ///
    /// # Cancellation
    /// If the future is dropped before it is ready, the lock is not held. A thread may go on
    /// waiting for it, which releases it at once.
    ///
    /// # Errors
    /// If the file cannot be opened or locked.
    pub async fn take(&self, name: Name) -> Result<Lock, Error> {
        let file = self.wait(name, Mode::Exclusive).await?;
        if name == Name::StandIn {
            // Locking a file is no event that can be watched; a new time stamp is. See `watch`.
            file.set_modified(SystemTime::now()).map_err(failed("change the time of", &self.path(name)))?;
        }
        Ok(Lock { file })
    }

    /// Waits until no process holds the lock `name`.
    ///
    /// # Cancellation
    /// As for [`take`](Self::take).
    pub async fn free(&self, name: Name) -> Result<(), Error> {
        self.wait(name, Mode::Shared).await.map(drop)
    }

    /// Whether a process holds the lock `name`. Does not wait.
    pub fn is_held(&self, name: Name) -> Result<bool, Error> {
        self.try_lock(&self.open(name)?, name, Mode::Shared).map(|is_locked| !is_locked)
    }

    /// Begins to watch the lock `name` for being taken.
    pub fn watch(&self, name: Name) -> Result<Watch, Error> {
        self.open(name)?;
        let path = self.path(name);
        let begin = || {
            let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
            // MODIFY: its time stamp is changed. ATTRIB: it is removed.
            let changes = inotify::WatchFlags::MODIFY | inotify::WatchFlags::ATTRIB;
            inotify::add_watch(&events, &path, changes)?;
            Ok(Watch { events: Receiver::from_owned_fd_unchecked(events)? })
        };
        begin().map_err(failed("watch", &path))
    }

    async fn wait(&self, name: Name, mode: Mode) -> Result<File, Error> {
        let path = self.path(name);
        loop {
            let mut file = self.open(name)?;
            if !self.try_lock(&file, name, mode)? {
                file = wait_on_a_thread(file, mode).await.map_err(failed("lock", &path))?;
            }
            if lock_file::is_at(&file, &path)? {
                return Ok(file);
            }
        }
    }

    fn try_lock(&self, file: &File, name: Name, mode: Mode) -> Result<bool, Error> {
        let locked = match mode {
            Mode::Exclusive => file.try_lock(),
            Mode::Shared => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(failed("lock", &self.path(name))(error)),
        }
    }

    fn open(&self, name: Name) -> Result<File, Error> {
        files::ensure_dir(&self.folder)?;
        lock_file::open(&self.path(name))
    }

    fn path(&self, name: Name) -> PathBuf {
        self.folder.join(name.file())
    }
}

/// Waits for a lock where that blocks nothing else. The thread sleeps in the kernel and dies with
/// the process.
async fn wait_on_a_thread(file: File, mode: Mode) -> io::Result<File> {
    let (sender, receiver) = oneshot::channel();
    let wait = move || {
        let locked = lock(&file, mode).map(|()| file);
        // If the waiter has given up, the file comes back and is closed, which releases the lock.
        sender.send(locked).map_or_else(drop, |()| ());
    };
    std::thread::Builder::new().stack_size(STACK).spawn(wait)?;
    receiver.await.map_err(io::Error::other)?
}

fn lock(file: &File, mode: Mode) -> io::Result<()> {
    loop {
        let locked = match mode {
            Mode::Exclusive => file.lock(),
            Mode::Shared => file.lock_shared(),
        };
        match locked {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}

/// Tells when a lock may have been taken.
pub struct Watch {
    /// No pipe, but read like one.
    events: Receiver,
}

impl Watch {
    /// Waits until the lock may have been taken since it was last looked at: since
    /// [`Locks::watch`], or since this returned.
    ///
    /// # Cancellation
    /// Nothing is lost if the future is dropped.
    pub async fn changed(&self) -> io::Result<()> {
        self.events.readable().await?;
        let mut buffer = [0; 256];
        loop {
            match self.events.try_read(&mut buffer) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::{TempDir, tempdir};
    use tokio::time::timeout;

    use super::*;

    /// What must not happen is waited for this long.
    const SHORT: Duration = Duration::from_millis(50);
    /// What must happen does so at once.
    const LONG: Duration = Duration::from_secs(10);

    fn locks() -> (TempDir, Locks) {
        let folder = tempdir().unwrap();
        let locks = Locks::in_folder(folder.path().join("private"));
        (folder, locks)
    }

    #[tokio::test]
    async fn a_lock_has_one_holder_at_a_time() {
        let (_folder, locks) = locks();
        let name = Name::Steering(1);
        let first = locks.take(name).await.unwrap();
        locks.take(Name::Steering(2)).await.unwrap();
        assert!(timeout(SHORT, locks.take(name)).await.is_err());
        let take = || {
            let locks = locks.clone();
            async move { locks.take(name).await }
        };
        let mut others: tokio::task::JoinSet<_> = (0..2).map(|_| take()).collect();
        tokio::task::yield_now().await;
        drop(first);
        let next = timeout(LONG, others.join_next()).await.unwrap().unwrap();
        assert!(timeout(SHORT, others.join_next()).await.is_err());
        drop(next);
        timeout(LONG, others.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_lock_that_was_waited_for_in_vain_is_not_held() {
        let (_folder, locks) = locks();
        let held = locks.take(Name::Agent).await.unwrap();
        assert!(timeout(SHORT, locks.take(Name::Agent)).await.is_err());
        drop(held);
        timeout(LONG, locks.take(Name::Agent)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn waiting_for_a_lock_does_not_block_the_thread() {
        let (_folder, locks) = locks();
        let held = locks.take(Name::Agent).await.unwrap();
        let release = async {
            tokio::time::sleep(SHORT).await;
            drop(held);
        };
        let (taken, ()) =
            timeout(LONG, async { tokio::join!(locks.take(Name::Agent), release) }).await.unwrap();
        taken.unwrap();
    }

    #[tokio::test]
    async fn a_watch_tells_when_a_stand_in_takes_its_lock() {
        let (_folder, locks) = locks();
        let watch = locks.watch(Name::StandIn).unwrap();
        assert!(!locks.is_held(Name::StandIn).unwrap());
        assert!(timeout(SHORT, watch.changed()).await.is_err(), "looking is no event");
        let held = locks.take(Name::StandIn).await.unwrap();
        timeout(LONG, watch.changed()).await.unwrap().unwrap();
        assert!(locks.is_held(Name::StandIn).unwrap());
        assert!(timeout(SHORT, watch.changed()).await.is_err(), "one event for one holder");
        drop(held);
        assert!(!locks.is_held(Name::StandIn).unwrap());
    }

    #[tokio::test]
    async fn looking_at_a_lock_does_not_take_it() {
        let (_folder, locks) = locks();
        let name = Name::StandIn;
        assert!(!locks.is_held(name).unwrap());
        locks.free(name).await.unwrap();
        let held = locks.take(name).await.unwrap();
        assert!(locks.is_held(name).unwrap());
        let waiting = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.free(name).await })
        };
        assert!(timeout(SHORT, locks.take(name)).await.is_err());
        assert!(!waiting.is_finished());
        drop(held);
        timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_removed_file_is_no_lock() {
        let (folder, locks) = locks();
        let held = locks.take(Name::Agent).await.unwrap();
        let waiting = {
            let locks = locks.clone();
            tokio::spawn(async move { locks.take(Name::Agent).await })
        };
        tokio::time::sleep(SHORT).await;
        std::fs::remove_dir_all(folder.path().join("private")).unwrap();
        let next = locks.take(Name::Agent).await.unwrap();
        drop(held);
        tokio::time::sleep(SHORT).await;
        assert!(!waiting.is_finished(), "what it got was the lock of the removed file");
        drop(next);
        timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
    }

    /// As any process in the machine's network namespace could, when the locks were names of
    /// abstract sockets.
    #[tokio::test]
    async fn a_user_that_is_not_root_can_neither_hold_nor_look_at_a_lock() {
        let (folder, locks) = locks();
        let mode = std::os::unix::fs::PermissionsExt::from_mode;
        std::fs::set_permissions(folder.path(), mode(0o755)).unwrap();
        for name in [Name::Agent, Name::StandIn, Name::Steering(6443)] {
            drop(locks.take(name).await.unwrap());
            // Even where the folder lets everybody in, as kubelet makes it.
            std::fs::set_permissions(folder.path().join("private"), mode(0o755)).unwrap();
            let mut nobody = std::process::Command::new("setpriv");
            nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "flock", "--nonblock"]);
            let refused = nobody.arg(locks.path(name)).arg("true").output().unwrap();
            assert!(String::from_utf8_lossy(&refused.stderr).contains("Permission denied"), "{refused:?}");
            timeout(LONG, locks.take(name)).await.unwrap().unwrap();
        }
    }
}
