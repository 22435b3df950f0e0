//! Asks an API for what its cluster keeps.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Secret, Service};
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;

use super::settled::Settled;
use crate::NAMESPACE;
use crate::cluster::Client;
use crate::cluster::objects::{Bare, Objects};
use crate::patience::ANSWER;

/// For all answers together. An API that takes longer is no reason to refuse anything.
pub(super) const LIMIT: Duration = ANSWER;
/// Enough Nodes to see where their ranges come from.
const NODES: u32 = 500;

/// What the API says of its cluster. An object that it does not have says nothing.
pub(super) async fn ask(client: &Client) -> Result<Settled, kube::Error> {
    let maps = Objects::<ConfigMap>::namespaced(client, NAMESPACE).bare;
    let wanted: [(&str, Api<Bare>, &str); 7] = [
        ("ServiceCIDR", Objects::<ServiceCIDR>::all(client).bare, "kubernetes"),
        ("DaemonSet", Objects::<DaemonSet>::namespaced(client, NAMESPACE).bare, "kube-apiserver"),
        ("Deployment", Objects::<Deployment>::namespaced(client, NAMESPACE).bare, "kube-controller-manager"),
        ("Service", Objects::<Service>::namespaced(client, NAMESPACE).bare, "kube-dns"),
        ("Secret", Objects::<Secret>::namespaced(client, NAMESPACE).bare, "kube-apiserver"),
        ("ConfigMap", maps.clone(), "coredns"),
        ("ConfigMap", maps, "bootkube-config"),
    ];
    let objects = try_join_all(wanted.iter().map(async |(kind, api, name)| {
        let found = api.get_opt(name).await?.map(Bare::json).transpose()?;
        Ok::<_, kube::Error>(found.map(|object| (format!("{kind} {name}"), object)))
    }));
    let nodes = Objects::<Node>::all(client).bare;
    let few = ListParams::default().limit(NODES);
    let (objects, nodes) = futures::try_join!(objects, nodes.list(&few))?;
    let objects: Vec<(String, Value)> = objects.into_iter().flatten().collect();
    let nodes = nodes.items.into_iter().map(Bare::json).collect::<Result<Vec<Value>, _>>()?;
    Ok(Settled::read(objects.iter().map(|(from, object)| (from.as_str(), object))).with_nodes(&nodes))
}
