//! What this machine is to the cluster that is looked at.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::cluster;
use crate::cluster::connect::{READY, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::cluster::node::is_node_at;
use crate::cluster::probe;
use crate::diagnose::is_apiserver;
use crate::host::sockets;
use crate::patience::Patience;

/// A machine of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// Its Node; `None` if it serves the API without one.
    pub node: Option<String>,
    /// Whether an apiserver of the cluster runs here.
    pub has_apiserver: bool,
}

impl Here {
    /// What the machine with the addresses `local` is, by the cluster's nodes and by whether an
    /// apiserver serves here.
    pub fn find(local: &[IpAddr], nodes: &[Node], has_apiserver: bool) -> Option<Self> {
        let node = nodes.iter().find(|node| is_node_at(local, node)).map(ResourceExt::name_any);
        (node.is_some() || has_apiserver).then_some(Self { node, has_apiserver })
    }
}

/// Whether an apiserver of this machine proves by its certificate that it is one of the cluster's. A
/// load balancer of the cluster may listen on the same port elsewhere.
pub async fn has_apiserver(access: &Access, patience: Duration) -> Result<bool, cluster::Error> {
    let port = access.server.port_or_known_default().unwrap_or(443);
    if !is_apiserver(port) {
        return Ok(false);
    }
    let endpoints = sockets::endpoints(port).unwrap_or_default();
    let ask = |endpoint| probe::ask(access, Some(endpoint), READY, Patience::of(patience));
    let best = probe::best(&endpoints, ask).await?;
    Ok(best.is_some_and(|(_, answer)| !matches!(answer, Readyz::Unreachable(_))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_machine_is_known_by_its_node_or_by_its_apiserver() {
        let own = |address: &str| [address.parse::<IpAddr>().unwrap()];
        let status = json!({"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]});
        let nodes = [serde_json::from_value(json!({"metadata": {"name": "n1"}, "status": status})).unwrap()];
        let of =
            |node: Option<&str>, has_apiserver| Some(Here { node: node.map(str::to_owned), has_apiserver });
        assert_eq!(Here::find(&own("192.0.2.1"), &nodes, false), of(Some("n1"), false));
        assert_eq!(Here::find(&own("192.0.2.1"), &[], true), of(None, true));
        assert_eq!(Here::find(&own("192.0.2.9"), &nodes, false), None);
    }
}
