use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use time::macros::datetime;

use super::*;

fn pod(name: &str, node: &str, program: &str, changes: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "image:1", "command": [program, "--v=2"]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    json_patch::merge(&mut pod, changes);
    serde_json::from_value(pod).unwrap()
}

fn owned(kind: &str, name: &str) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true});
    json!({"metadata": {"ownerReferences": [owner]}})
}

fn mirror() -> Value {
    json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}})
}

fn lease(name: &str, holder: &str, renewed: &str) -> Lease {
    let spec = json!({"holderIdentity": holder, "renewTime": renewed});
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

fn healthy() -> Inventory {
    let renewed = "2026-01-01T00:00:00.000000Z";
    Inventory {
        pods: vec![
            pod("coredns-1", "n1", "/coredns", &json!({})),
            pod("etcd-n1", "n1", "etcd", &mirror()),
            pod("kube-scheduler-1-x", "n1", "kube-scheduler", &owned("ReplicaSet", "kube-scheduler-1")),
            pod("kube-scheduler-1-y", "n2", "kube-scheduler", &owned("ReplicaSet", "kube-scheduler-1")),
            pod(
                "kube-controller-manager-1-x",
                "n2",
                "kube-controller-manager",
                &owned("ReplicaSet", "kube-controller-manager-1"),
            ),
            pod("kube-apiserver-x", "n1", "kube-apiserver", &owned("DaemonSet", "kube-apiserver")),
        ],
        leases: vec![
            lease("kube-scheduler", "n2_1", renewed),
            lease("kube-controller-manager", "n2_1", renewed),
        ],
        ..Inventory::default()
    }
}

fn problems_of(inventory: &Inventory) -> Vec<String> {
    nodeless(inventory, &[], None).into_iter().chain(problems(inventory, &[], None, NOW)).collect()
}

const NOW: OffsetDateTime = datetime!(2026-01-01 0:00:05 UTC);

#[test]
fn the_control_plane_is_told_from_other_pods_with_who_hosts_and_who_leads() {
    let found = components(&healthy());
    let described: Vec<String> = found
        .iter()
        .map(|component| {
            format!("{} {} {} {:?}", component.name, component.node, component.hosting, component.leads)
        })
        .collect();
    let expected = [
        "kube-apiserver n1 DaemonSet None",
        "kube-controller-manager n2 Deployment Some(true)",
        "kube-scheduler n1 Deployment Some(false)",
        "kube-scheduler n2 Deployment Some(true)",
        "etcd n1 static pod None",
    ];
    assert_eq!(described, expected);
    assert_eq!(found[1].hosting, Hosting::SelfHosted("Deployment/kube-controller-manager".into()));
    assert_eq!(problems_of(&healthy()), [] as [String; 0]);
}

#[test]
fn a_cluster_without_a_node_needs_a_kubelet_that_is_restarted() {
    let inventory = Inventory { nodes: Some(Vec::new()), ..healthy() };
    let found = problems_of(&inventory);
    assert!(found[0].starts_with("no node has registered"), "{found:?}");
    assert!(found[0].contains("systemctl restart kubelet"), "{found:?}");
    assert_eq!(
        problems_of(&Inventory { nodes: Some(vec![Node::default()]), ..healthy() }),
        [] as [String; 0]
    );
}

#[test]
fn copies_that_the_api_does_not_show_are_problems_by_what_hides_them() {
    let copy = Component {
        name: "kube-apiserver",
        hosting: Hosting::Copy,
        pod: "kube-apiserver-copy".into(),
        node: "n1".into(),
        image: String::new(),
        ready: Ok(()),
        leads: None,
    };
    let with = |nodes: usize, node: Option<&str>| {
        let inventory = Inventory { nodes: Some(vec![Node::default(); nodes]), ..healthy() };
        let here = Here { node: node.map(str::to_owned), has_apiserver: true };
        let hidden = std::slice::from_ref(&copy);
        let nodeless = nodeless(&inventory, hidden, Some(&here));
        nodeless.into_iter().chain(problems(&inventory, hidden, Some(&here), NOW)).collect::<Vec<_>>()
    };
    assert!(with(0, None)[0].contains("no node has registered"));
    assert!(with(0, None)[0].contains("(here: kube-apiserver)"));
    let gone = with(1, None);
    assert!(gone[0].contains("the Node of this machine is not registered") && gone.len() == 1, "{gone:?}");
    let away = with(1, Some("n1"));
    assert!(away[0].contains("the copy kube-apiserver-copy runs until") && away.len() == 1, "{away:?}");
}

#[test]
fn without_a_node_nothing_is_said_of_pods() {
    let mut inventory = Inventory { nodes: Some(Vec::new()), ..healthy() };
    inventory.pods.push(pod(
        "kube-apiserver-z",
        "",
        "kube-apiserver",
        &json!({"status": {"phase": "Pending", "conditions": []}}),
    ));
    assert_eq!(problems_of(&inventory).len(), 1);
}

#[test]
fn a_bootstrap_pod_that_is_left_is_a_problem() {
    let mut inventory = healthy();
    inventory.pods.push(pod("bootstrap-kube-scheduler-n2", "n2", "kube-scheduler", &mirror()));
    let found = problems_of(&inventory);
    assert!(matches!(found.as_slice(), [only] if only.contains("bootstrap-kube-scheduler-n2")), "{found:?}");
    let on_n2 = components(&inventory).into_iter().filter(|component| component.node == "n2");
    let schedulers: Vec<Option<bool>> = on_n2
        .filter(|component| component.name == "kube-scheduler")
        .map(|component| component.leads)
        .collect();
    assert_eq!(schedulers, [None, None], "two on one node cannot be told apart by their lease");
}

#[test]
fn a_pod_that_ended_for_good_is_no_problem_unless_nothing_replaces_it() {
    let failed = json!({"status": {"phase": "Failed", "reason": "Terminated", "conditions": [
        {"type": "Ready", "status": "False"}]}});
    let problems_with = |owner: Value| {
        let mut changes = failed.clone();
        json_patch::merge(&mut changes, &owner);
        let mut inventory = healthy();
        inventory.pods.push(pod("kube-scheduler-1-z", "n1", "kube-scheduler", &changes));
        problems_of(&inventory).len()
    };
    assert_eq!(problems_with(owned("ReplicaSet", "kube-scheduler-1")), 0);
    assert_eq!(problems_with(json!({})), 1);
    assert_eq!(problems_with(owned("Node", "n1")), 1, "kubelet makes no other pod of a file");
}

#[test]
fn a_copy_that_stands_in_for_its_pod_is_a_problem() {
    let mut inventory = healthy();
    let annotations = json!({"metadata": {"annotations": {
        "kubernetes.io/config.mirror": "x", "checkpointer.alpha.coreos.com/checkpoint-of": "kube-apiserver-x",
    }}});
    inventory.pods.push(pod("kube-apiserver-x-n1", "n1", "kube-apiserver", &annotations));
    let found = problems_of(&inventory);
    let expected = "kube-apiserver on n1: the copy kube-apiserver-x-n1 runs until the pod itself is healthy";
    assert_eq!(found, [expected]);
}

#[test]
fn the_copy_of_the_agent_is_always_there_and_no_problem() {
    let mut inventory = healthy();
    let annotations = json!({
        "metadata": {"annotations": {
            "kubernetes.io/config.mirror": "x", "checkpointer.alpha.coreos.com/checkpoint-of": "pod-checkpointer-x",
        }},
        "spec": {"containers": [{"name": "agent", "command": ["/bootkube", "agent"]}]},
    });
    inventory.pods.push(pod("pod-checkpointer-x-n1", "n1", "bootkube", &annotations));
    let copy = components(&inventory)
        .into_iter()
        .find(|component| component.pod == "pod-checkpointer-x-n1")
        .unwrap();
    assert_eq!((copy.name, copy.hosting), (AGENT, Hosting::Copy));
    assert_eq!(problems_of(&inventory), [] as [&str; 0]);
}

#[test]
fn a_leader_that_is_dead_or_missing_is_a_problem_unless_leases_were_not_seen() {
    let mut inventory = healthy();
    inventory.leases.remove(0);
    let late = datetime!(2026-01-01 0:10 UTC);
    let found = problems(&inventory, &[], None, late);
    assert!(found[0].contains("kube-controller-manager leads: n2_1 has not renewed"), "{found:?}");
    assert!(found[1].contains("no kube-scheduler leads: its lease has no holder"), "{found:?}");
    inventory.unseen.push("leases of kube-system: forbidden".into());
    assert_eq!(problems(&inventory, &[], None, late), [] as [String; 0]);
}

#[test]
fn a_pod_that_is_not_ready_and_a_workload_that_is_behind_are_problems() {
    let mut inventory = healthy();
    let unready =
        json!({"status": {"conditions": [{"type": "Ready", "status": "False", "message": "is sick"}]}});
    inventory.pods.push(pod("kube-apiserver-y", "n2", "kube-apiserver", &unready));
    let set = json!({
        "metadata": {"name": "kube-apiserver", "generation": 1},
        "spec": {"selector": {}, "template": {}},
        "status": {
            "currentNumberScheduled": 2, "desiredNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 1,
            "observedGeneration": 1, "updatedNumberScheduled": 2,
        },
    });
    inventory.daemon_sets.push(serde_json::from_value(set).unwrap());
    let found = problems_of(&inventory);
    assert_eq!(
        found,
        [
            "kube-apiserver on n2: pod kube-apiserver-y is sick",
            "DaemonSet kube-apiserver: 1 of 2 pods are ready"
        ]
    );
}

#[test]
fn the_agent_is_known_by_what_it_runs_and_named_as_its_daemon_set() {
    let mut inventory = healthy();
    let command = json!({"spec": {"containers": [{"name": "agent", "image": "image:1", "command": ["/bootkube", "agent", "--kubeconfig=k"]}]}});
    let mut agent = owned("DaemonSet", "pod-checkpointer");
    json_patch::merge(&mut agent, &command);
    inventory.pods.push(pod("pod-checkpointer-x", "n1", "x", &agent));
    let starter =
        json!({"spec": {"containers": [{"name": "s", "image": "i", "command": ["/bootkube", "start"]}]}});
    inventory.pods.push(pod("starter", "n1", "x", &starter));
    let found = components(&inventory);
    let last = found.last().unwrap();
    assert_eq!((last.name, last.leads), ("pod-checkpointer", None));
    assert_eq!(last.hosting, Hosting::SelfHosted("DaemonSet/pod-checkpointer".into()));
    assert_eq!(found.iter().filter(|component| component.name == AGENT).count(), 1);
    inventory.pods.retain(|pod| pod.name_any() != "pod-checkpointer-x");
    assert!(components(&inventory).iter().all(|component| component.name != AGENT));
}
