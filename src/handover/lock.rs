//! One at a time in a network namespace, whatever else two processes do not share: a name that only one socket can have. The kernel
//! forgets it with its owner.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

/// Held by the agent of a machine that works.
pub const AGENT: &str = "agent";
/// Held by whoever wants the agent of the machine to make way.
pub const STAND_IN: &str = "stand-in";
/// Between two tries for the port.
const RETRY: Duration = Duration::from_millis(10);

/// Held until it is dropped.
pub struct Lock(#[expect(dead_code, reason = "the name is held as long as the socket is open")] UnixListener);

/// Waits for the lock on steering `port`.
pub async fn lock(port: u16) -> io::Result<Lock> {
    named(&format!("steering/{port}"), RETRY).await
}

/// Waits for the lock called `name`, looking every `retry`.
pub async fn named(name: &str, retry: Duration) -> io::Result<Lock> {
    let address = address(name)?;
    loop {
        match UnixListener::bind_addr(&address) {
            Ok(listener) => return Ok(Lock(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(retry).await,
            Err(error) => return Err(error),
        }
    }
}

/// Waits until somebody has the lock called `name`, looking every `retry`.
pub async fn taken(name: &str, retry: Duration) -> io::Result<()> {
    let address = address(name)?;
    loop {
        match UnixListener::bind_addr(&address) {
            Ok(ours) => drop(ours),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(()),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(retry).await;
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("bootkube/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_has_it_at_a_time() {
        let first = lock(1).await.unwrap();
        assert!(tokio::time::timeout(RETRY * 3, lock(1)).await.is_err());
        drop(first);
        lock(1).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_waits_for_it_to_be_taken_does_not_keep_it() {
        let name = "tests/taken";
        assert!(tokio::time::timeout(RETRY * 3, taken(name, RETRY)).await.is_err());
        let held = named(name, RETRY).await.unwrap();
        taken(name, RETRY).await.unwrap();
        drop(held);
    }
}
