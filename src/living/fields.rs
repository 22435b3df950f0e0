//! The fields that a running cluster cannot change: how each is written, when two values of it
//! exclude each other, what a cluster would suffer, and what to do.
//!
//! The sources of Kubernetes v1.36 and flannel v0.28 say what follows:
//!
//! - serviceCIDRs: `pkg/controlplane/controller/defaultservicecidr` only adds a second family; the
//!   Service `kubernetes` keeps its address.
//! - podCIDRs: `pkg/controller/nodeipam/ipam/range_allocator.go` ends the controller manager for a
//!   Node whose range is in none of them (kubernetes#75461). flannel refuses such a Node, too, and
//!   needs a range of each family in each Node. The size of a Node's range may change.
//! - the address of a Service: `pkg/apis/core/validation`, "may not change once set".
//! - serviceAccountIssuer: `pkg/serviceaccount/jwt.go`, "token issuer … is invalid".

use ipnet::IpNet;
use url::Url;

use super::field::{Field, minor};
use super::pem;
use super::settled::Settled;

/// All that is to be said of a field.
pub(super) struct Record {
    pub(super) field: Field,
    /// As it is written in the configuration file, or the file that has it.
    pub(super) name: &'static str,
    /// The flag for it, if there is one.
    pub(super) flag: Option<&'static str>,
    /// What a running cluster would suffer.
    pub(super) suffers: &'static str,
    /// What can be done instead of keeping it.
    pub(super) otherwise: &'static str,
    /// Whether the assets (second) cannot take the place of what the cluster has (first).
    pub(super) clashes: fn(&Settled, &Settled) -> bool,
    /// The field from which `render` derives this one, unless the user sets it.
    pub(super) follows: Option<Field>,
}

const NEW: &str = "build a new cluster";

/// Every field, the deepest first.
pub(super) const FIELDS: [Record; 15] = [
    Record {
        field: Field::Authority,
        name: "tls/ca.crt",
        flag: None,
        suffers: "kubelets and pods trust the CA of the cluster, and would refuse the apiserver",
        otherwise: NEW,
        clashes: |cluster, assets| {
            let (authority, leaf) = (pem_of(cluster, Field::Authority), pem_of(assets, Field::Certificate));
            authority
                .zip(leaf)
                .is_some_and(|(authority, leaf)| pem::is_signed_by(leaf, authority) == Some(false))
        },
        follows: None,
    },
    Record {
        field: Field::ServiceAccountKey,
        name: "tls/service-account.key",
        flag: None,
        suffers: "the apiserver would refuse every token that pods hold",
        otherwise: NEW,
        clashes: |cluster, assets| {
            let keys = |of: &Settled| pem_of(of, Field::ServiceAccountKey).map(pem::blocks);
            keys(cluster).zip(keys(assets)).is_some_and(|(old, new)| !old.iter().any(|key| new.contains(key)))
        },
        follows: None,
    },
    Record {
        field: Field::Etcd,
        name: "etcd.servers",
        flag: Some("--etcd-servers"),
        suffers: "the apiserver would use another etcd, which holds none of the cluster's objects",
        otherwise: "move it by etcd's own means (add members, then remove the old ones), with one of the old servers still in the list",
        clashes: |cluster, assets| {
            let (old, new) = (servers(cluster), servers(assets));
            !old.is_empty() && !new.is_empty() && !old.iter().any(|server| new.contains(server))
        },
        follows: None,
    },
    Record {
        field: Field::EtcdPrefix,
        name: "components.kube-apiserver.extraArgs.etcd-prefix",
        flag: None,
        suffers: "the apiserver would find none of the cluster's objects in etcd",
        otherwise: NEW,
        clashes: |cluster, assets| {
            let prefix = |of: &Settled| {
                of.get(Field::EtcdPrefix).map(|held| held.values[0].trim_matches('/').to_owned())
            };
            prefix(cluster).zip(prefix(assets)).is_some_and(|(old, new)| old != new)
        },
        follows: None,
    },
    Record {
        field: Field::EtcdData,
        name: "the data folder of etcd (components.etcd.patches)",
        flag: None,
        suffers: "etcd would begin with an empty folder, without the cluster's objects",
        otherwise: "mount the other disk at the folder that the cluster has",
        clashes: |cluster, assets| differ(cluster, assets, Field::EtcdData),
        follows: None,
    },
    Record {
        field: Field::Encryption,
        name: "components.kube-apiserver.extraArgs.encryption-provider-config",
        flag: None,
        suffers: "the apiserver could not read what etcd holds encrypted",
        otherwise: "decrypt everything first (provider identity in the first place, then write each Secret again), and start \
                    with --ignore-preflight=living-cluster",
        clashes: |cluster, assets| {
            let is_known = assets.get(Field::Port).is_some();
            is_known && cluster.get(Field::Encryption).is_some() && assets.get(Field::Encryption).is_none()
        },
        follows: None,
    },
    Record {
        field: Field::ServiceRanges,
        name: "serviceCIDRs",
        flag: Some("--service-cidr"),
        suffers: "Services keep their addresses, also the one at which pods find the API, which the apiserver's \
                  new certificate does not name",
        otherwise: "give Services more addresses by an object of kind ServiceCIDR",
        clashes: |cluster, assets| {
            let (old, new) = (
                networks(cluster.values(Field::ServiceRanges)),
                networks(assets.values(Field::ServiceRanges)),
            );
            !old.is_empty() && !new.is_empty() && old != new
        },
        follows: None,
    },
    Record {
        field: Field::Dns,
        name: "clusterIP of the Service kube-dns (the tenth address of serviceCIDRs)",
        flag: None,
        suffers: "the API refuses another address for a Service, and kubelets give the old one to pods",
        otherwise: NEW,
        clashes: |cluster, assets| {
            let pairs = cluster.values(Field::Dns).iter().zip(assets.values(Field::Dns));
            pairs.into_iter().any(|(old, new)| old != new)
        },
        follows: Some(Field::ServiceRanges),
    },
    Record {
        field: Field::PodRanges,
        name: "podCIDRs",
        flag: Some("--pod-cidr"),
        suffers: "Nodes keep the ranges that they were given, and the controller manager ends again and again \
                  because of a Node whose range is not in podCIDRs",
        otherwise: "name a wider range that has it inside",
        clashes: loses_pods,
        follows: None,
    },
    Record {
        field: Field::Domain,
        name: "clusterDomain",
        flag: None,
        suffers: "kubelets give pods the old domain, for which cluster DNS would no longer answer",
        otherwise: NEW,
        clashes: |cluster, assets| {
            let (old, new) = (cluster.values(Field::Domain), assets.values(Field::Domain));
            !new.is_empty() && old.first().is_some_and(|old| !new.contains(old))
        },
        follows: None,
    },
    Record {
        field: Field::Issuer,
        name: "serviceAccountIssuer",
        flag: None,
        suffers: "the apiserver would refuse every token that pods hold",
        otherwise: "name both issuers for the time being, the new one first: components.kube-apiserver.extraArgs: \
                    {service-account-issuer: [NEW, OLD]}",
        clashes: |cluster, assets| {
            let (old, new) = (cluster.values(Field::Issuer), assets.values(Field::Issuer));
            // The first one is in the tokens that the cluster issues now.
            !new.is_empty() && old.first().is_some_and(|issuer| !new.contains(issuer))
        },
        follows: Some(Field::Domain),
    },
    Record {
        field: Field::Port,
        name: "the port in apiServers",
        flag: Some("--api-servers"),
        suffers: "kubelets and kubeconfigs call the old port, where no apiserver would listen",
        otherwise: NEW,
        clashes: |cluster, assets| differ(cluster, assets, Field::Port),
        follows: None,
    },
    Record {
        field: Field::Host,
        name: "the host in apiServers",
        flag: Some("--api-servers"),
        suffers: "kubelets call the API at the old host, which the apiserver's new certificate does not name",
        otherwise: "name the old host in apiServerAltNames as well",
        clashes: |cluster, assets| {
            let host = cluster.values(Field::Host).first();
            let certificate = pem_of(assets, Field::Certificate);
            host.zip(certificate).is_some_and(|(host, pem)| pem::names(pem, host) == Some(false))
        },
        follows: None,
    },
    Record {
        field: Field::Networking,
        name: "networking",
        flag: Some("--network-provider"),
        suffers: "flannel would set up its network beside the one that the cluster has",
        otherwise: NEW,
        clashes: |cluster, assets| {
            let is = |of: &Settled, name: &str| {
                of.values(Field::Networking).first().is_some_and(|found| found == name)
            };
            // Without a network no node is Ready.
            let has_network =
                cluster.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|node| node.is_ready));
            is(cluster, "none") && is(assets, "flannel") && has_network
        },
        follows: None,
    },
    Record {
        field: Field::Version,
        name: "kubernetesVersion",
        flag: None,
        suffers: "Kubernetes leaves out no minor version, neither forward nor back: an apiserver may not be able to \
                  read what one of two versions away has stored",
        otherwise: "go by one minor version at a time",
        clashes: |cluster, assets| {
            let number = |of: &Settled| minor(of.values(Field::Version).first()?);
            number(cluster).zip(number(assets)).is_some_and(|(old, new)| old.abs_diff(new) > 1)
        },
        follows: None,
    },
];

/// The value of a field as a message shows it, which never is a key.
pub(super) fn shown(field: Field, settled: &Settled) -> Option<String> {
    let values = &settled.get(field)?.values;
    Some(match field {
        Field::Authority => pem::authority(&values[0]),
        Field::ServiceAccountKey => pem::key(&values[0]),
        Field::PodRanges => values.join(", ") + &of_a_node(settled).unwrap_or_default(),
        _ => values.join(", "),
    })
}

/// The range of one Node, which says more than the range of all.
fn of_a_node(settled: &Settled) -> Option<String> {
    let node = settled.nodes.iter().flatten().find(|node| !node.ranges.is_empty())?;
    Some(format!(" (Node {} has {})", node.name, node.ranges.join(", ")))
}

fn pem_of(settled: &Settled, field: Field) -> Option<&str> {
    settled.values(field).first().map(String::as_str)
}

fn differ(cluster: &Settled, assets: &Settled, field: Field) -> bool {
    cluster.get(field).zip(assets.get(field)).is_some_and(|(old, new)| old.values != new.values)
}

fn networks(texts: &[String]) -> Vec<IpNet> {
    texts.iter().filter_map(|text| text.parse().ok()).map(|network: IpNet| network.trunc()).collect()
}

/// Hosts and ports. What leads to this machine is one host.
fn servers(settled: &Settled) -> Vec<(String, Option<u16>)> {
    let urls = settled.values(Field::Etcd).iter().filter_map(|text| Url::parse(text).ok());
    let host = |url: &Url| match url.host_str().unwrap_or_default() {
        "localhost" | "[::1]" => "127.0.0.1".to_owned(),
        host => host.to_ascii_lowercase(),
    };
    urls.map(|url| (host(&url), url.port_or_known_default())).collect()
}

/// Whether the range of a Node would be outside. Where no Node is known, the range as a whole
/// counts.
fn loses_pods(cluster: &Settled, assets: &Settled) -> bool {
    let new = networks(assets.values(Field::PodRanges));
    let is_inside = |old: &[String]| {
        let old = networks(old);
        old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| new.contains(old))
    };
    let old: Vec<&[String]> = match &cluster.nodes {
        Some(nodes) => nodes.iter().map(|node| node.ranges.as_slice()).collect(),
        None => vec![cluster.values(Field::PodRanges)],
    };
    !new.is_empty() && !old.into_iter().filter(|old| !old.is_empty()).all(is_inside)
}

/// Whether the value of a field that follows from another one is the derived one.
pub(super) fn is_derived(field: Field, settled: &Settled) -> bool {
    field != Field::Issuer || is_default_issuer(settled)
}

/// Whether the issuer is the one that follows from the domain.
fn is_default_issuer(settled: &Settled) -> bool {
    let domain = settled.values(Field::Domain).first();
    let default = domain.map(|domain| format!("https://kubernetes.default.svc.{domain}"));
    default.as_ref().is_some_and(|default| settled.values(Field::Issuer) == std::slice::from_ref(default))
}
