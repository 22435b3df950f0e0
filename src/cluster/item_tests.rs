use kube::core::ApiResource;
use serde_json::json;

use super::*;

fn target(group: &str, kind: &str, namespaced: bool) -> Target {
    let resource = ApiResource {
        group: group.into(),
        version: "v1".into(),
        api_version: "v1".into(),
        kind: kind.into(),
        plural: String::new(),
    };
    Target { resource, namespaced }
}

#[test]
fn null_entries_of_secrets_become_empty_and_others_stay() {
    let secret =
        json!({"metadata": {"name": "s"}, "data": {"ca.key": null, "ca.crt": "YQ=="}, "stringData": null});
    let secret = normalised(&secret, &target("", "Secret", true), Some("n"));
    assert_eq!(secret["data"], json!({"ca.key": "", "ca.crt": "YQ=="}));
    let custom = json!({"metadata": {"name": "s"}, "data": {"a": null}});
    assert_eq!(
        normalised(&custom, &target("example.test", "Secret", true), Some("n"))["data"],
        custom["data"]
    );
}

#[test]
fn only_objects_of_namespaced_kinds_have_a_namespace() {
    let stray = json!({"metadata": {"name": "r", "namespace": "n"}});
    assert_eq!(
        normalised(&stray, &target("", "ClusterRole", false), None),
        json!({"metadata": {"name": "r"}})
    );
    let bare = json!({"metadata": {"name": "c"}});
    let homed = json!({"metadata": {"name": "c", "namespace": "default"}});
    assert_eq!(normalised(&bare, &target("", "ConfigMap", true), Some("default")), homed);
}

#[test]
fn a_null_in_the_metadata_takes_nothing_away_that_a_controller_wrote() {
    let rendered =
        json!({"metadata": {"name": "d", "annotations": null, "labels": null}, "spec": {"replicas": null}});
    let kept = json!({"metadata": {"name": "d", "namespace": "n"}, "spec": {"replicas": null}});
    assert_eq!(normalised(&rendered, &target("apps", "Deployment", true), Some("n")), kept);
}

#[test]
fn fields_that_only_the_api_sets_are_left_out() {
    let exported = json!({"metadata": {"name": "r", "uid": "u", "resourceVersion": "7", "generation": 2,
        "creationTimestamp": null, "managedFields": [], "selfLink": "/x", "labels": {"a": "b"}}});
    let kept = json!({"metadata": {"name": "r", "labels": {"a": "b"}}});
    assert_eq!(normalised(&exported, &target("", "ClusterRole", false), None), kept);
}

#[test]
fn objects_without_a_kind_or_name_are_refused_by_field() {
    let reason = |value: Value| Identity::from_value(&value).err().unwrap_or_default();
    assert!(reason(json!({"kind": "A", "metadata": {"name": "a"}})).starts_with("apiVersion is missing"));
    assert!(reason(json!({"apiVersion": "v1", "metadata": {"name": "a"}})).starts_with("kind is missing"));
    assert!(
        reason(json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": 7}}))
            .starts_with("metadata.name")
    );
    assert!(reason(json!(null)).starts_with("apiVersion"));
}

#[test]
fn namespaces_and_definitions_of_the_items_are_worth_waiting_for() {
    let item = |value: Value| Item { file: "f".into(), value };
    let items = [
        item(json!({"kind": "Namespace", "metadata": {"name": "toys"}})),
        item(
            json!({"kind": "CustomResourceDefinition", "spec": {"group": "example.test", "names": {"kind": "Toy"}}}),
        ),
        item(json!({"kind": "CustomResourceDefinition"})),
        item(json!({"kind": "APIService", "spec": {"group": "x.test", "version": "v1"}})),
        item(json!({"apiVersion": "x.test/v1", "kind": "Flunder"})),
        item(json!({"apiVersion": "x.test/v2", "kind": "Other"})),
        item(json!(7)),
    ];
    let expected = expected(&items.iter().collect::<Vec<_>>());
    assert_eq!(expected.namespaces, ["toys".to_owned()].into());
    assert_eq!(
        expected.kinds,
        [("example.test".to_owned(), "Toy".to_owned()), ("x.test".to_owned(), "Flunder".to_owned())].into()
    );
}

#[test]
fn labels_name_kind_namespace_and_name() {
    let label = |value: Value| Item { file: String::new(), value }.label();
    assert_eq!(label(json!({"kind": "Pod", "metadata": {"name": "p", "namespace": "n"}})), "Pod n/p");
    assert_eq!(label(json!({"kind": "Node", "metadata": {"name": "m"}})), "Node m");
    assert_eq!(label(json!({})), "object without kind (no name)");
}
