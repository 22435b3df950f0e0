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

/// The addresses of the interfaces with these names, as pairs of name and address.
pub fn of_interfaces(names: &[&str]) -> io::Result<Vec<(String, IpAddr)>> {
    let mut found: Vec<(String, IpAddr)> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| !interface.is_link_local() && names.contains(&&*interface.name))
        .map(|interface| (interface.name.clone(), interface.ip()))
        .collect();
    found.sort();
    Ok(found)
}
