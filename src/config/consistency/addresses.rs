//! Addresses and names of the file against its ranges: what is a machine's can be neither a pod's
//! nor a Service's.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use url::Host;

use super::input::Input;
use crate::config::{Component, offset};
use crate::limits::networks;
use crate::values::endpoint::{api_server, etcd_server};
use crate::values::mistakes::{Given, List, Mistakes};
use crate::values::scalar::{self, AltName};

/// Whose address it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Machine,
    AltName,
    Upstream,
}

/// An address of the file.
struct Address {
    at: String,
    written: String,
    ip: IpAddr,
    role: Role,
}

/// Offset of the API's address, and of that of DNS, in a range of Services.
const API: u32 = 1;
const DNS: u32 = 10;
/// Ranges that are offered instead, without overlap with each other.
const OTHER_PODS: [&str; 5] =
    ["10.2.0.0/16", "10.244.0.0/16", "172.20.0.0/16", "fd00:2::/56", "fd00:22::/56"];
const OTHER_SERVICES: [&str; 5] =
    ["10.3.0.0/24", "10.96.0.0/16", "172.21.0.0/16", "fd00:3::/112", "fd00:33::/112"];

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    let addresses = addresses(input);
    for address in &addresses {
        if refuse_special(address, mistakes) {
            continue;
        }
        for range in &input.ranges.pods {
            if range.value.contains(&address.ip) {
                let other = other(&OTHER_PODS, range, input, &addresses);
                inside(address, range, "pods", "podCIDRs", &other, mistakes);
            }
        }
        for range in &input.ranges.services {
            if range.value.contains(&address.ip) {
                of_services(address, range, input, &addresses, mistakes);
            }
        }
    }
    names(input, mistakes);
}

/// Every address that the file names.
fn addresses(input: &Input<'_>) -> Vec<Address> {
    let settings = input.settings;
    let mut found = Vec::new();
    let mut add = |given: &Given<String>, ip: Option<IpAddr>, role| {
        let address = |ip| Address { at: given.at.clone(), written: given.value.clone(), ip, role };
        found.extend(ip.map(address));
    };
    for server in items(settings.api_servers.as_ref()) {
        add(server, api_server(&server.value).ok().and_then(|url| ip(url.host())), Role::Server);
    }
    for server in items(settings.etcd.servers.as_ref()) {
        add(server, etcd_server(&server.value).ok().and_then(|url| ip(url.host())), Role::Server);
    }
    for address in input.listed.iter().flat_map(|node| &node.addresses) {
        let written = Given::new(&address.at, address.value.to_string());
        add(&written, Some(address.value), Role::Machine);
    }
    for name in items(settings.api_alt_names.as_ref()) {
        let ip = match scalar::alt_name(&name.value) {
            Ok(AltName::Ip(ip)) => Some(ip),
            _ => None,
        };
        add(name, ip, Role::AltName);
    }
    for upstream in items(settings.core_dns_upstream.as_ref()) {
        let socket = || upstream.value.parse::<SocketAddr>().ok().map(|socket| socket.ip());
        add(upstream, upstream.value.parse().ok().or_else(socket), Role::Upstream);
    }
    for (part, flag) in [(Component::Apiserver, "advertise-address"), (Component::Flannel, "public-ip")] {
        if let Some(argument) = input.argument(part, flag) {
            for value in &argument.values {
                add(&Given::new(&argument.at, value.clone()), value.parse().ok(), Role::Server);
            }
        }
    }
    found
}

fn items(list: Option<&List>) -> &[Given<String>] {
    list.map_or(&[], |list| &list.value)
}

fn ip(host: Option<Host<&str>>) -> Option<IpAddr> {
    match host? {
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
        Host::Domain(_) => None,
    }
}

/// Refuses an address that no machine, or not the one that is meant, can have.
fn refuse_special(address: &Address, mistakes: &mut Mistakes) -> bool {
    let Some(special) = networks::special_address(address.ip) else { return false };
    let cure = match (address.role, address.ip.to_canonical()) {
        // A machine reaches itself there, and a cluster of one machine needs no other address.
        (Role::Server | Role::AltName, ip) if ip.is_loopback() && ip == address.ip => return false,
        // It harms no certificate, and names no machine either.
        (Role::AltName, _) if address.ip.is_unspecified() => {
            let text = format!("{} is an address to listen on, which no client asks", address.written);
            mistakes.warn(&address.at, text);
            return true;
        }
        // Clouds have resolvers there.
        (Role::Upstream, IpAddr::V4(ip)) if ip.is_link_local() => return false,
        (Role::Upstream, ip) if ip.is_loopback() => {
            "write the addresses of the resolvers that it asks itself (with systemd-resolved, \
             /run/systemd/resolve/resolv.conf lists them); a pod's loopback is the pod"
                .into()
        }
        (_, ip @ IpAddr::V4(_)) if ip != address.ip => {
            format!("write {}", address.written.replace(&in_url(address), &ip.to_string()))
        }
        _ => "write an address that other machines reach".into(),
    };
    let problem = format!("is in {}, which is {}", special.range, special.meaning);
    mistakes.refuse(&address.at, &address.written, problem, cure);
    true
}

/// An address as a URL has it.
fn in_url(address: &Address) -> String {
    match (address.written.find('['), address.written.find(']')) {
        (Some(from), Some(to)) if from < to => address.written[from..=to].into(),
        _ => address.written.clone(),
    }
}

fn of_services(
    address: &Address,
    range: &Given<IpNet>,
    input: &Input<'_>,
    addresses: &[Address],
    mistakes: &mut Mistakes,
) {
    match address.role {
        // It is in the certificate anyway.
        Role::AltName if address.ip == offset(&range.value, API) => {}
        Role::AltName => {
            let text = format!(
                "{} is an address of Services ({}): it leads to the API only if a Service of yours has it",
                address.written, range.value
            );
            mistakes.warn(&address.at, text);
        }
        Role::Upstream if address.ip == offset(&range.value, DNS) => {
            let problem = "is the address of cluster DNS itself, which would ask itself for ever";
            let cure = "write the address of a resolver outside of the cluster, or /etc/resolv.conf";
            mistakes.refuse(&address.at, &address.written, problem, cure);
        }
        Role::Upstream => {
            let text = format!(
                "{} is an address of Services ({}): names outside of the cluster do not resolve until a Service has this address",
                address.written, range.value
            );
            mistakes.warn(&address.at, text);
        }
        _ => {
            let other = other(&OTHER_SERVICES, range, input, addresses);
            inside(address, range, "Services", "serviceCIDRs", &other, mistakes);
        }
    }
}

fn inside(
    address: &Address,
    range: &Given<IpNet>,
    of: &str,
    field: &str,
    other: &str,
    mistakes: &mut Mistakes,
) {
    let problem = format!("is inside {} of {}, whose addresses are those of {of}", range.value, range.at);
    let cure = format!("correct the address, or set {field} to a range without it{other}");
    mistakes.refuse(&address.at, &address.written, problem, cure);
}

/// A range of the same family that nothing in the file is in.
fn other(candidates: &[&str], wrong: &Given<IpNet>, input: &Input<'_>, addresses: &[Address]) -> String {
    let ranges = || input.ranges.pods.iter().chain(&input.ranges.services);
    let is_free = |range: &IpNet| {
        range.addr().is_ipv4() == wrong.value.addr().is_ipv4()
            && !ranges().any(|taken| networks::overlap(&taken.value, range))
            && !addresses.iter().any(|address| range.contains(&address.ip))
    };
    let free = candidates.iter().filter_map(|text| text.parse().ok()).find(is_free);
    free.map_or(String::new(), |range| format!(", such as {range}"))
}

/// The API's Service in the forms that a pod's search list completes.
const SERVICE: [&str; 3] = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// Cluster DNS answers every name of its domain itself, and none of them is a machine.
fn names(input: &Input<'_>, mistakes: &mut Mistakes) {
    let domain = &input.config.cluster_domain;
    let settings = input.settings;
    let servers = items(settings.api_servers.as_ref()).iter().map(|given| (given, api_server(&given.value)));
    let etcd = items(settings.etcd.servers.as_ref()).iter().map(|given| (given, etcd_server(&given.value)));
    for (given, url) in servers.chain(etcd) {
        let Ok(url) = url else { continue };
        let Some(Host::Domain(name)) = url.host() else { continue };
        if SERVICE.contains(&name) {
            let problem = "is the API's Service, whose name only pods can resolve, once the cluster runs";
            let cure = "write the name or address by which machines reach the API";
            mistakes.refuse(&given.at, &given.value, problem, cure);
        }
        if name == domain || name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.')) {
            let problem =
                format!("is in the domain of Services ({domain}), where cluster DNS finds Services only");
            let cure = "write a name or address outside of it, or set clusterDomain to a domain of its own";
            mistakes.refuse(&given.at, &given.value, problem, cure);
        }
    }
}
