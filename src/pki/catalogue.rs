//! Every certificate of a cluster as a table: its subject, its signer, its usages and its names.
//!
//! Issuing, renewal and the tests read this table. Nothing else decides what a certificate holds.
//! The service-account key pair is not in it, because it signs tokens and has no certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::config::{AltNames, ClusterConfig, Etcd};

/// What a certificate proves to the other side of a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Usage {
    /// serverAuth.
    Server,
    /// clientAuth.
    Client,
}

/// One certificate and its key: `tls/NAME.crt` and `tls/NAME.key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Path under `tls/` without extension.
    pub name: &'static str,
    /// CN of the subject: the user name where Kubernetes is the server.
    pub common_name: &'static str,
    /// O of the subject: the group where Kubernetes is the server.
    pub organization: Option<String>,
    /// Whether it is an authority or a leaf.
    pub role: Role,
}

/// Authority or leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signs leaves and itself.
    Authority {
        /// Paths under `tls/` that hold the same certificate again, because their readers expect it
        /// there.
        copies: &'static [&'static str],
    },
    /// Signed by the authority of that name.
    Leaf {
        /// [`Spec::name`] of the authority.
        signer: &'static str,
        /// Extended key usages, exactly these.
        usages: &'static [Usage],
        /// Subject alternative names, each once.
        alt_names: AltNames,
    },
}

impl Spec {
    /// Path of the certificate under `tls/`.
    pub fn certificate(&self) -> String {
        format!("{}.crt", self.name)
    }

    /// Path of the key under `tls/`.
    pub fn key(&self) -> String {
        format!("{}.key", self.name)
    }
}

const SERVER: &[Usage] = &[Usage::Server];
const CLIENT: &[Usage] = &[Usage::Client];
const BOTH: &[Usage] = &[Usage::Server, Usage::Client];
const ETCD_CA_COPIES: &[&str] = &["etcd-client-ca.crt", "etcd/server-ca.crt", "etcd/peer-ca.crt"];

/// Everything that `config` needs, each authority before what it signs.
pub fn catalogue(config: &ClusterConfig) -> Vec<Spec> {
    let mut specs = kubernetes(config);
    if config.aggregation {
        specs.push(authority("front-proxy-ca", "front-proxy-ca", config, &[]));
        specs.push(client("front-proxy-client", "front-proxy-client", None, "front-proxy-ca"));
    }
    if makes_etcd_certificates(config) {
        specs.extend(etcd(config));
    }
    specs
}

fn kubernetes(config: &ClusterConfig) -> Vec<Spec> {
    vec![
        authority("ca", "kubernetes-ca", config, &[]),
        leaf("apiserver", "kube-apiserver", None, "ca", SERVER, apiserver_names(config)),
        // No group: RBAC binds this user to what the apiserver does at kubelets, not to everything.
        client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", None, "ca"),
        client("admin", "kubernetes-admin", Some("system:masters"), "ca"),
        client("controller-manager", "system:kube-controller-manager", None, "ca"),
        client("scheduler", "system:kube-scheduler", None, "ca"),
        client("kube-proxy", "system:kube-proxy", None, "ca"),
        // No group: RBAC grants this user the pods and leases that the agent watches.
        client("agent", "bootkube-agent", None, "ca"),
    ]
}

/// Servers and peers are clients too: etcd's gRPC gateway dials its own server, and peers dial each
/// other.
fn etcd(config: &ClusterConfig) -> Vec<Spec> {
    let group = Some("etcd");
    vec![
        authority("etcd-ca", "etcd-ca", config, ETCD_CA_COPIES),
        client("etcd-client", "etcd-client", group, "etcd-ca"),
        leaf("etcd/server", "etcd-server", group, "etcd-ca", BOTH, etcd_names(config)),
        leaf("etcd/peer", "etcd-peer", group, "etcd-ca", BOTH, etcd_names(config)),
    ]
}

/// Not if etcd has no TLS, nor if the user supplied a client identity: that one comes with its own
/// authority.
fn makes_etcd_certificates(config: &ClusterConfig) -> bool {
    config.etcd_tls() && !matches!(config.etcd, Etcd::External { client: Some(_), .. })
}

/// The cluster's name is in the subject, so that a trust store can hold the authorities of several
/// clusters.
fn authority(
    name: &'static str,
    common_name: &'static str,
    config: &ClusterConfig,
    copies: &'static [&'static str],
) -> Spec {
    let organization = Some(config.cluster_name.clone());
    Spec { name, common_name, organization, role: Role::Authority { copies } }
}

fn client(name: &'static str, common_name: &'static str, group: Option<&str>, signer: &'static str) -> Spec {
    leaf(name, common_name, group, signer, CLIENT, AltNames::default())
}

fn leaf(
    name: &'static str,
    common_name: &'static str,
    group: Option<&str>,
    signer: &'static str,
    usages: &'static [Usage],
    alt_names: AltNames,
) -> Spec {
    Spec {
        name,
        common_name,
        organization: group.map(str::to_owned),
        role: Role::Leaf { signer, usages, alt_names },
    }
}

fn apiserver_names(config: &ClusterConfig) -> AltNames {
    let mut names = AltNames::default();
    add_hosts(&mut names, &config.api_servers);
    config.api_alt_names.dns_names.iter().for_each(|name| add_dns(&mut names, name));
    config.api_alt_names.ips.iter().for_each(|ip| add_ip(&mut names, *ip));
    let service = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    service.iter().for_each(|name| add_dns(&mut names, name));
    add_dns(&mut names, &format!("kubernetes.default.svc.{}", config.cluster_domain));
    add_loopback(&mut names);
    config.api_service_ips().into_iter().for_each(|ip| add_ip(&mut names, ip));
    names
}

fn etcd_names(config: &ClusterConfig) -> AltNames {
    let mut names = AltNames::default();
    if let Etcd::External { servers, .. } = &config.etcd {
        add_hosts(&mut names, servers);
    }
    add_loopback(&mut names);
    names
}

fn add_hosts(names: &mut AltNames, urls: &[Url]) {
    for url in urls {
        match url.host() {
            Some(Host::Domain(name)) => add_dns(names, name),
            Some(Host::Ipv4(ip)) => add_ip(names, ip.into()),
            Some(Host::Ipv6(ip)) => add_ip(names, ip.into()),
            None => {}
        }
    }
}

fn add_loopback(names: &mut AltNames) {
    add_dns(names, "localhost");
    add_ip(names, Ipv4Addr::LOCALHOST.into());
    add_ip(names, Ipv6Addr::LOCALHOST.into());
}

/// Verifiers ignore case. Lower case makes comparing simple.
fn add_dns(names: &mut AltNames, name: &str) {
    let name = name.to_ascii_lowercase();
    if !names.dns_names.contains(&name) {
        names.dns_names.push(name);
    }
}

fn add_ip(names: &mut AltNames, ip: IpAddr) {
    if !names.ips.contains(&ip) {
        names.ips.push(ip);
    }
}
