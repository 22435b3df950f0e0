use serde_json::json;

use super::*;

fn daemon_set(observed: i64, desired: i32, updated: i32, ready: i32) -> DaemonSet {
    serde_json::from_value(json!({
        "metadata": {"name": "api", "namespace": "n", "uid": "ds", "generation": 2,
            "annotations": {"deprecated.daemonset.template.generation": "2"}},
        "status": {"observedGeneration": observed, "desiredNumberScheduled": desired, "currentNumberScheduled": desired,
            "numberMisscheduled": 0, "numberReady": ready, "updatedNumberScheduled": updated}
    }))
    .unwrap()
}

fn deployment(observed: i64, replicas: i32, updated: i32, ready: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "kcm", "namespace": "n", "uid": "dep", "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"}},
        "spec": {"replicas": replicas, "selector": {}, "template": {}},
        "status": {"observedGeneration": observed, "updatedReplicas": updated, "readyReplicas": ready}
    }))
    .unwrap()
}

fn replica_set(uid: &str, revision: &str) -> ReplicaSet {
    serde_json::from_value(json!({"metadata": {"name": uid, "namespace": "n", "uid": uid,
        "annotations": {"deployment.kubernetes.io/revision": revision},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "kcm", "uid": "dep"}]}}))
    .unwrap()
}

fn pod(name: &str, owner: &str, generation: &str, node: &str, ready: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"pod-template-generation": generation},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "X", "name": "x", "uid": owner}]},
        "spec": {"nodeName": node, "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": ready, "message": "starting"}]}
    }))
    .unwrap()
}

fn mirror() -> Pod {
    let mut pod = pod("bootstrap", "ds", "2", "n1", "True");
    pod.annotations_mut().insert("kubernetes.io/config.mirror".into(), String::new());
    pod
}

fn wanted(kind: Kind, name: &str, need: Need) -> Wanted {
    Wanted { kind, namespace: "n".into(), name: name.into(), need }
}

fn api(need: Need) -> Wanted {
    wanted(Kind::DaemonSet, "api", need)
}

fn kcm(need: Need) -> Wanted {
    wanted(Kind::Deployment, "kcm", need)
}

fn world(set: Option<DaemonSet>, deployment: Option<Deployment>, pods: Vec<Pod>) -> Workloads {
    Workloads {
        daemon_sets: set.into_iter().collect(),
        deployments: deployment.into_iter().collect(),
        replica_sets: [replica_set("rs1", "1"), replica_set("rs2", "2")].into_iter().collect(),
        revisions: Watched::default(),
        pods: pods.into_iter().collect(),
    }
}

fn why(wanted: &Wanted, seen: &Workloads) -> String {
    match is_ready(wanted, seen) {
        Progress::Not(why) => why,
        Progress::Done(pods) => panic!("ready: {pods:?}"),
    }
}

fn names(wanted: &Wanted, seen: &Workloads) -> Vec<String> {
    match is_ready(wanted, seen) {
        Progress::Done(pods) => pods.into_iter().map(|pod| pod.name).collect(),
        Progress::Not(why) => panic!("not ready: {why}"),
    }
}

#[test]
fn a_daemon_set_is_rolled_out_for_its_generation_only() {
    let reason = |set: &DaemonSet| is_daemon_set_rolled_out(set).err().unwrap_or_default();
    assert_eq!(reason(&daemon_set(2, 1, 1, 1)), "");
    assert_eq!(reason(&daemon_set(1, 1, 1, 1)), "its controller has not seen the present template yet");
    assert_eq!(reason(&daemon_set(2, 0, 0, 0)), "no node matches its selector");
    assert_eq!(reason(&daemon_set(2, 3, 2, 3)), "2 of 3 pods have the present template");
    assert_eq!(reason(&daemon_set(2, 3, 3, 1)), "1 of 3 pods are ready");
    assert_eq!(reason(&DaemonSet::default()), "its controller has not seen it yet");
}

#[test]
fn a_deployment_is_rolled_out_for_its_generation_only() {
    let reason = |deployment: &Deployment| is_deployment_rolled_out(deployment).err().unwrap_or_default();
    assert_eq!(reason(&deployment(2, 2, 2, 2)), "");
    assert_eq!(reason(&deployment(1, 2, 2, 2)), "its controller has not seen the present template yet");
    assert_eq!(reason(&deployment(2, 2, 1, 2)), "1 of 2 pods have the present template");
    assert_eq!(reason(&deployment(2, 2, 2, 1)), "1 of 2 pods are ready");
    assert_eq!(reason(&beside_older(1)), "a pod of an earlier template still runs");
}

/// A Deployment whose present pod is ready, and so many of its earlier template are there as well.
fn beside_older(older: i32) -> Deployment {
    let mut deployment = deployment(2, 1, 1, 1);
    deployment.status.as_mut().unwrap().replicas = Some(1 + older);
    deployment
}

#[test]
fn a_pod_that_an_older_one_may_have_answered_for_proves_nothing() {
    let pods = || vec![pod("p", "rs2", "", "n1", "True"), pod("q", "rs1", "", "n1", "True")];
    let seen = |older| world(None, Some(beside_older(older)), pods());
    let expected = "Deployment n/kcm: a pod of an earlier template still runs";
    assert_eq!(why(&kcm(Need::One), &seen(1)), expected);
    assert!(why(&kcm(Need::OnNode("n1".into())), &seen(2)).contains("2 pods of an earlier template"));
    assert_eq!(names(&kcm(Need::One), &seen(0)), ["p"]);
}

#[test]
fn the_status_alone_proves_nothing() {
    let seen = world(Some(daemon_set(2, 1, 1, 1)), None, vec![mirror()]);
    assert_eq!(why(&api(Need::All), &seen), "DaemonSet n/api: 0 of 1 pods are there");
}

#[test]
fn pods_of_an_older_template_prove_nothing() {
    let seen = world(Some(daemon_set(2, 1, 1, 1)), None, vec![pod("old", "ds", "1", "n1", "True")]);
    assert_eq!(why(&api(Need::One), &seen), "DaemonSet n/api: 0 of 1 pods are there");
    let seen = world(None, Some(deployment(2, 1, 1, 1)), vec![pod("old", "rs1", "", "n1", "True")]);
    assert_eq!(why(&kcm(Need::One), &seen), "Deployment n/kcm: 0 of 1 pods are there");
}

fn revision(hash: &str, number: i64) -> ControllerRevision {
    serde_json::from_value(json!({"metadata": {"name": hash, "namespace": "n",
        "labels": {"controller-revision-hash": hash},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "api", "uid": "ds"}]},
        "revision": number}))
    .unwrap()
}

#[test]
fn after_an_edit_was_undone_the_pod_that_never_made_way_is_of_the_present_template() {
    let mut kept = pod("kept", "ds", "1", "n1", "True");
    kept.labels_mut().insert("controller-revision-hash".into(), "good".into());
    let seen = |updated, revisions: &[ControllerRevision]| Workloads {
        revisions: revisions.iter().cloned().collect(),
        ..world(Some(daemon_set(2, 1, updated, 1)), None, vec![kept.clone()])
    };
    let undone = [revision("good", 3), revision("bad", 2)];
    assert_eq!(names(&api(Need::OnNode("n1".into())), &seen(1, &undone)), ["kept"]);
    let edited = [revision("good", 1), revision("bad", 2)];
    let expected = "DaemonSet n/api: no pod on node n1 yet";
    assert_eq!(why(&api(Need::OnNode("n1".into())), &seen(0, &edited)), expected);
    // The revision of an edit has not arrived yet.
    assert_eq!(why(&api(Need::OnNode("n1".into())), &seen(0, &undone[..1])), expected);
}

#[test]
fn pods_alone_prove_nothing_while_the_controller_lags() {
    let seen = world(Some(daemon_set(1, 1, 1, 1)), None, vec![pod("p", "ds", "2", "n1", "True")]);
    assert_eq!(
        why(&api(Need::One), &seen),
        "DaemonSet n/api: its controller has not seen the present template yet"
    );
    let seen = world(Some(daemon_set(2, 1, 0, 1)), None, vec![pod("p", "ds", "2", "n1", "True")]);
    assert_eq!(why(&api(Need::All), &seen), "DaemonSet n/api: 0 of 1 pods have the present template");
}

#[test]
fn ready_pods_of_the_present_template_are_the_proof() {
    let pods = vec![pod("p", "ds", "2", "n1", "True"), pod("q", "ds", "1", "n1", "True"), mirror()];
    assert_eq!(names(&api(Need::All), &world(Some(daemon_set(2, 1, 1, 1)), None, pods)), ["p"]);
    let pods = vec![pod("p", "rs2", "", "n1", "True"), pod("q", "rs1", "", "n1", "True")];
    assert_eq!(names(&kcm(Need::All), &world(None, Some(deployment(2, 1, 1, 1)), pods)), ["p"]);
}

#[test]
fn one_is_enough_where_one_is_asked_for() {
    let pods = || vec![pod("p", "rs2", "", "n1", "True"), pod("q", "rs2", "", "n2", "False")];
    let seen = world(None, Some(deployment(2, 2, 2, 1)), pods());
    assert_eq!(names(&kcm(Need::One), &seen), ["p"]);
    assert_eq!(why(&kcm(Need::All), &seen), "pod q starting");
    assert_eq!(why(&kcm(Need::OnNode("n2".into())), &seen), "pod q starting");
    assert_eq!(why(&kcm(Need::OnNode("n3".into())), &seen), "Deployment n/kcm: no pod on node n3 yet");
    assert_eq!(names(&kcm(Need::OnNode("n1".into())), &seen), ["p"]);
}

#[test]
fn what_is_missing_is_named() {
    let empty = world(None, None, vec![]);
    assert_eq!(why(&api(Need::All), &empty), "DaemonSet n/api: is not there");
    assert_eq!(why(&kcm(Need::All), &empty), "Deployment n/kcm: is not there");
    let unmatched = world(Some(daemon_set(2, 0, 0, 0)), None, vec![]);
    assert_eq!(why(&api(Need::All), &unmatched), "DaemonSet n/api: no node matches its selector");
    let mut fresh = deployment(2, 1, 0, 0);
    fresh.metadata.annotations = None;
    let fresh = world(None, Some(fresh), vec![]);
    assert_eq!(why(&kcm(Need::All), &fresh), "Deployment n/kcm: its ReplicaSet is not there yet");
}
