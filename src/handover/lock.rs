//! One at a time in a network namespace, whatever else two processes do not share: a name that only one socket can have. The kernel
//! forgets it with its owner, and tells whoever is connected to it.

use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self, SocketAddr};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

/// Held by the agent of a machine that works.
pub const AGENT: &str = "agent";
/// Held by whoever wants the agent of the machine to make way, from before it waits for [`AGENT`].
pub const STAND_IN: &str = "stand-in";
/// Until a name that is just being taken can be connected to.
const RETRY: Duration = Duration::from_millis(10);

/// Held until it is dropped.
pub struct Lock {
    listener: UnixListener,
    waiting: Vec<UnixStream>,
}

impl Lock {
    /// Waits until somebody else begins to wait for it.
    pub async fn wanted(&mut self) -> io::Result<()> {
        let (stream, _) = self.listener.accept().await?;
        let waits = |stream: &UnixStream| {
            stream.try_read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        self.waiting.retain(waits);
        self.waiting.push(stream);
        Ok(())
    }
}

/// Waits for the lock on steering `port`.
pub async fn lock(port: u16) -> io::Result<Lock> {
    named(&format!("steering/{port}")).await
}

/// Waits for the lock called `name`.
pub async fn named(name: &str) -> io::Result<Lock> {
    let address = address(name)?;
    loop {
        match net::UnixListener::bind_addr(&address) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                return Ok(Lock { listener: UnixListener::from_std(listener)?, waiting: Vec::new() });
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => match connect(&address)? {
                Some(owner) => end(&owner).await?,
                None => tokio::time::sleep(RETRY).await,
            },
            Err(error) => return Err(error),
        }
    }
}

/// Waits until nobody has the lock called `name`.
pub async fn free(name: &str) -> io::Result<()> {
    let address = address(name)?;
    while let Some(owner) = connect(&address)? {
        end(&owner).await?;
    }
    Ok(())
}

/// Whether somebody has the lock called `name`.
pub fn is_held(name: &str) -> io::Result<bool> {
    connect(&address(name)?).map(|owner| owner.is_some())
}

/// To the owner of a name, if there is one that listens.
fn connect(address: &SocketAddr) -> io::Result<Option<UnixStream>> {
    match net::UnixStream::connect_addr(address) {
        Ok(owner) => {
            owner.set_nonblocking(true)?;
            UnixStream::from_std(owner).map(Some)
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until the owner is gone, who never says a word.
async fn end(owner: &UnixStream) -> io::Result<()> {
    loop {
        owner.readable().await?;
        match owner.try_read(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("bootkube/{name}"))
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// What is not to happen would.
    const SHORT: Duration = Duration::from_millis(50);
    /// What is to happen does at once.
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn one_has_it_at_a_time() {
        let first = lock(1).await.unwrap();
        assert!(timeout(SHORT, lock(1)).await.is_err());
        let mut others: tokio::task::JoinSet<_> = (0..2).map(|_| lock(1)).collect();
        tokio::task::yield_now().await;
        drop(first);
        let next = timeout(LONG, others.join_next()).await.unwrap().unwrap();
        assert!(timeout(SHORT, others.join_next()).await.is_err());
        drop(next);
        timeout(LONG, others.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn its_owner_is_told_who_waits_and_keeps_it() {
        let name = "tests/wanted";
        let mut held = named(name).await.unwrap();
        assert!(timeout(SHORT, held.wanted()).await.is_err());
        let next = tokio::spawn(named(name));
        timeout(LONG, held.wanted()).await.unwrap().unwrap();
        assert!(timeout(SHORT, held.wanted()).await.is_err(), "one waits, once");
        assert!(!next.is_finished());
        drop(held);
        timeout(LONG, next).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn whoever_looks_does_not_take_it() {
        let name = "tests/looked-at";
        assert!(!is_held(name).unwrap());
        free(name).await.unwrap();
        let held = named(name).await.unwrap();
        assert!(is_held(name).unwrap());
        let looks = tokio::spawn(free(name));
        assert!(timeout(SHORT, named(name)).await.is_err());
        assert!(!looks.is_finished());
        drop(held);
        timeout(LONG, looks).await.unwrap().unwrap().unwrap();
        assert!(!is_held(name).unwrap());
    }
}
