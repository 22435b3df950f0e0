use super::*;

fn owned(namespace: &str, kind: &str, owner: &str) -> Pod {
    let owners =
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "u", "controller": true}]);
    let metadata = json!({"name": "p", "namespace": namespace, "ownerReferences": owners,
        "labels": {"pod-template-hash": "6f7d"}});
    serde_json::from_value(json!({"metadata": metadata})).unwrap()
}

#[test]
fn only_pods_of_workloads_that_bootkube_renders_are_deleted() {
    assert!(is_control_plane(&owned("kube-system", "DaemonSet", "kube-apiserver")));
    assert!(is_control_plane(&owned("kube-system", "ReplicaSet", "kube-scheduler-6f7d")));
    for (namespace, kind, owner) in [
        ("shop", "StatefulSet", "db"),
        ("shop", "DaemonSet", "kube-apiserver"),
        ("kube-system", "StatefulSet", "kube-scheduler"),
        ("kube-system", "ReplicaSet", "kube-scheduler-of-ours-6f7d"),
        ("kube-system", "DaemonSet", "kube-apiserver-proxy"),
    ] {
        assert!(!is_control_plane(&owned(namespace, kind, owner)), "{namespace} {kind} {owner}");
    }
}

#[test]
fn a_machine_is_alive_if_its_lease_changes_whatever_its_clock_says() {
    let at = |second| MicroTime(Timestamp::from_second(second).unwrap());
    let mut watched = Watched::default();
    let years = 1_000_000_000;
    watched.see(
        [("behind".to_owned(), at(5)), ("ahead".to_owned(), at(years)), ("dead".to_owned(), at(5))]
            .into_iter(),
    );
    assert!(watched.alive.is_empty(), "the first look is the baseline");
    watched.see(
        [("behind".to_owned(), at(15)), ("ahead".to_owned(), at(years + 10)), ("dead".to_owned(), at(5))]
            .into_iter(),
    );
    assert!(watched.alive.iter().eq(["ahead", "behind"]), "{:?}", watched.alive);
}

#[test]
fn only_a_lease_of_this_machine_is_judged_by_its_clock() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let own = BTreeSet::from(["n1".to_owned()]);
    let leader = |holder: &str, second| lease::Leader {
        holder: holder.to_owned(),
        renewed: Some(MicroTime(at(second))),
        acquired: None,
    };
    assert!(has_ended(&leader("n1_a-b", 0), &own, at(21)));
    assert!(!has_ended(&leader("n1_a-b", 0), &own, at(20)));
    assert!(!has_ended(&leader("n2_a-b", 0), &own, at(1000)), "by a clock that may be another");
    assert!(!has_ended(&leader("n1_a-b", 1000), &own, at(0)), "a clock that was set back");
}

#[test]
fn only_conditions_that_hold_are_taken_back() {
    let conditions = json!([{"type": "Ready", "status": "True"}, {"type": SERVING, "status": "True"}]);
    let pod = json!({"metadata": {"name": "p"}, "status": {"conditions": conditions}});
    let patch = unready(&serde_json::from_value(pod).unwrap());
    let kinds: Vec<_> =
        patch["status"]["conditions"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(kinds, ["Ready", SERVING]);
}
