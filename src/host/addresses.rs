//! The addresses of this machine.

use std::io;
use std::net::IpAddr;

/// Where kube-proxy in IPVS mode puts the addresses of Services. It rejects connections to their other
/// ports.
const SERVICES: &str = "kube-ipvs0";

/// Every address of every interface but kube-proxy's, loopback last: where a local apiserver can be asked, the
/// likeliest first.
pub fn local() -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| !interface.is_link_local() && interface.name != SERVICES)
        .map(|interface| interface.ip())
        .collect();
    addresses.sort_by_key(|address| (address.is_loopback(), *address));
    addresses.dedup();
    Ok(addresses)
}
