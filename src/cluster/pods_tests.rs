use serde_json::{Value, json};

use super::*;

fn pod(value: Value) -> Pod {
    serde_json::from_value(value).unwrap()
}

fn placed(status: Value) -> Pod {
    pod(json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": []}, "status": status}))
}

fn container(state: Value, last: Value) -> Pod {
    let status = json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": state, "lastState": last});
    placed(json!({"containerStatuses": [status]}))
}

#[test]
fn a_ready_pod_is_ready_unless_it_is_leaving() {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    assert_eq!(is_ready_pod(&placed(ready.clone())), Ok(()));
    let leaving =
        json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": ready});
    assert_eq!(is_ready_pod(&pod(leaving)).unwrap_err(), "is terminating");
}

#[test]
fn why_a_pod_is_not_ready_is_told_by_what_holds_it_up() {
    let unschedulable = json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled",
        "status": "False", "message": "0/1 nodes are available: 1 node(s) had untolerated taint(s)"}]}});
    let init = |state: Value| {
        placed(json!({"initContainerStatuses": [{"name": "i", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": state}]}))
    };
    let gate = json!({"conditions": [{"type": "Ready", "status": "False", "message": "the gate is closed"}]});
    let table = [
        (pod(unschedulable), "is not scheduled: 0/1 nodes are available: 1 node(s) had untolerated taint(s)"),
        (pod(json!({"metadata": {"name": "p"}})), "is not scheduled yet"),
        (placed(json!({})), "waits for kubelet to start it"),
        (placed(gate), "the gate is closed"),
        (placed(json!({"phase": "Failed", "reason": "Evicted"})), "failed: Evicted"),
        (
            container(
                json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image \"x:1\""}}),
                json!({}),
            ),
            "container c ImagePullBackOff: Back-off pulling image \"x:1\"",
        ),
        (
            container(
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
                json!({"terminated": {"exitCode": 1, "message": "starting\nunknown flag: --foo\n\n"}}),
            ),
            "container c CrashLoopBackOff: exited with 1: unknown flag: --foo",
        ),
        (container(json!({"terminated": {"exitCode": 2}}), json!({})), "container c exited with 2"),
        (container(json!({"running": {}}), json!({})), "container c runs, its probe has not passed"),
        (init(json!({"waiting": {"reason": "PodInitializing"}})), "container i PodInitializing"),
        (init(json!({"terminated": {"exitCode": 0}})), "waits for kubelet to start it"),
    ];
    for (pod, why) in table {
        assert_eq!(is_ready_pod(&pod).unwrap_err(), why);
    }
}

#[test]
fn a_pod_that_ends_again_and_again_was_started_all_the_same() {
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let mut crashing = container(waiting, json!({"terminated": {"exitCode": 1}}));
    assert!(is_started_pod(&crashing).is_err(), "before kubelet has said so");
    crashing.status.as_mut().unwrap().phase = Some("Running".into());
    assert_eq!(is_started_pod(&crashing), Ok(()));
    assert_eq!(is_ready_pod(&crashing).unwrap_err(), "container c CrashLoopBackOff: exited with 1");
    let pending = placed(json!({"phase": "Pending"}));
    assert_eq!(is_started_pod(&pending).unwrap_err(), "waits for kubelet to start it");
    let leaving = json!({"metadata": {"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}});
    assert_eq!(is_started_pod(&pod(leaving)).unwrap_err(), "is terminating");
}

#[test]
fn mirrors_of_static_pods_belong_to_nobody() {
    let owned = |annotations: Value| {
        pod(json!({"metadata": {"name": "p", "annotations": annotations,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u"}]}}))
    };
    assert!(is_pod_of("u", &owned(json!({}))));
    assert!(!is_pod_of("v", &owned(json!({}))));
    assert!(!is_pod_of("u", &owned(json!({"kubernetes.io/config.mirror": "x"}))));
}
