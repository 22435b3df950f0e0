//! Nodes: which one is this machine, and what must be written on it.
//!
//! A kubelet may not label its node as a controller, so bootkube does. Labels and taints of others
//! stay. To the API taints are one list, which an apply would own as a whole, so the list is read,
//! added to and written back on condition that it has not changed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::error::Error;
use super::objects::Objects;
use super::retry::{Failure, persist};
use super::wait::{Progress, Scope, Watched, wait_for};
use crate::FIELD_MANAGER;

/// The addresses of `node` inside the cluster.
pub fn addresses(node: &Node) -> impl Iterator<Item = IpAddr> {
    let own = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    own.filter(|address| address.type_ == "InternalIP").filter_map(|address| address.address.parse().ok())
}

/// Whether `node` has one of these addresses as its own.
pub fn is_node_at(searched: &[IpAddr], node: &Node) -> bool {
    addresses(node).any(|ip| searched.contains(&ip))
}

/// Waits for the node that has one of `addresses`, and returns its name.
pub async fn wait_for_node(
    client: &Client,
    addresses: &[IpAddr],
    on_reason: &mut (dyn FnMut(&str) + Send),
) -> String {
    let is_done = |seen: &Watched<Node>| match seen.iter().find(|node| is_node_at(addresses, node)) {
        Some(node) => Progress::Done(node.name_any()),
        None => Progress::Not(not_registered(seen)),
    };
    wait_for(Objects::<Node>::all(client), Scope::default(), is_done, on_reason).await
}

fn not_registered(seen: &Watched<Node>) -> String {
    let names: Vec<_> = seen.iter().map(|node| node.name_any()).collect();
    match names.is_empty() {
        true => "no node has registered yet".into(),
        false => format!("this machine's node has not registered yet (registered: {})", names.join(", ")),
    }
}

/// Adds the labels and the taint that the node called `name` lacks. Returns whether it lacked any.
pub async fn label_and_taint_node(
    client: &Client,
    name: &str,
    labels: &BTreeMap<String, String>,
    taint: Option<&Taint>,
) -> Result<bool, Error> {
    let nodes: Objects<Node> = Objects::all(client);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let attempt = async || {
        let node = nodes.get(name).await?;
        let Some(patch) = lacking(&node, labels, taint) else { return Ok::<_, Failure>(false) };
        nodes.bare.patch(name, &params, &Patch::Merge(&patch)).await?;
        Ok(true)
    };
    persist("label", &format!("node {name}"), attempt).await
}

/// Whether [`label_and_taint_node`] would change `node`.
pub fn lacks_marks(node: &Node, labels: &BTreeMap<String, String>, taint: Option<&Taint>) -> bool {
    lacking(node, labels, taint).is_some()
}

/// A merge patch with what `node` lacks, good only for the version of it that was read.
fn lacking(node: &Node, labels: &BTreeMap<String, String>, taint: Option<&Taint>) -> Option<Value> {
    let missing: BTreeMap<_, _> =
        labels.iter().filter(|(key, value)| node.labels().get(*key) != Some(value)).collect();
    let taints: Vec<_> = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).collect();
    let is_same = |a: &Taint, b: &Taint| a.key == b.key && a.effect == b.effect;
    let missing_taint =
        taint.filter(|wanted| !taints.iter().any(|t| is_same(t, wanted) && t.value == wanted.value));
    if missing.is_empty() && missing_taint.is_none() {
        return None;
    }
    let mut patch = json!({"metadata": {"resourceVersion": node.resource_version(), "labels": missing}});
    if let Some(wanted) = missing_taint {
        let others = taints.into_iter().filter(|taint| !is_same(taint, wanted));
        patch["spec"] = json!({"taints": others.chain([wanted]).collect::<Vec<_>>()});
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(value: Value) -> Node {
        serde_json::from_value(value).unwrap()
    }

    fn controller() -> (BTreeMap<String, String>, Taint) {
        let key = "node-role.kubernetes.io/control-plane";
        let taint = Taint { key: key.into(), effect: "NoSchedule".into(), ..Taint::default() };
        (BTreeMap::from([(key.to_owned(), String::new())]), taint)
    }

    #[test]
    fn a_node_is_identified_by_its_internal_address_only() {
        let at = |kind: &str, address: &str| {
            node(
                json!({"metadata": {"name": "n"}, "status": {"addresses": [{"type": kind, "address": address}]}}),
            )
        };
        let own = ["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        assert!(is_node_at(&own, &at("InternalIP", "192.0.2.7")));
        assert!(is_node_at(&own, &at("InternalIP", "2001:db8:0::7")));
        assert!(!is_node_at(&own, &at("ExternalIP", "192.0.2.7")));
        assert!(!is_node_at(&own, &at("InternalIP", "192.0.2.70")));
        assert!(!is_node_at(&own, &at("InternalIP", "n")));
    }

    #[test]
    fn labels_and_taints_of_others_stay() {
        let (labels, taint) = controller();
        let other = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
        let bare = node(
            json!({"metadata": {"name": "n", "resourceVersion": "7", "labels": {"a": "b"}}, "spec": {"taints": [other]}}),
        );
        let patch = lacking(&bare, &labels, Some(&taint)).unwrap();
        assert_eq!(patch["metadata"], json!({"resourceVersion": "7", "labels": labels}));
        assert_eq!(patch["spec"]["taints"], json!([other, taint]));
    }

    #[test]
    fn nothing_is_written_to_a_node_that_has_it_all() {
        let (labels, taint) = controller();
        let done = node(json!({"metadata": {"name": "n", "labels": labels}, "spec": {"taints": [taint]}}));
        assert_eq!(lacking(&done, &labels, Some(&taint)), None);
        assert_eq!(lacking(&done, &labels, None), None);
    }

    #[test]
    fn a_taint_of_another_value_is_replaced_and_no_taint_touches_none() {
        let (labels, taint) = controller();
        let old = Taint { value: Some("x".into()), ..taint.clone() };
        let odd = node(json!({"metadata": {"name": "n"}, "spec": {"taints": [old]}}));
        let patch = lacking(&odd, &labels, Some(&taint)).unwrap();
        assert_eq!(patch["spec"]["taints"], json!([taint]));
        assert_eq!(lacking(&odd, &labels, None).unwrap().get("spec"), None);
    }
}
