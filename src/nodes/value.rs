//! Writes the list in the form in which it is read.

use serde_json::{Value, json};

use super::{Node, Taint};

/// `nodes` in the form of the configuration file.
pub fn to_value(nodes: &[Node]) -> Value {
    nodes.iter().map(node).collect()
}

fn node(node: &Node) -> Value {
    let Node { name, role, addresses, pod_cidrs, labels, taints } = node;
    json!({
        "name": name,
        "role": role.name(),
        "addresses": addresses,
        "podCIDRs": pod_cidrs,
        "labels": labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        "taints": taints.iter().map(Taint::text).collect::<Vec<_>>(),
    })
}
