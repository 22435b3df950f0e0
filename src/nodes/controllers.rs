//! What follows from the controllers of a list: how many there are, and where they are reached.

use std::net::SocketAddr;

use url::Url;

use super::listed::Listed;
use super::{Node, Role};
use crate::values::scalar::{self, AltName};

/// How many there are.
pub fn count(listed: &[Listed]) -> Option<u16> {
    let count = listed.iter().filter(|node| node.is_controller()).count();
    u16::try_from(count).ok().filter(|count| *count > 0)
}

/// The first address of each, as a URL.
pub fn urls(listed: &[Listed], port: u16) -> Vec<Url> {
    let controllers = listed.iter().filter(|node| node.is_controller());
    let addresses = controllers.filter_map(|node| node.addresses.first());
    let url = |address| Url::parse(&format!("https://{}", SocketAddr::new(address, port))).ok();
    addresses.filter_map(|address| url(address.value)).collect()
}

/// Names and addresses by which clients find the API of each.
pub fn alt_names(nodes: &[Node]) -> impl Iterator<Item = AltName> {
    let controllers = nodes.iter().filter(|node| node.role == Role::Controller);
    controllers.flat_map(|node| {
        let name = scalar::alt_name(&node.name).ok();
        name.into_iter().chain(node.addresses.iter().map(|address| AltName::Ip(*address)))
    })
}
