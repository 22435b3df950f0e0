//! What passes by itself, or what the command itself is about to mend, is not in the way.

use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};
use time::Duration;

use super::decide::decide;
use super::evidence::Evidence;
use super::tests::{
    NOW, api, blocker, cluster, daemon_set, event, fail, healthy, pod, reported, static_pods, unscheduled,
    waiting,
};
use super::{Brought, Restart};
use crate::cluster::apply::Item;
use crate::cluster::connect::Readyz;

/// A cluster with one required pod, and one warning about it.
fn warned(status: Value, event: Event) -> Evidence {
    let mut evidence = healthy();
    let mut cluster = cluster(vec![pod(Some("n1"), status)]);
    cluster.events.push(event);
    evidence.cluster = Some(cluster);
    evidence
}

fn seconds(first: i64, last: i64) -> (Duration, Duration) {
    (Duration::seconds(first), Duration::seconds(last))
}

#[test]
fn what_kubelet_reported_a_moment_ago_may_pass_by_itself() {
    let name = "kube-scheduler-1-x";
    let mount = |ago, count| {
        let event = reported("FailedMount", name, "failed to sync secret cache", ago, count);
        decide(&warned(waiting("ContainerCreating", ""), event)).blocker()
    };
    assert_eq!(mount(seconds(8, 8), 1), None, "once");
    assert_eq!(mount(seconds(3, 1), 3), None, "for two seconds");
    assert!(mount(seconds(12, 2), 5).is_some());
    let pull = |ago, count| {
        let event = reported("Failed", name, "Failed to pull image", ago, count);
        decide(&warned(waiting("ImagePullBackOff", "Back-off pulling image"), event)).blocker()
    };
    assert_eq!(pull(seconds(1, 1), 1), None, "the back-off has just begun");
    assert!(pull(seconds(12, 2), 2).unwrap().what.contains(" is not on node "));
    let never = reported("Failed", name, "no such image", seconds(1, 1), 1);
    assert!(decide(&warned(waiting("ErrImageNeverPull", "m"), never)).blocker().is_some(), "this stays");
}

#[test]
fn a_probe_may_fail_as_long_as_the_manifest_lets_the_program_start() {
    let mut running = waiting("", "");
    running["containerStatuses"][0]["state"] = json!({"running": {"startedAt": "2026-01-01T00:14:10Z"}});
    let event = || {
        let said = "Startup probe failed: connection refused";
        reported("Unhealthy", "kube-scheduler-1-x", said, seconds(45, 2), 9)
    };
    let mut evidence = warned(running, event());
    assert!(blocker(&evidence).what.ends_with("runs, but its probe fails"));
    let spec =
        json!({"containers": [{"name": "c", "startupProbe": {"periodSeconds": 10, "failureThreshold": 24}}]});
    evidence.cluster.as_mut().unwrap().pods[0].spec = Some(serde_json::from_value(spec).unwrap());
    let spec = evidence.cluster.as_mut().unwrap().pods[0].spec.as_mut().unwrap();
    spec.node_name = Some("n1".into());
    assert_eq!(decide(&evidence).blocker(), None, "it has four minutes");
}

#[test]
fn what_the_command_is_about_to_apply_is_not_in_the_way() {
    let value = json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "kube-system"}});
    let brought = Brought::of(&Item { file: "f".into(), value });
    let missing = |status: Value, reason: &str| {
        let said = "MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found";
        warned(status, event(reason, "kube-scheduler-1-x", said, Duration::seconds(2)))
    };
    let config = waiting("CreateContainerConfigError", "secret \"s\" not found");
    for mut evidence in [missing(waiting("ContainerCreating", ""), "FailedMount"), missing(config, "Failed")]
    {
        assert!(blocker(&evidence).why.contains("secret \"s\" not found"));
        evidence.underway.objects = vec![brought.clone()];
        assert_eq!(decide(&evidence).blocker(), None);
        evidence.underway.objects[0].is_done = true;
        assert!(decide(&evidence).blocker().is_some(), "it was refused");
    }
}

#[test]
fn a_pod_network_that_is_among_the_manifests_gets_time_to_start() {
    let said = "container runtime network not ready: cni plugin not initialized";
    let mut evidence = warned(
        waiting("ContainerCreating", ""),
        event("NetworkNotReady", "kube-scheduler-1-x", said, Duration::seconds(2)),
    );
    assert!(blocker(&evidence).cure.starts_with("add a pod network"));
    let volumes = json!([{"name": "cni", "hostPath": {"path": "/etc/cni/net.d"}}]);
    let value = json!({"kind": "DaemonSet", "metadata": {"name": "flannel", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"volumes": volumes}}}});
    evidence.underway.objects = vec![Brought::of(&Item { file: "f".into(), value })];
    let late = blocker(&evidence);
    assert!(late.cure.contains("see why the pods of DaemonSet kube-system/flannel"), "{late:?}");
    let created = &mut evidence.cluster.as_mut().unwrap().pods[0].metadata.creation_timestamp;
    *created = Some(serde_json::from_value(json!("2026-01-01T00:09:45Z")).unwrap());
    assert_eq!(decide(&evidence).blocker(), None);
}

#[test]
fn until_the_node_has_its_labels_no_pod_is_missing_them() {
    let mut evidence = healthy();
    let said = "0/1: 1 node(s) didn't match Pod's node affinity/selector.";
    evidence.cluster = Some(cluster(vec![pod(None, unscheduled(said))]));
    evidence.cluster.as_mut().unwrap().daemon_sets.push(daemon_set());
    assert!(blocker(&evidence).what.starts_with("no node has the labels"));
    evidence.underway.marks_node = true;
    assert_eq!(decide(&evidence).blocker(), None);
}

#[test]
fn a_pod_that_waits_for_a_node_to_become_ready_needs_no_room() {
    let of = |made: &str| {
        let mut evidence = healthy();
        let said = "0/1: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.";
        let mut pod = pod(None, unscheduled(said));
        pod["metadata"]["creationTimestamp"] = json!(made);
        evidence.cluster = Some(cluster(vec![pod]));
        decide(&evidence).blocker()
    };
    assert_eq!(of("2026-01-01T00:09:50Z"), None, "the node has just registered");
    assert!(of("2026-01-01T00:09:00Z").unwrap().cure.contains("see why the node is not Ready"));
}

#[test]
fn a_kubelet_that_the_command_restarts_is_not_in_the_way() {
    let mut evidence = healthy();
    fail(&mut evidence, "kubelet");
    evidence.underway.restart = Restart::Begun;
    assert_eq!(decide(&evidence).blocker(), None);
    evidence.underway.restart = Restart::Done(std::time::Duration::from_secs(60));
    assert_eq!(blocker(&evidence).what, "the check kubelet fails");
    fail(&mut evidence, "container-runtime");
    evidence.underway.restart = Restart::Begun;
    assert_eq!(blocker(&evidence).what, "the check container-runtime fails");
}

#[test]
fn a_program_that_ended_once_is_started_again() {
    let mut crash = waiting("", "");
    crash["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 1}});
    crash["containerStatuses"][0]["restartCount"] = json!(0);
    let of = |status| {
        let mut evidence = healthy();
        evidence.cluster = Some(cluster(vec![pod(Some("n1"), status)]));
        decide(&evidence).blocker()
    };
    assert_eq!(of(crash.clone()), None);
    crash["containerStatuses"][0]["restartCount"] = json!(1);
    assert!(of(crash.clone()).is_some());
    crash["phase"] = json!("Failed");
    assert_eq!(of(crash), None, "its controller makes another one");
}

#[test]
fn what_is_only_starting_must_last_and_what_stays_is_named_at_once() {
    let of = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = healthy();
        evidence.cluster = None;
        change(&mut evidence);
        decide(&evidence).least().as_secs()
    };
    let answer = |answer: Readyz| of(&|evidence| evidence.api = api(Some(answer.clone())));
    let unready = |status| Readyz::NotReady { status, lines: vec!["poststarthook failed".into()] };
    assert_eq!(answer(unready(500)), 15);
    assert_eq!(answer(unready(401)), 0, "the credentials are those of another cluster");
    assert_eq!(answer(Readyz::Unreachable("connection reset".into())), 15);
    assert_eq!(answer(Readyz::Unreachable("invalid peer certificate: UnknownIssuer".into())), 0);
    assert_eq!(of(&|evidence| fail(evidence, "kubelet")), 4);
    assert_eq!(of(&|evidence| fail(evidence, "etcd")), 0);
}

/// etcd took 12 s, so the apiserver's pod is not late after 20 s.
#[test]
fn on_a_slow_machine_kubelet_and_the_apiserver_get_more_time() {
    let mut evidence = healthy();
    (evidence.api, evidence.cluster) = (api(None), None);
    let pods = static_pods(&mut evidence);
    (pods[1].started, pods[1].placed) = (None, Some(NOW - Duration::seconds(20)));
    assert!(blocker(&evidence).what.contains("has not started the static pod"));
    let etcd = &mut static_pods(&mut evidence)[0];
    etcd.placed = etcd.started.map(|started| started - Duration::seconds(12));
    assert_eq!(decide(&evidence).blocker(), None, "etcd's pod shows it");
    etcd_started_at_once(&mut evidence);
    evidence.runtime_took = Duration::milliseconds(1250);
    assert_eq!(decide(&evidence).blocker(), None, "the runtime shows it");
    static_pods(&mut evidence)[1].placed = Some(NOW - Duration::MINUTE);
    assert!(blocker(&evidence).what.contains("has not started the static pod"));
    let mut starting = healthy();
    starting.api = api(Some(Readyz::NotReady { status: 500, lines: vec!["etcd failed".into()] }));
    let fast = decide(&starting).least();
    starting.runtime_took = Duration::milliseconds(1250);
    assert_eq!(decide(&starting).least(), fast * 5);
    let hook = vec!["poststarthook/rbac/bootstrap-roles failed".into()];
    let hooks = healthy_with(Readyz::NotReady { status: 500, lines: hook });
    assert_eq!(hooks.least().as_secs(), 60, "it has not finished its start");
}

fn healthy_with(answer: Readyz) -> super::Verdict {
    let mut evidence = healthy();
    evidence.api = api(Some(answer));
    decide(&evidence)
}

fn etcd_started_at_once(evidence: &mut Evidence) {
    let etcd = &mut static_pods(evidence)[0];
    etcd.placed = etcd.started;
}
