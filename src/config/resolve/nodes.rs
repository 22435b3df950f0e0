//! What the list of machines decides, where the user did not.

use url::Url;

use super::super::{AltNames, Node, defaults};
use crate::nodes::{self, Listed};
use crate::values::scalar::AltName;

const API_PORT: u16 = 6443;
const ETCD_PORT: u16 = 2379;

/// URLs of the API: those of the controllers.
pub(super) fn api_servers(listed: &[Listed]) -> Vec<Url> {
    let urls = nodes::urls(listed, API_PORT);
    if urls.is_empty() { Url::parse(defaults::API_SERVER).into_iter().collect() } else { urls }
}

/// URLs of an external etcd. One controller has its etcd on loopback; several have a member on each.
pub(super) fn etcd_servers(listed: &[Listed]) -> Vec<Url> {
    match nodes::controllers(listed) {
        Some(2..) => nodes::urls(listed, ETCD_PORT),
        _ => Url::parse(defaults::ETCD_SERVER).into_iter().collect(),
    }
}

/// Adds those of the controllers.
pub(super) fn add_alt_names(names: &mut AltNames, machines: &[Node]) {
    for name in nodes::alt_names(machines) {
        match name {
            AltName::Ip(ip) if !names.ips.contains(&ip) => names.ips.push(ip),
            AltName::Dns(name) if !names.dns_names.contains(&name) => names.dns_names.push(name),
            _ => {}
        }
    }
}
