//! What the assets of a cluster need of this machine. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde_json::Value;
use url::Url;

use super::options::CheckOptions;
use crate::NAMESPACE;
use crate::assets::command::{container_words, containers, flag, runs, words};
use crate::assets::listeners::{Claim, claims_of};
use crate::assets::load::{Layout, StaticPod};
use crate::cluster::kubeconfig::{self, Access};

/// Where the runtime looks for the configuration of the pod network.
const NETWORKS: &str = "/etc/cni/net.d/";
const ETCD: &str = "etcd";
/// The kubeconfig by which a kubelet joins the cluster, in the assets.
pub const KUBELET_KUBECONFIG: &str = "auth/kubeconfig-kubelet";

/// What the checks hold the machine against.
pub struct Subject<'a> {
    pub layout: &'a Layout,
    pub options: &'a CheckOptions,
    /// The administrator's access to the API.
    pub access: Access,
    /// The bootstrap apiserver's command line.
    apiserver: Vec<&'a str>,
}

/// An image that a pod will be made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// As a runtime lists it.
    pub reference: String,
    /// Whether its pod has `imagePullPolicy: Never`.
    pub never_pulled: bool,
}

impl<'a> Subject<'a> {
    pub fn new(layout: &'a Layout, options: &'a CheckOptions) -> Result<Self, kubeconfig::Error> {
        let file = options.asset_dir.join("auth/kubeconfig");
        let access = kubeconfig::parse(&layout.kubeconfig, &file)?;
        let mut pods = layout.bootstrap_manifests.iter().map(|pod| words(&pod.value).collect::<Vec<_>>());
        let apiserver = pods.find(|words| runs(words.iter().copied(), "kube-apiserver"));
        Ok(Self { layout, options, access, apiserver: apiserver.unwrap_or_default() })
    }

    /// The value of a flag of the apiserver.
    pub fn api_flag(&self, name: &str) -> Option<String> {
        flag(self.apiserver.iter().copied(), name)
    }

    /// The port of this machine's apiservers.
    pub fn api_port(&self) -> u16 {
        let secure = self.api_flag("secure-port").and_then(|port| port.parse().ok());
        secure.or(self.access.server.port_or_known_default()).unwrap_or(443)
    }

    /// Host of the API's URL, IPv6 without brackets.
    pub fn api_host(&self) -> &str {
        let host = self.access.server.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The file of `tls/` for a path in a bootstrap pod: the longest suffix of that path that
    /// exists.
    pub fn key_file(&self, path: &str) -> Option<(&'a str, &'a [u8])> {
        let mut ends = path.match_indices('/').map(|(at, _)| &path[at + 1..]);
        let found = ends.find_map(|end| self.layout.tls.get_key_value(end))?;
        Some((found.0, found.1))
    }

    /// URLs of etcd, and those that cannot be read.
    pub fn etcd_servers(&self) -> Vec<Result<Url, String>> {
        let servers = self.api_flag("etcd-servers").unwrap_or_default();
        let servers = servers.split(',').filter(|server| !server.is_empty());
        servers.map(|server| Url::parse(server).map_err(|_| server.to_owned())).collect()
    }

    /// Every static pod, with whether it stays.
    pub fn static_pods(&self) -> impl Iterator<Item = (&'a StaticPod, bool)> {
        let staying = self.layout.controller_manifests.iter().map(|pod| (pod, true));
        staying.chain(self.layout.bootstrap_manifests.iter().map(|pod| (pod, false)))
    }

    /// The static pod that etcd is, if `start` places it.
    pub fn etcd_pod(&self) -> Option<&'a StaticPod> {
        let mut staying = self.layout.controller_manifests.iter();
        staying.find(|pod| runs(words(&pod.value), ETCD))
    }

    /// The data folder of that etcd.
    pub fn etcd_data(&self) -> Option<String> {
        flag(words(&self.etcd_pod()?.value), "data-dir")
    }

    /// Networks of pods and of services.
    pub fn networks(&self) -> Vec<(&'static str, IpNet)> {
        let pods = self.static_pods().find_map(|(pod, _)| flag(words(&pod.value), "cluster-cidr"));
        let lists = [("pods", pods), ("services", self.api_flag("service-cluster-ip-range"))];
        let parsed = lists.into_iter().map(|(name, list)| (name, list.unwrap_or_default()));
        parsed.flat_map(|(name, list)| networks(&list).into_iter().map(move |net| (name, net))).collect()
    }

    /// Every port, once.
    pub fn claims(&self) -> Vec<Claim> {
        let mut claims: BTreeMap<u16, Claim> = BTreeMap::new();
        for container in self.host_containers() {
            for claim in claims_of(container) {
                match claims.get_mut(&claim.port) {
                    Some(known) => known.join(claim),
                    None => drop(claims.insert(claim.port, claim)),
                }
            }
        }
        claims.into_values().collect()
    }

    /// Containers in the network of this machine.
    fn host_containers(&self) -> impl Iterator<Item = &'a Value> {
        let pods = self.static_pods().map(|(pod, _)| &pod.value).chain(self.templates());
        pods.filter(|pod| pod["spec"]["hostNetwork"] == Value::Bool(true)).flat_map(containers)
    }

    /// Templates of the workloads in kube-system.
    fn templates(&self) -> impl Iterator<Item = &'a Value> {
        let objects = self.layout.objects.iter().filter(|object| object.namespace() == Some(NAMESPACE));
        objects.map(|object| &object.value["spec"]["template"]).filter(|template| template.is_object())
    }

    /// Whether flannel, which connects pods by a bridge, is among the workloads.
    ///
    /// Its own manifests put it into `kube-flannel`.
    pub fn has_flannel(&self) -> bool {
        let mut templates = self.layout.objects.iter().map(|object| &object.value["spec"]["template"]);
        templates.any(|template| runs(words(template), "flanneld"))
    }

    /// The file by which the network of these workloads tells the runtime how to connect pods.
    pub fn network_configuration(&self) -> Option<String> {
        let lists = self.templates().map(|template| &template["spec"]["initContainers"]);
        let mut words = lists.filter_map(Value::as_array).flatten().flat_map(container_words);
        words.find(|word| word.starts_with(NETWORKS)).map(str::to_owned)
    }

    /// Images of static pods and of the workloads in kube-system, each once.
    pub fn images(&self) -> BTreeSet<Wanted> {
        let pods = self.static_pods().map(|(pod, _)| &pod.value).chain(self.templates());
        let lists = pods.flat_map(|pod| [&pod["spec"]["initContainers"], &pod["spec"]["containers"]]);
        lists.filter_map(Value::as_array).flatten().filter_map(wanted).collect()
    }
}

fn networks(list: &str) -> Vec<IpNet> {
    list.split(',').filter_map(|network| network.trim().parse().ok()).collect()
}

fn wanted(container: &Value) -> Option<Wanted> {
    let reference = full_reference(container["image"].as_str()?);
    Some(Wanted { reference, never_pulled: container["imagePullPolicy"] == "Never" })
}

/// `busybox` is short for `docker.io/library/busybox:latest`.
pub fn full_reference(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let has_registry = first.contains(['.', ':']) || first == "localhost";
    let name = match (has_registry, first) {
        (true, _) => image.to_owned(),
        (false, "") => format!("docker.io/library/{image}"),
        (false, _) => format!("docker.io/{image}"),
    };
    let has_version = rest.contains('@') || rest.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if has_version { name } else { format!("{name}:latest") }
}

/// Host of the registry that a full reference is pulled from.
pub fn registry(reference: &str) -> &str {
    match reference.split('/').next().unwrap_or_default() {
        "docker.io" => "registry-1.docker.io",
        registry => registry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_references_are_expanded_as_the_runtime_lists_them() {
        for (short, long) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("a/b:1", "docker.io/a/b:1"),
            ("localhost:5000/b", "localhost:5000/b:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("quay.io/a/b@sha256:00", "quay.io/a/b@sha256:00"),
        ] {
            assert_eq!(full_reference(short), long);
        }
        assert_eq!(registry("docker.io/a/b:1"), "registry-1.docker.io");
        assert_eq!(registry("localhost:5000/b:1"), "localhost:5000");
    }
}
