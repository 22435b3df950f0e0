//! Pods and their owners, in tables.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::observed::Api;
use super::parent::{
    Owner, is_copy, is_parent, last_change, role, started_after, word_on_daemon_set, word_on_deployment,
    word_on_pod, workload, workload_by_labels,
};
use super::{CHECKPOINT, CHECKPOINT_OF, Id, Role};

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A pod on n1 that asks to be kept, changed.
fn pod(change: Value) -> Pod {
    let mut pod = json!({
        "metadata": {"name": "web-x7z2k", "namespace": "prod", "annotations": {CHECKPOINT: "true"}},
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"phase": "Running"},
    });
    json_patch::merge(&mut pod, &change);
    object(pod)
}

fn node(change: Value) -> Node {
    let mut node = json!({"metadata": {"name": "n1", "labels": {"role": "controller", "rank": "5"}}});
    json_patch::merge(&mut node, &change);
    object(node)
}

#[test]
fn only_pods_of_the_api_that_ask_for_it_and_mean_to_stay_here_are_kept() {
    let annotated = |key: &str, value: &str| json!({"metadata": {"annotations": {key: value}}});
    let table = [
        (json!({}), true),
        (annotated("kubernetes.io/config.source", "api"), true),
        (annotated("kubernetes.io/config.source", "file"), false),
        (annotated("kubernetes.io/config.mirror", "hash"), false),
        (annotated(CHECKPOINT_OF, "web"), false),
        (annotated(CHECKPOINT_OF, ""), false),
        (annotated(CHECKPOINT, "false"), false),
        (annotated(CHECKPOINT, ""), false),
        (json!({"metadata": {"annotations": null}}), false),
        (json!({"spec": {"nodeName": "n2"}}), false),
        (json!({"spec": {"nodeName": null}}), false),
        (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), false),
        (json!({"status": {"phase": "Failed"}}), false),
        (json!({"status": {"phase": "Succeeded"}}), false),
        (json!({"status": null}), true),
    ];
    for (change, expected) in table {
        assert_eq!(is_parent(&pod(change.clone()), "n1"), expected, "{change}");
    }
}

#[test]
fn a_copy_is_known_by_its_annotation_even_an_empty_one() {
    assert!(!is_copy(&pod(json!({}))));
    assert!(!is_copy(&Pod::default()));
    for value in ["web", ""] {
        assert!(is_copy(&pod(json!({"metadata": {"annotations": {CHECKPOINT_OF: value}}}))));
    }
}

#[test]
fn pods_are_of_the_workload_that_made_them() {
    let owned = |kind: &str, name: &str, controller: bool| {
        pod(json!({"metadata": {
            "labels": {"pod-template-hash": "5d4"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": controller}],
        }}))
    };
    let table = [
        (pod(json!({})), "web-x7z2k", Owner::Itself),
        (owned("DaemonSet", "web", true), "web", Owner::DaemonSet),
        (owned("DaemonSet", "web", false), "web-x7z2k", Owner::Itself),
        (owned("ReplicaSet", "web-5d4", true), "web", Owner::Deployment),
        (owned("ReplicaSet", "own", true), "own", Owner::Deployment),
        (owned("StatefulSet", "web", true), "web-x7z2k", Owner::Itself),
    ];
    for (pod, name, owner) in table {
        assert_eq!(workload(&pod), (Id::new("prod", name), owner));
    }
}

#[test]
fn roles_are_told_by_what_a_container_runs() {
    let runs = |words: &str| {
        let command: Vec<&str> = words.split(' ').collect();
        object::<PodSpec>(json!({"containers": [{"name": "side"}, {"name": "a", "command": command}]}))
    };
    let (id, own) = (Id::new("a", "b"), Id::new("kube-system", "pod-checkpointer"));
    let table = [
        ("kube-apiserver --permit-port-sharing=true", Role::Apiserver),
        ("/usr/local/bin/kube-apiserver --permit-port-sharing --v=1", Role::Apiserver),
        ("kube-apiserver --permit-port-sharing=true --permit-port-sharing=false", Role::Exclusive),
        ("kube-apiserver", Role::Exclusive),
        ("kube-controller-manager", Role::Leader),
        ("hyperkube kube-scheduler --leader-elect true", Role::Leader),
        ("kube-scheduler --leader-elect=false", Role::Exclusive),
        ("sh -c kube-scheduler", Role::Exclusive),
        ("nginx", Role::Exclusive),
    ];
    for (words, expected) in table {
        assert_eq!(role(&id, &runs(words), &own), expected, "{words}");
    }
    assert_eq!(role(&own, &runs("kube-scheduler"), &own), Role::Own);
}

/// A DaemonSet that asks to be kept, with a pod spec of `spec`.
fn daemon_set(spec: Value) -> DaemonSet {
    object(json!({"metadata": {"name": "web"}, "spec": {
        "selector": {},
        "template": {"metadata": {"annotations": {CHECKPOINT: "true"}}, "spec": spec},
    }}))
}

#[test]
fn a_daemon_set_wants_its_pod_where_selector_affinity_and_taints_let_it() {
    let rule = |operator: &str, key: &str, values: &[&str]| {
        json!({"containers": [], "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}],
        }}}})
    };
    let plain = json!({"containers": []});
    let selects = |value: &str| json!({"containers": [], "nodeSelector": {"role": value}});
    let tolerates = |toleration: Value| json!({"containers": [], "tolerations": [toleration]});
    let tainted =
        |key: &str, effect: &str| json!({"spec": {"taints": [{"key": key, "effect": effect, "value": "x"}]}});
    let (none, taint) = (json!({}), tainted("dedicated", "NoSchedule"));
    let table = [
        (plain.clone(), none.clone(), Api::Wanted),
        (selects("controller"), none.clone(), Api::Wanted),
        (selects("worker"), none.clone(), Api::Elsewhere),
        (rule("In", "role", &["a", "controller"]), none.clone(), Api::Wanted),
        (rule("NotIn", "role", &["controller"]), none.clone(), Api::Elsewhere),
        (rule("NotIn", "absent", &["x"]), none.clone(), Api::Wanted),
        (rule("Exists", "role", &[]), none.clone(), Api::Wanted),
        (rule("DoesNotExist", "role", &[]), none.clone(), Api::Elsewhere),
        (rule("Gt", "rank", &["4"]), none.clone(), Api::Wanted),
        (rule("Lt", "rank", &["4"]), none.clone(), Api::Elsewhere),
        (rule("Lt", "role", &["4"]), none, Api::Elsewhere),
        (plain.clone(), taint.clone(), Api::Elsewhere),
        (plain.clone(), tainted("dedicated", "PreferNoSchedule"), Api::Wanted),
        (plain, tainted("node.kubernetes.io/not-ready", "NoExecute"), Api::Wanted),
        (tolerates(json!({"operator": "Exists"})), taint.clone(), Api::Wanted),
        (tolerates(json!({"key": "dedicated", "value": "x"})), taint.clone(), Api::Wanted),
        (tolerates(json!({"key": "dedicated", "value": "y"})), taint.clone(), Api::Elsewhere),
        (tolerates(json!({"operator": "Exists", "effect": "NoExecute"})), taint, Api::Elsewhere),
    ];
    for (spec, of_node, expected) in table {
        let word = word_on_daemon_set(Some(&daemon_set(spec.clone())), &[], &node(of_node.clone()));
        assert_eq!(word, expected, "{spec} on {of_node}");
    }
}

#[test]
fn a_daemon_sets_pod_is_here_while_it_lives_and_gone_with_the_set() {
    let here = node(json!({}));
    let set = daemon_set(json!({"containers": []}));
    let mut unasking = set.clone();
    unasking.spec.as_mut().unwrap().template.metadata = None;
    assert_eq!(word_on_daemon_set(Some(&set), &[pod(json!({}))], &here), Api::Here);
    assert_eq!(word_on_daemon_set(None, &[pod(json!({}))], &here), Api::Here);
    let elsewhere = pod(json!({"spec": {"nodeName": "n2"}}));
    assert_eq!(word_on_daemon_set(Some(&set), &[elsewhere], &here), Api::Wanted);
    assert_eq!(word_on_daemon_set(None, &[], &here), Api::Gone);
    assert_eq!(word_on_daemon_set(Some(&unasking), &[], &here), Api::Gone);
}

#[test]
fn a_deployment_without_any_assigned_pod_wants_its_copies() {
    let deployment = |replicas: u8| -> Deployment {
        object(json!({"metadata": {"name": "web"}, "spec": {
            "replicas": replicas, "selector": {},
            "template": {"metadata": {"annotations": {CHECKPOINT: "true"}}, "spec": {"containers": []}},
        }}))
    };
    let two = deployment(2);
    let word = |pods: &[Pod]| word_on_deployment(Some(&two), pods, "n1");
    let (here, there) = (pod(json!({})), pod(json!({"spec": {"nodeName": "n2"}})));
    let leaving = pod(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    let unassigned = pod(json!({"spec": {"nodeName": null}}));
    let copy = pod(json!({"metadata": {"annotations": {CHECKPOINT_OF: "web"}}}));
    assert_eq!(word(&[here.clone(), there.clone()]), Api::Here);
    assert_eq!(word(&[there]), Api::Elsewhere);
    assert_eq!(word(&[leaving, unassigned, copy]), Api::Wanted);
    assert_eq!(word(&[]), Api::Wanted);
    assert_eq!(word_on_deployment(Some(&deployment(0)), &[], "n1"), Api::Gone);
    assert_eq!(word_on_deployment(None, &[], "n1"), Api::Gone);
    assert_eq!(word_on_deployment(None, &[here], "n1"), Api::Here);
}

#[test]
fn a_pod_of_its_own_is_here_there_or_gone() {
    assert_eq!(word_on_pod(Some(&pod(json!({}))), "n1"), Api::Here);
    assert_eq!(word_on_pod(Some(&pod(json!({}))), "n2"), Api::Elsewhere);
    assert_eq!(word_on_pod(Some(&pod(json!({"status": {"phase": "Failed"}}))), "n1"), Api::Gone);
    assert_eq!(word_on_pod(Some(&pod(json!({"metadata": {"annotations": null}}))), "n1"), Api::Gone);
    assert_eq!(word_on_pod(None, "n1"), Api::Gone);
}

#[test]
fn files_put_under_a_running_container_prove_nothing() {
    let started = |at: Option<&str>| {
        let state = at.map_or(json!({"waiting": {}}), |at| json!({"running": {"startedAt": at}}));
        let status = json!({"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state});
        pod(json!({"spec": {"containers": [{"name": "a"}]}, "status": {"containerStatuses": [status]}}))
    };
    let secret: Pod = object(json!({"metadata": {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"time": "2026-01-02T00:00:00Z"}, {"time": "2026-01-03T00:00:00Z"}],
    }}));
    let change = last_change(&secret.metadata);
    assert!(started_after(&started(Some("2026-01-03T00:00:00Z")), change));
    assert!(!started_after(&started(Some("2026-01-02T23:59:59Z")), change));
    assert!(!started_after(&started(None), change));
    assert!(!started_after(&pod(json!({"spec": {"containers": [{"name": "a"}]}})), None));
}

#[test]
fn name_and_labels_give_the_workload_of_a_pod_without_an_owner() {
    let labels = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let of_set = [("controller-revision-hash", "5f")];
    let table = [
        (
            "kube-scheduler-7d9f-abcde",
            labels(&[("pod-template-hash", "7d9f")]),
            "kube-scheduler",
            Owner::Deployment,
        ),
        ("kube-apiserver-x7z2k", labels(&of_set), "kube-apiserver", Owner::DaemonSet),
        ("db-0", labels(&[of_set[0], ("statefulset.kubernetes.io/pod-name", "db-0")]), "db-0", Owner::Itself),
        ("alone", labels(&[]), "alone", Owner::Itself),
        ("odd", labels(&[("pod-template-hash", "7d9f")]), "odd", Owner::Itself),
    ];
    for (name, labels, workload, owner) in table {
        assert_eq!(workload_by_labels("n", name, &labels), (Id::new("n", workload), owner), "{name}");
    }
}
