use serde_json::json;

use super::*;

fn daemon_set(name: &str, labels: &Value, secret: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system", "uid": "u", "resourceVersion": "7",
            "annotations": {"deprecated.daemonset.template.generation": "1", "mine": "x"}},
        "spec": {"template": {"metadata": {"labels": labels, "creationTimestamp": null}, "spec": {
            "serviceAccountName": "api", "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "s", "secret": {"secretName": secret}}],
        }}},
        "status": {"desiredNumberScheduled": 1},
    })
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "kube-system"}, "data": {"a": "YQ=="}})
}

fn labels(found: &Found) -> Vec<String> {
    found.objects.iter().map(label).collect()
}

#[test]
fn a_component_is_known_by_the_labels_of_old_and_new() {
    for labels in [json!({"k8s-app": "kube-apiserver"}), json!({"component": "kube-apiserver"})] {
        let objects =
            Objects { present: vec![daemon_set("a", &labels, "s"), secret("s")], deleted: Vec::new() };
        let found = control_plane(&objects);
        assert_eq!(found.workloads[0].label, "DaemonSet kube-system/a");
        assert!(found.workloads[0].sources.secrets.contains_key("s"));
        assert_eq!(found.missing.len(), 2, "controller manager and scheduler: {:?}", found.missing);
    }
}

#[test]
fn what_it_refers_to_comes_with_it_and_nothing_else() {
    let account = |name: &str| json!({"kind": "ServiceAccount", "metadata": {"name": name, "namespace": "kube-system"}, "secrets": []});
    let binding = |name: &str, account: &str| {
        json!({
            "kind": "ClusterRoleBinding", "metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": "mine"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}],
        })
    };
    let role = json!({"kind": "ClusterRole", "metadata": {"name": "mine"}});
    let labelled = json!({"kind": "Secret", "metadata": {"name": "x", "namespace": "kube-system", "labels": {MANAGED_BY: "bootkube"}}});
    let present = vec![
        daemon_set("kube-apiserver", &json!({"k8s-app": "kube-apiserver"}), "s"),
        secret("s"),
        secret("other"),
        account("api"),
        account("other"),
        binding("b", "api"),
        binding("o", "other"),
        role,
        labelled,
    ];
    let found = control_plane(&Objects { present, deleted: Vec::new() });
    let expected = [
        "ClusterRole mine",
        "ClusterRoleBinding b",
        "DaemonSet kube-system/kube-apiserver",
        "Secret kube-system/s",
        "Secret kube-system/x",
        "ServiceAccount kube-system/api",
    ];
    assert_eq!(labels(&found), expected);
    assert_eq!(found.objects[2]["metadata"]["annotations"], json!({"mine": "x"}));
    assert!(found.objects[2].get("status").is_none() && found.objects[2]["metadata"].get("uid").is_none());
    assert!(found.objects[5].get("secrets").is_none());
}

#[test]
fn what_was_deleted_is_revived_only_where_it_is_missed() {
    let of = |name: &str| daemon_set(name, &json!({"k8s-app": "kube-apiserver"}), "s");
    let deleted = || vec![of("kube-apiserver"), secret("s")];
    let found = control_plane(&Objects { present: Vec::new(), deleted: deleted() });
    assert_eq!(found.revived, ["DaemonSet kube-system/kube-apiserver", "Secret kube-system/s"]);
    let found = control_plane(&Objects { present: vec![of("newer"), secret("s")], deleted: deleted() });
    assert!(found.revived.is_empty() && found.workloads[0].label.ends_with("newer"));
}

#[test]
fn a_secret_that_is_not_there_is_missing() {
    let present = vec![daemon_set("kube-apiserver", &json!({"k8s-app": "kube-apiserver"}), "s")];
    let found = control_plane(&Objects { present, deleted: Vec::new() });
    assert!(found.missing[0].contains("Secret kube-system/s of DaemonSet"), "{:?}", found.missing);
}
