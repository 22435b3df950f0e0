//! The address families of a cluster's nodes, pods and services: IPv4, IPv6 or both. Machines
//! always have both. Pure.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::machine::Machine;

/// Families of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// The default.
    #[default]
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both; IPv4 comes first.
    Dual,
}

impl Families {
    /// The families of a configuration of bootkube's.
    pub fn of(config: &Value) -> Self {
        let ranges = config["serviceCIDRs"].as_array().map_or(&[][..], Vec::as_slice);
        let is_ipv6 = |range: &Value| range.as_str().is_some_and(|range| range.contains(':'));
        match (ranges.iter().any(is_ipv6), ranges.len()) {
            (false, _) => Self::Ipv4,
            (true, 1) => Self::Ipv6,
            (true, _) => Self::Dual,
        }
    }

    /// What a user writes into the configuration for a cluster of these families on `controller`.
    pub fn config(self, controller: &Machine) -> Value {
        let servers: Vec<String> = self
            .addresses(controller)
            .into_iter()
            .map(|address| format!("https://{}", std::net::SocketAddr::new(address, 6443)))
            .collect();
        json!({
            "apiServers": servers,
            "podCIDRs": self.choose("10.2.0.0/16", "fd00:2::/48"),
            "serviceCIDRs": self.choose("10.3.0.0/24", "fd00:3::/112"),
        })
    }

    /// Addresses of a machine, in order.
    pub fn addresses(self, machine: &Machine) -> Vec<IpAddr> {
        self.choose(machine.ip().into(), machine.ip6().into())
    }

    /// Where pods ask for names.
    pub(crate) fn dns(self) -> &'static str {
        self.choose("10.3.0.10", "fd00:3::a")[0]
    }

    /// One value for each family, in order.
    pub(crate) fn choose<T>(self, ipv4: T, ipv6: T) -> Vec<T> {
        match self {
            Self::Ipv4 => vec![ipv4],
            Self::Ipv6 => vec![ipv6],
            Self::Dual => vec![ipv4, ipv6],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_those_of_the_services() {
        let of = |ranges: Value| Families::of(&json!({"serviceCIDRs": ranges}));
        assert_eq!(Families::of(&json!({})), Families::Ipv4);
        assert_eq!(of(json!(["10.3.0.0/24"])), Families::Ipv4);
        assert_eq!(of(json!(["fd00:3::/112"])), Families::Ipv6);
        assert_eq!(of(json!(["10.3.0.0/24", "fd00:3::/112"])), Families::Dual);
    }
}
