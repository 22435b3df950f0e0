//! Ports of our parts on one machine, each against every other. Two programs on one port are never
//! one claim.

use std::net::{IpAddr, SocketAddr};

use url::Host;

use super::input::{Input, only};
use crate::config::{Component, Etcd, is_loopback};
use crate::limits::ports::{self, Port};
use crate::limits::takes;
use crate::values::endpoint::{api_server, etcd_server, port};
use crate::values::mistakes::{Given, Mistakes};

/// A port that a part of ours listens on, and where the user wrote it.
struct Claim {
    port: u16,
    part: String,
    written: Option<Given<String>>,
}

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    let claims = claims(input);
    for (index, claim) in claims.iter().enumerate() {
        let same = claims[..index].iter().find(|earlier| earlier.port == claim.port);
        // Either may be what the user wrote. Where both are, the later one is named.
        let Some(earlier) = same else { continue };
        let (Some(written), other) = (match &claim.written {
            Some(_) => (&claim.written, earlier),
            None => (&earlier.written, claim),
        }) else {
            continue;
        };
        let problem = format!("takes port {} of {}, which runs on the same machine", claim.port, other.part);
        mistakes.refuse(&written.at, &written.value, problem, cure(claim.port, &claims));
    }
    node_ports(input, &claims, mistakes);
}

/// Every port on a controller: those that are fixed first.
fn claims(input: &Input<'_>) -> Vec<Claim> {
    let moved = |fixed: &Port| {
        (*fixed == ports::PROXY_METRICS && proxy_port(input, "metrics").is_some())
            || (*fixed == ports::PROXY_HEALTH && proxy_port(input, "healthz").is_some())
    };
    let mut claims: Vec<Claim> =
        ports::OF_EVERY_CONTROLLER.iter().filter(|fixed| !moved(fixed)).map(fixed).collect();
    match &input.config.etcd {
        Etcd::StaticPod => claims.extend(ports::OF_ETCD.iter().map(fixed)),
        Etcd::External { .. } => claims.extend(local_etcd(input)),
    }
    let first = input.settings.api_servers.as_ref().and_then(|list| list.value.first());
    claims.push(Claim {
        port: input.config.secure_port,
        part: "kube-apiserver".into(),
        written: first.filter(|first| api_server(&first.value).is_ok()).cloned(),
    });
    for (name, part) in [("metrics", "kube-proxy's metrics"), ("healthz", "kube-proxy's health")] {
        claims.extend(proxy_port(input, name).map(|given| given_claim(given, part)));
    }
    let flannel = input.argument(Component::Flannel, "healthz-port");
    let own = flannel
        .and_then(|flag| Some(Given::new(&flag.at, (only(flag)?.parse().ok()?, only(flag)?.to_owned()))));
    claims.extend(own.filter(|given| given.value.0 != 0).map(|given| given_claim(given, "flannel's health")));
    claims.extend(extra_etcd(input));
    claims
}

fn fixed(port: &Port) -> Claim {
    Claim { port: port.number, part: port.part.into(), written: None }
}

fn given_claim(given: Given<(u16, String)>, part: &str) -> Claim {
    let Given { at, value: (port, text) } = given;
    Claim { port, part: part.into(), written: Some(Given::new(at, text)) }
}

/// The port that a flag gives to a server of kube-proxy. An address without one leaves the usual
/// port.
fn proxy_port(input: &Input<'_>, name: &str) -> Option<Given<(u16, String)>> {
    let given = |flag: &str| {
        let argument = input.argument(Component::Proxy, &format!("{name}-{flag}"))?;
        let text = only(argument)?;
        let port = text.parse::<SocketAddr>().map(|socket| socket.port()).or_else(|_| text.parse()).ok()?;
        Some(Given::new(&argument.at, (port, text.to_owned())))
    };
    given("bind-address").or_else(|| given("port"))
}

/// Servers of an etcd that the user runs, where they are on a machine of the API.
fn local_etcd(input: &Input<'_>) -> Vec<Claim> {
    let hosts: Vec<String> =
        input.config.api_servers.iter().filter_map(|url| Some(url.host_str()?.to_owned())).collect();
    let names = &input.config.api_alt_names;
    let is_here = |url: &url::Url| {
        let address: Option<IpAddr> = match url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        is_loopback(url)
            || url.host_str().is_some_and(|host| hosts.iter().any(|own| own == host))
            || address.is_some_and(|ip| names.ips.contains(&ip))
            || url.host_str().is_some_and(|host| names.dns_names.iter().any(|own| own == host))
    };
    let Some(list) = &input.settings.etcd.servers else {
        // The default is on this machine.
        return vec![Claim { port: 2379, part: "etcd (etcd.servers, default)".into(), written: None }];
    };
    let read = |given: &Given<String>| {
        let url = etcd_server(&given.value).ok().filter(is_here)?;
        Some(Claim { port: port(&url), part: format!("etcd ({})", given.at), written: Some(given.clone()) })
    };
    let mut claims: Vec<Claim> = list.value.iter().filter_map(read).collect();
    // Several members may listen on one port, each on its machine.
    claims.sort_by_key(|claim| claim.port);
    claims.dedup_by_key(|claim| claim.port);
    claims
}

/// Further listeners of etcd. That of its health is among the fixed ports.
fn extra_etcd(input: &Input<'_>) -> Vec<Claim> {
    let mut claims = listeners(input, "listen-client-http-urls", "etcd, for clients over HTTP");
    claims.extend(listeners(input, "listen-metrics-urls", "etcd's metrics"));
    claims
}

fn listeners(input: &Input<'_>, flag: &str, part: &str) -> Vec<Claim> {
    let Some(argument) = input.argument(Component::Etcd, flag) else { return Vec::new() };
    let urls = argument.values.iter().flat_map(|value| value.split(','));
    let read = |text: &str| {
        let port = url::Url::parse(text).ok()?.port()?;
        let health = flag == "listen-metrics-urls" && port == ports::ETCD_HEALTH.number;
        (!health).then(|| given_claim(Given::new(&argument.at, (port, text.to_owned())), part))
    };
    let mut claims: Vec<Claim> = urls.filter_map(read).collect();
    // One flag may name a port at several addresses.
    claims.sort_by_key(|claim| claim.port);
    claims.dedup_by_key(|claim| claim.port);
    claims
}

/// Services of type NodePort get ports of a range on every machine. kube-apiserver takes any range,
/// and a port is lost only once a Service has it.
fn node_ports(input: &Input<'_>, claims: &[Claim], mistakes: &mut Mistakes) {
    let argument = input.argument(Component::Apiserver, "service-node-port-range");
    let given = argument.and_then(|argument| Some((argument.at.as_str(), takes::range(only(argument)?)?)));
    let (low, high) = given.map_or(ports::NODE_PORTS, |(_, range)| range);
    let held: Vec<&Claim> = claims.iter().filter(|claim| (low..=high).contains(&claim.port)).collect();
    let written = || held.iter().find_map(|claim| Some(claim.written.as_ref()?.at.as_str()));
    let Some(at) = given.map(|(at, _)| at).or_else(written).filter(|_| !held.is_empty()) else { return };
    let shown: Vec<String> = held.iter().map(|claim| format!("{} ({})", claim.port, claim.part)).collect();
    let text = format!(
        "{low}-{high}, the ports of Services (NodePort), hold ports of the cluster's own parts: {}; \
         a Service that gets one of them cuts that part off",
        shown.join(", ")
    );
    mistakes.warn(at, text);
}

/// A port that is free on the machine.
fn cure(wrong: u16, claims: &[Claim]) -> String {
    let free = [6443, 8443, 9443]
        .into_iter()
        .find(|port| *port != wrong && !claims.iter().any(|claim| claim.port == *port));
    format!("choose another port, such as {}", free.unwrap_or(16443))
}
