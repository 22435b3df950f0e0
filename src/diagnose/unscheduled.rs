//! Why no node takes a pod, by the scheduler's words, and what helps for each of them. Pure.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::blocker::Blocker;
use super::evidence::Unready;

/// What the scheduler writes if labels are missing.
const SELECTOR: &str = "didn't match Pod's node affinity/selector";
/// What it writes if a node has a taint. Which one, it says only before Kubernetes 1.36.
const TAINTED: &str = "untolerated taint";
/// Taints of a node that is not Ready. They go by themselves.
const UNREADY: [&str; 3] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/unreachable",
];
/// Other reasons, and what ends each (`pkg/scheduler/framework/plugins` of Kubernetes 1.36).
const REASONS: [(&str, &str); 10] = [
    ("were unschedulable", "let pods onto the node again (kubectl uncordon NODE)"),
    (
        TAINTED,
        "take the taint from a node (kubectl taint node NODE KEY-), or tolerate it in the pod's manifest",
    ),
    ("Insufficient", "make room on a node, or let the pod ask for less in its manifest"),
    ("Too many pods", "remove pods from a node, or raise maxPods in its kubelet's configuration"),
    (
        "anti-affinity rules",
        "let another machine join, or ask for fewer replicas: the pod may not share one with its like",
    ),
    ("didn't match pod affinity rules", "see that the pods run beside which its affinity puts it"),
    (
        "topology spread constraints",
        "let machines join where its topologySpreadConstraints want it, or relax these",
    ),
    ("didn't have free ports", "end the pod or process on the node that has its host port"),
    (
        "PersistentVolumeClaim",
        "make a PersistentVolume for its claim (kubectl get pvc -A), or a StorageClass that does",
    ),
    (
        "persistent volume",
        "make a PersistentVolume for its claim (kubectl get pvc -A), or a StorageClass that does",
    ),
];
/// For words that are not in the table.
const OTHER: &str = "let a node have what the pod asks for, or let it ask for less in its manifest";

/// Whether the scheduler waits for a node to become Ready, given those that are not.
pub fn is_for_a_ready_node(said: &str, unready: &[Unready]) -> bool {
    let is_tainted = said.contains(TAINTED) && !unready.is_empty();
    is_tainted || UNREADY.iter().any(|taint| said.contains(taint))
}

/// What is in the way of a pod that has no node.
pub fn blocker(pod: &Pod, said: &str, unready: &[Unready]) -> Blocker {
    let name = pod.name_any();
    let selector = pod.spec.iter().flat_map(|spec| spec.node_selector.iter().flatten());
    let selector = labels(selector);
    let is_unready = is_for_a_ready_node(said, unready);
    let is_end = |words: &str| words != TAINTED || !is_unready || has_more_taints(said, unready);
    let mut cures: Vec<&str> = Vec::new();
    if is_unready {
        cures.push("see why the node is not Ready (kubectl describe node): most often it has no pod network");
    }
    cures.extend(
        REASONS.iter().filter(|(words, _)| said.contains(words) && is_end(words)).map(|(_, cure)| *cure),
    );
    cures.dedup();
    let node = unready.first().filter(|_| is_unready);
    let node = node.map(|Unready { node, said }| format!("; node {node} is not Ready: {said}"));
    let said = &format!("{said}{}", node.unwrap_or_default());
    if said.contains(SELECTOR) {
        if cures.is_empty() {
            return unlabelled(&format!("pod {name}"), &selector, said);
        }
        let label = label_cure(&selector);
        return no_node_takes(&name, said, &[&cures[..], &[&label]].concat());
    }
    if cures.is_empty() {
        cures.push(OTHER);
    }
    no_node_takes(&name, said, &cures)
}

/// Whether more nodes have a taint than are not Ready.
fn has_more_taints(said: &str, unready: &[Unready]) -> bool {
    let before = said.split(TAINTED).next().unwrap_or_default();
    let number = before.split_whitespace().rev().find_map(|word| word.parse::<usize>().ok());
    number.is_some_and(|number| number > unready.len().max(1))
}

/// With one reason for each node, ending any of them helps.
fn no_node_takes(name: &str, said: &str, cures: &[&str]) -> Blocker {
    Blocker::new(
        format!("no node takes pod {name}"),
        format!("the scheduler says: {said}"),
        cures.join("; or "),
    )
}

/// A DaemonSet for which no node qualifies.
pub fn no_node(set: &DaemonSet) -> Option<Blocker> {
    let status = set.status.as_ref()?;
    let is_seen = status.observed_generation >= set.metadata.generation;
    let spec = set.spec.as_ref()?.template.spec.as_ref()?;
    (is_seen && status.desired_number_scheduled == 0).then(|| {
        let selector = labels(spec.node_selector.iter().flatten());
        unlabelled(&format!("DaemonSet {}", set.name_any()), &selector, "its controller finds no node for it")
    })
}

fn unlabelled(what: &str, selector: &[String], said: &str) -> Blocker {
    let asked =
        if selector.is_empty() { "certain nodes by affinity".to_owned() } else { selector.join(", ") };
    Blocker::new(
        format!("no node has the labels that {what} asks for"),
        format!("it asks for {asked}; {said}"),
        format!("{}, or correct that in its manifest", label_cure(selector)),
    )
}

fn label_cure(selector: &[String]) -> String {
    match selector {
        [] => "label a node as its affinity asks (kubectl label node NODE KEY=VALUE)".to_owned(),
        selector => format!("label a node: kubectl label node NODE {}", selector.join(" ")),
    }
}

fn labels<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<String> {
    pairs.map(|(key, value)| format!("{key}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(said: &str) -> Blocker {
        let spec = json!({"nodeSelector": {"role": "db"}, "containers": []});
        let pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        blocker(&pod, said, &[])
    }

    #[test]
    fn a_node_that_is_not_ready_is_named_where_the_scheduler_names_only_a_taint() {
        let pod =
            serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": []}})).unwrap();
        let unready = [Unready { node: "n1".into(), said: "cni plugin not initialized".into() }];
        let one = blocker(&pod, "0/1 nodes are available: 1 node(s) had untolerated taint(s).", &unready);
        assert!(one.why.contains("node n1 is not Ready: cni plugin not initialized"), "{one:?}");
        assert!(one.cure.contains("not Ready") && !one.cure.contains("take the taint"), "{one:?}");
        let two = blocker(&pod, "0/2 nodes are available: 2 node(s) had untolerated taint(s).", &unready);
        assert!(two.cure.contains("not Ready") && two.cure.contains("; or take the taint"), "{two:?}");
    }

    #[test]
    fn each_reason_of_the_scheduler_has_a_cure_that_ends_it() {
        let table = [
            ("0/1 nodes are available: 1 Insufficient memory.", "make room on a node"),
            ("0/1 nodes are available: 1 node(s) were unschedulable.", "kubectl uncordon"),
            ("0/1 nodes are available: 1 node(s) had untolerated taint(s).", "take the taint from a node"),
            (
                "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.",
                "let another machine join",
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules.",
                "let another machine join",
            ),
            (
                "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
                "has its host port",
            ),
            ("pod has unbound immediate PersistentVolumeClaims", "make a PersistentVolume"),
            (
                "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.",
                "make a PersistentVolume",
            ),
            ("0/1 nodes are available: 1 node(s) had unknown conditions.", OTHER),
        ];
        for (said, cure) in table {
            let found = of(said);
            assert!(found.cure.contains(cure) && !found.cure.contains("; or "), "{said}: {found:?}");
        }
    }

    #[test]
    fn labels_are_the_cause_only_where_no_node_is_refused_for_something_else() {
        let alone = of("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.");
        assert!(alone.what.contains("no node has the labels"), "{alone:?}");
        assert!(alone.cure.contains("kubectl label node NODE role=db"), "{alone:?}");
        let mixed = of(
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector.",
        );
        assert!(mixed.what.contains("no node takes pod p"), "{mixed:?}");
        assert!(mixed.cure.contains("make room") && mixed.cure.contains("; or label a node"), "{mixed:?}");
    }
}
