//! The ports on which the programs of a control plane listen.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;
use url::Url;

use super::command::{container_words, flag, runs};

/// Ports that the programs of a control plane listen on by default.
const SECURE_PORTS: [(&str, u16); 3] =
    [("kube-apiserver", 6443), ("kube-controller-manager", 10257), ("kube-scheduler", 10259)];
const ETCD: &str = "etcd";
const ETCD_LISTENS: [&str; 3] = ["listen-client-urls", "listen-peer-urls", "listen-metrics-urls"];

/// A port that one of our programs will listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The port, of TCP.
    pub port: u16,
    /// At which addresses; any where this is empty.
    pub addresses: BTreeSet<IpAddr>,
    /// Which program.
    pub program: &'static str,
    /// Its command lines: in the bootstrap pod, and in the self-hosted one.
    pub commands: Vec<Vec<String>>,
}

impl Claim {
    /// Adds what another container claims of the same port.
    pub fn join(&mut self, other: Self) {
        if other.addresses.is_empty() || self.addresses.is_empty() {
            self.addresses.clear();
        } else {
            self.addresses.extend(other.addresses);
        }
        self.commands.extend(other.commands);
    }

    /// Whether a listener at `address` is in the way.
    pub fn collides_with(&self, address: IpAddr) -> bool {
        self.addresses.is_empty() || address.is_unspecified() || self.addresses.contains(&address)
    }
}

/// The ports on which the program of a container listens, by its flags or else by default.
pub fn claims_of(container: &Value) -> Vec<Claim> {
    let command: Vec<&str> = container_words(container).collect();
    let owned = || vec![command.iter().map(|word| (*word).to_owned()).collect()];
    if runs(command.iter().copied(), ETCD) {
        let urls = ETCD_LISTENS.iter().filter_map(|name| flag(command.iter().copied(), name));
        let urls: Vec<String> = urls.collect();
        let sockets = urls.iter().flat_map(|list| list.split(',')).filter_map(socket);
        let claim = |(address, port)| Claim { port, addresses: address, program: ETCD, commands: owned() };
        return sockets.map(claim).collect();
    }
    let program = SECURE_PORTS.iter().find(|(program, _)| runs(command.iter().copied(), program));
    let claim = program.map(|(program, default)| {
        let port = flag(command.iter().copied(), "secure-port").and_then(|port| port.parse().ok());
        let address = flag(command.iter().copied(), "bind-address").unwrap_or_default();
        Claim { port: port.unwrap_or(*default), addresses: addresses(&address), program, commands: owned() }
    });
    claim.into_iter().collect()
}

/// A variable, such as `$(HOST_IP)`, may be any address.
fn addresses(text: &str) -> BTreeSet<IpAddr> {
    text.parse().into_iter().filter(|address: &IpAddr| !address.is_unspecified()).collect()
}

fn socket(url: &str) -> Option<(BTreeSet<IpAddr>, u16)> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    Some((addresses(host), url.port()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_those_of_the_flags_else_of_the_program() {
        let claims = |words: &[&str]| {
            let claims = claims_of(&json!({"command": words}));
            let plain = |claim: Claim| (claim.port, claim.addresses.into_iter().collect::<Vec<_>>());
            claims.into_iter().map(plain).collect::<Vec<_>>()
        };
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(claims(&["kube-scheduler", "--bind-address=127.0.0.1"]), [(10259, vec![loopback])]);
        assert_eq!(claims(&["/hyperkube", "apiserver", "--secure-port=443"]), [(443, vec![])]);
        assert_eq!(claims(&["kube-apiserver", "--bind-address=$(HOST_IP)"]), [(6443, vec![])]);
        let etcd = ["etcd", "--listen-client-urls=https://127.0.0.1:2379,https://0.0.0.0:2377"];
        assert_eq!(claims(&etcd), [(2379, vec![loopback]), (2377, vec![])]);
        assert_eq!(claims(&["flanneld"]), []);
    }

    #[test]
    fn a_listener_at_another_address_does_not_collide() {
        let claim = Claim {
            port: 1,
            addresses: addresses("127.0.0.1"),
            program: "kube-scheduler",
            commands: Vec::new(),
        };
        let collides = |address: &str| claim.collides_with(address.parse().unwrap());
        assert!(collides("127.0.0.1") && collides("0.0.0.0") && collides("::") && !collides("192.0.2.1"));
    }
}
