//! One at a time in a network namespace, whatever else two processes do not share: a name that only one socket can have. The kernel
//! forgets it with its owner.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

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
    let name = SocketAddr::from_abstract_name(format!("bootkube/{name}"))?;
    loop {
        match UnixListener::bind_addr(&name) {
            Ok(listener) => return Ok(Lock(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => tokio::time::sleep(retry).await,
            Err(error) => return Err(error),
        }
    }
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
}
