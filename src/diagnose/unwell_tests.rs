use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::diagnose::tests::waiting;

const NOW: OffsetDateTime = datetime!(2026-01-01 0:10 UTC);

fn applied(all: &[(&'static str, &str)]) -> BTreeSet<Applied> {
    let of = |(kind, name): &(&'static str, &str)| Applied {
        kind,
        namespace: "shop".to_owned(),
        name: (*name).to_owned(),
    };
    all.iter().map(of).collect()
}

/// A pod of the ReplicaSet or StatefulSet `owner`, made at `created`.
fn pod(name: &str, kind: &str, owner: &str, created: &str, status: &Value) -> Pod {
    let controller =
        json!({"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "u", "controller": true});
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": created,
            "labels": {"pod-template-hash": "abc"}, "ownerReferences": [controller]},
        "spec": {"nodeName": "n2", "containers": []},
        "status": status,
    }))
    .unwrap()
}

fn decided(all: &[(&'static str, &str)], pods: Vec<Pod>, events: Vec<Event>) -> Vec<Unwell> {
    decide(&applied(all), &[Cluster { pods, events, ..Cluster::at(NOW) }])
}

const OLD: &str = "2026-01-01T00:05:00Z";
const NEW: &str = "2026-01-01T00:09:58Z";

#[test]
fn a_pod_is_told_with_its_workload_its_node_and_its_deepest_cause() {
    let crash = json!({"containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "message": "plugin/loop: Loop detected\n"}}}]});
    let pods = vec![
        pod("web-abc-1", "ReplicaSet", "web-abc", OLD, &crash),
        pod("web-abc-2", "ReplicaSet", "web-abc", OLD, &crash),
    ];
    let found = decided(&[("Deployment", "web")], pods, Vec::new());
    let cause = found[0].cause.clone().unwrap();
    assert_eq!(
        (&*found[0].workload, &*found[0].pod, &*found[0].node),
        ("Deployment shop/web", "web-abc-1", "n2")
    );
    assert!(cause.what.contains("does not stay up") && cause.why.contains("Loop detected"), "{cause:?}");
    let told = sentences(&found);
    assert_eq!(told.len(), 1, "one sentence for each workload: {told:?}");
    assert!(
        told[0].starts_with("Deployment shop/web is not well, and another pod of it: container c"),
        "{told:?}"
    );
    assert_eq!(starting(&found), None);
}

#[test]
fn what_start_has_not_applied_is_not_told() {
    let status = waiting("ErrImagePull", "no route");
    let pods = vec![pod("web-abc-1", "ReplicaSet", "web-abc", OLD, &status)];
    assert_eq!(decided(&[("Deployment", "shop")], pods, Vec::new()), []);
}

#[test]
fn a_pod_that_is_not_ready_may_be_starting_for_a_minute() {
    let of = |created| vec![pod("db-1", "StatefulSet", "db", created, &json!({}))];
    let new = decided(&[("StatefulSet", "db")], of(NEW), Vec::new());
    assert_eq!((starting(&new).as_deref(), sentences(&new)), (Some("db-1"), Vec::new()));
    let old = decided(&[("StatefulSet", "db")], of(OLD), Vec::new());
    assert!(sentences(&old)[0].contains("pod db-1 is not Ready"), "{old:?}");
}

#[test]
fn a_workload_without_a_pod_is_told_with_the_refusal_of_its_own_pods() {
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "e", "namespace": "shop", "creationTimestamp": OLD},
        "reason": "FailedCreate", "message": "exceeded quota", "type": "Warning", "count": 9,
        "firstTimestamp": OLD, "lastTimestamp": NEW, "involvedObject": {"name": "web-admin-5"},
    }))
    .unwrap();
    let found = decided(&[("Deployment", "web"), ("Deployment", "web-admin")], Vec::new(), vec![event]);
    let told: Vec<&str> = found.iter().map(|it| &*it.workload).collect();
    assert_eq!(told, ["Deployment shop/web-admin"], "the event is not that of web");
    assert!(sentences(&found)[0].contains("exceeded quota"));
}

#[test]
fn warnings_about_a_pod_are_not_those_of_another_whose_name_begins_alike() {
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "e", "namespace": "shop", "creationTimestamp": OLD},
        "reason": "FailedMount", "message": "secret \"x\" not found", "type": "Warning", "count": 9,
        "firstTimestamp": OLD, "lastTimestamp": NEW, "involvedObject": {"name": "db-10"},
    }))
    .unwrap();
    let creating = waiting("ContainerCreating", "");
    let pods = vec![
        pod("db-1", "StatefulSet", "db", NEW, &creating),
        pod("db-10", "StatefulSet", "db", OLD, &creating),
    ];
    let found = decided(&[("StatefulSet", "db")], pods, vec![event]);
    let told: Vec<(&str, bool)> = found.iter().map(|it| (&*it.pod, it.cause.is_some())).collect();
    assert_eq!(told, [("db-1", false), ("db-10", true)]);
    assert!(found[1].cause.as_ref().unwrap().why.contains("secret"), "{found:?}");
}
