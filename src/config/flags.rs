//! The flags of v0.14's `render` that describe a cluster: same names, defaults and meanings. They
//! overlay the file.
//!
//! Only flags that wrappers of v0.14 pass are here (and `--cluster-name` of its last commits), and
//! the list of machines, which another program may write. Everything else that is newer is a field
//! of the file and gets no flag.

use super::file;
use super::settings::Settings;
use crate::nodes::NodesFile;
use crate::values::mistakes::{Given, List, Mistakes};

/// Flags as they were typed. An empty value counts as not given, because most of v0.14's defaults
/// were empty.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--cluster-name`.
    pub cluster_name: Option<String>,
    /// `--ca-certificate-path`: an existing Kubernetes CA.
    pub ca_certificate_path: Option<String>,
    /// `--ca-private-key-path`: its key.
    pub ca_private_key_path: Option<String>,
    /// `--etcd-ca-path`: CA of an existing etcd.
    pub etcd_ca_path: Option<String>,
    /// `--etcd-certificate-path`: client certificate for it.
    pub etcd_certificate_path: Option<String>,
    /// `--etcd-private-key-path`: its key.
    pub etcd_private_key_path: Option<String>,
    /// `--etcd-servers`: URLs, separated by commas.
    pub etcd_servers: Option<String>,
    /// `--api-servers`: URLs, separated by commas.
    pub api_servers: Option<String>,
    /// `--api-server-alt-names`: `IP=…,DNS=…`.
    pub api_server_alt_names: Option<String>,
    /// `--pod-cidr`: one CIDR, or two separated by a comma.
    pub pod_cidr: Option<String>,
    /// `--service-cidr`: one CIDR, or two separated by a comma.
    pub service_cidr: Option<String>,
    /// `--cloud-provider`.
    pub cloud_provider: Option<String>,
    /// `--network-provider`.
    pub network_provider: Option<String>,
    /// `--nodes`: the file with the list of machines.
    pub nodes: Option<NodesFile>,
}

impl Flags {
    /// Overrides `settings` with the flags that were given.
    pub(super) fn overlay(self, settings: &mut Settings, mistakes: &mut Mistakes) {
        let Self {
            cluster_name,
            ca_certificate_path,
            ca_private_key_path,
            etcd_ca_path,
            etcd_certificate_path,
            etcd_private_key_path,
            etcd_servers,
            api_servers,
            api_server_alt_names,
            pod_cidr,
            service_cidr,
            cloud_provider,
            network_provider,
            nodes,
        } = self;
        if let Some(list) = nodes {
            settings.nodes = file::read_nodes(&list, mistakes);
        }
        put(&mut settings.cluster_name, text("--cluster-name", cluster_name));
        put(&mut settings.ca_certificate, text("--ca-certificate-path", ca_certificate_path));
        put(&mut settings.ca_private_key, text("--ca-private-key-path", ca_private_key_path));
        put(&mut settings.etcd.ca, text("--etcd-ca-path", etcd_ca_path));
        put(&mut settings.etcd.certificate, text("--etcd-certificate-path", etcd_certificate_path));
        put(&mut settings.etcd.private_key, text("--etcd-private-key-path", etcd_private_key_path));
        put(&mut settings.etcd.servers, list("--etcd-servers", etcd_servers));
        put(&mut settings.api_servers, list("--api-servers", api_servers));
        let alt_names = list("--api-server-alt-names", api_server_alt_names);
        put(&mut settings.api_alt_names, alt_names.map(|names| untyped(names, mistakes)));
        put(&mut settings.pod_cidrs, list("--pod-cidr", pod_cidr));
        put(&mut settings.service_cidrs, list("--service-cidr", service_cidr));
        put(&mut settings.cloud_provider, text("--cloud-provider", cloud_provider));
        put(&mut settings.networking, text("--network-provider", network_provider));
    }
}

fn put<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

fn text(flag: &str, value: Option<String>) -> Option<Given<String>> {
    Some(Given::new(flag, value.filter(|value| !value.is_empty())?))
}

fn list(flag: &str, value: Option<String>) -> Option<List> {
    let items = |text: String| text.split(',').map(|item| Given::new(flag, item.trim().to_owned())).collect();
    text(flag, value).map(|given| given.map(items))
}

/// `IP=10.0.0.1` and `DNS=api.example.com` without their types, which follow from the values.
fn untyped(names: List, mistakes: &mut Mistakes) -> List {
    let mut untype = |name: Given<String>| match name.value.split_once('=') {
        Some(("IP", ip)) if ip.parse::<std::net::IpAddr>().is_ok() => Some(Given::new(&name.at, ip.into())),
        Some(("IP", ip)) => {
            mistakes.refuse(&name.at, ip, "is not an IP address", "write DNS=… for a host name");
            None
        }
        Some(("DNS", host)) => Some(Given::new(&name.at, host.into())),
        _ => {
            mistakes.refuse(&name.at, &name.value, "has no type", "write IP=<address> or DNS=<name>");
            None
        }
    };
    names.map(|names| names.into_iter().filter_map(&mut untype).collect())
}
