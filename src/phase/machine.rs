//! What every command asks the machine: whether this process is root, and which sockets listen on a
//! port.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::error::Error;
use crate::host::{addresses, sockets};

/// Time between two looks at what cannot be watched: a port, a process.
pub const PROBE: Duration = Duration::from_millis(50);

/// Refuses any user but root, because only root may write to kubelet's folder.
pub fn check_root() -> Result<(), Error> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::NotRoot),
    }
}

/// Addresses that `port` is listened on, one for each listener.
pub fn on_port(port: u16) -> Result<Vec<IpAddr>, Error> {
    sockets::on_port(port).map_err(Error::host("list the listeners of this machine"))
}

/// The sockets that listen on `port`.
pub fn sockets_on(port: u16) -> Result<BTreeSet<u32>, Error> {
    let found = sockets::listeners(port).map_err(Error::host("list the listeners of this machine"))?;
    Ok(found.into_iter().map(|listener| listener.inode).collect())
}

/// Addresses of this machine, the likeliest for others to use first.
pub fn local_addresses() -> Result<Vec<IpAddr>, Error> {
    addresses::local().map_err(Error::host("list the addresses of this machine"))
}
