//! `cluster` against a real etcd and kube-apiserver: what is applied, what is reported, how fast waits are.
//!
//! Tests share one API and keep apart by the names of their objects; the one that kills its apiserver has its own.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bootkube::cluster::apply::{ApplyOptions, Item, Observer, Outcome, apply_all};
use bootkube::cluster::connect::Readyz;
use bootkube::cluster::kubeconfig::Access;
use bootkube::cluster::lease::{Release, leader, release_lease};
use bootkube::cluster::node::{label_and_taint_node, wait_for_node};
use bootkube::cluster::objects::Objects;
use bootkube::cluster::probe;
use bootkube::cluster::wait::{Progress, Scope, Watched, wait_for};
use bootkube::patience::Patience;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Taint};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::shared;

fn item(value: Value) -> Item {
    Item { file: "test.yaml".into(), value }
}

/// Callers run applies on whatever thread is free.
fn may_be_spawned<F: Future + Send>(work: F) -> F {
    work
}

async fn apply_with(client: &Client, objects: Vec<Value>, options: &ApplyOptions) -> Vec<Outcome> {
    let told = Mutex::new(0);
    let outcome = |_: &Item, _: &Outcome, _: Duration| *told.lock().unwrap() += 1;
    let waiting = |item: &Item, why: &str| println!("{}: {why}", item.label());
    let stages = [objects.into_iter().map(item).collect::<Vec<_>>()];
    let listener = Observer { outcome: &outcome, waiting: &waiting };
    let work = apply_all(client, &stages, options, listener);
    let outcomes = may_be_spawned(work).await.remove(0);
    let tried = outcomes.iter().filter(|outcome| **outcome != Outcome::Skipped).count();
    assert_eq!(told.into_inner().unwrap(), tried, "every object that was tried is told once");
    outcomes
}

async fn apply(objects: Vec<Value>) -> Vec<Outcome> {
    apply_with(&shared().client(), objects, &ApplyOptions::default()).await
}

fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed { reason } => reason,
        other => panic!("not failed: {other:?}"),
    }
}

fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn config_maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), "default")
}

fn definition(group: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("toys.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": "Toy", "plural": "toys"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": schema},
            {"name": "v2", "served": true, "storage": false, "schema": schema}]}
    })
}

/// What a cluster is made of, as far as an apiserver alone takes it.
fn workloads(prefix: &str) -> Vec<Value> {
    let name = |kind: &str| format!("{prefix}-{kind}");
    let labels = json!({"app": prefix});
    let spec = json!({
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"creationTimestamp": null, "labels": labels},
            "spec": {"volumes": [{"name": "v", "emptyDir": null}], "containers": [{"name": "c", "image": "x:1",
                "args": null, "resources": {"requests": {"cpu": 1, "memory": "1024Mi"}}}]}
        }
    });
    vec![
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name("ds")}, "spec": spec}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name("d")}, "spec": spec}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name("sa")}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name("s")}, "data": {"ca.key": null, "a": "YQ=="}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name("pdb")},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name("dns")}, "spec": {"selector": labels,
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": name("role"), "namespace": "stray"}, "rules": []}),
    ]
}

#[tokio::test]
async fn a_resource_its_definition_and_its_namespace_go_in_at_once_resource_first() {
    let toy = json!({"apiVersion": "one-go.test/v1", "kind": "Toy", "metadata": {"name": "t", "namespace": "one-go"}, "size": 1});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "one-go"}});
    let one_at_a_time = ApplyOptions { concurrency: 1, ..ApplyOptions::default() };
    let objects = vec![toy, definition("one-go.test"), namespace];
    let outcomes = apply_with(&shared().client(), objects, &one_at_a_time).await;
    assert_eq!(outcomes, [Outcome::Created, Outcome::Created, Outcome::Created]);
}

#[tokio::test]
async fn a_change_that_an_object_cannot_have_names_the_field_and_not_its_whole_value() {
    let job = |word: &str| {
        let containers = json!([{"name": "c", "image": "x:1", "command": ["echo", word]}]);
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": containers}}}})
    };
    let binding = |role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "once"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}})
    };
    let fixed = |word: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "once"}, "immutable": true,
            "data": {"a": word}})
    };
    let all = |word: &str| vec![job(word), binding(word), fixed(word)];
    assert_eq!(apply(all("one")).await, [Outcome::Created, Outcome::Created, Outcome::Created]);
    for (outcome, field) in apply(all("two")).await.iter().zip(["spec.template", "roleRef", "data"]) {
        let said = reason(outcome);
        assert!(said.starts_with(&format!("{field} cannot be changed")) && said.len() < 150, "{said}");
    }
}

#[tokio::test]
async fn a_second_apply_changes_nothing_and_a_third_what_differs() {
    let created = vec![Outcome::Created; workloads("again").len()];
    assert_eq!(apply(workloads("again")).await, created);
    let unchanged = vec![Outcome::Unchanged; created.len()];
    assert_eq!(apply(workloads("again")).await, unchanged);
    let mut changed = workloads("again");
    changed[2]["metadata"]["labels"] = json!({"new": "label"});
    assert_eq!(apply(changed).await[2], Outcome::Configured);
}

#[tokio::test]
async fn a_conflict_names_manager_and_field_and_is_taken_over_when_told() {
    let client = shared().client();
    let other = PatchParams { field_manager: Some("somebody".into()), ..PatchParams::apply("somebody") };
    let theirs = config_map("contested", json!({"a": "theirs", "b": "theirs"}));
    config_maps(&client).patch("contested", &other, &Patch::Apply(&theirs)).await.unwrap();
    let ours = || vec![config_map("contested", json!({"a": "ours"}))];
    let outcomes = apply(ours()).await;
    assert_eq!(
        reason(&outcomes[0]),
        "conflict: .data.a is owned by manager \"somebody\" (--force-conflicts takes over)"
    );
    let force = ApplyOptions { force_conflicts: true, ..ApplyOptions::default() };
    assert_eq!(apply_with(&client, ours(), &force).await, [Outcome::Configured]);
    let data = config_maps(&client).get("contested").await.unwrap().data.unwrap();
    assert_eq!((data["a"].as_str(), data["b"].as_str()), ("ours", "theirs"));
}

fn with_a_typing_error() -> Value {
    let mut deployment = workloads("typo").remove(1);
    deployment["spec"]["replcias"] = json!(2);
    deployment
}

#[tokio::test]
async fn a_refused_object_is_reported_and_the_rest_is_applied() {
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let objects = vec![
        config_map("rest-a", json!({})),
        with_a_typing_error(),
        nameless,
        config_map("rest-b", json!({})),
    ];
    let outcomes = apply(objects).await;
    assert_eq!((&outcomes[0], &outcomes[3]), (&Outcome::Created, &Outcome::Created));
    assert!(reason(&outcomes[1]).contains(".spec.replcias: field not declared in schema"), "{outcomes:?}");
    assert_eq!(reason(&outcomes[2]), "metadata.name is missing or not a string");
}

#[tokio::test]
async fn strict_stops_at_the_first_refused_object() {
    let client = shared().client();
    let strict = ApplyOptions { strict: true, ..ApplyOptions::default() };
    let stages = [vec![item(with_a_typing_error())], vec![item(config_map("after-strict", json!({})))]];
    let listener = Observer { outcome: &|_, _, _| {}, waiting: &|_, _| {} };
    let outcomes = apply_all(&client, &stages, &strict, listener).await;
    assert!(reason(&outcomes[0][0]).contains("replcias"));
    assert_eq!(outcomes[1], [Outcome::Skipped]);
    assert!(config_maps(&client).get_opt("after-strict").await.unwrap().is_none());
}

/// The first object waits for a namespace that never comes, and is between two tries when the second one fails.
#[tokio::test]
async fn strict_reports_objects_that_were_sent_by_what_became_of_them() {
    let client = shared().client();
    let strict = ApplyOptions { strict: true, ..ApplyOptions::default() };
    let mut early = config_map("early", json!({}));
    early["metadata"]["namespace"] = json!("never");
    let objects = vec![early, with_a_typing_error(), config_map("beside-strict", json!({}))];
    let outcomes = apply_with(&client, objects, &strict).await;
    assert!(reason(&outcomes[0]).contains("namespaces \"never\" not found"), "{outcomes:?}");
    assert!(reason(&outcomes[1]).contains("replcias"));
    let is_there = config_maps(&client).get_opt("beside-strict").await.unwrap().is_some();
    assert_eq!(outcomes[2] == Outcome::Created, is_there, "{outcomes:?}");
}

#[tokio::test]
async fn null_entries_of_a_secret_are_stored_as_empty() {
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "nulls"}, "data": {"x": null}});
    assert_eq!(apply(vec![secret]).await, [Outcome::Created]);
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(shared().client(), "default");
    assert!(secrets.get("nulls").await.unwrap().data.unwrap()["x"].0.is_empty());
}

/// Templates of old left nulls behind wherever they had nothing to say.
#[tokio::test]
async fn nulls_anywhere_in_old_manifests_do_no_harm() {
    let labels = json!({"app": "nulls"});
    let container = json!({"name": "c", "image": "x:1", "command": ["c", "--a=b", null], "args": null, "ports": null,
        "env": [{"name": "A", "value": null}], "securityContext": null});
    let pod = json!({"containers": [container], "nodeSelector": {"role": null}, "tolerations": null, "initContainers": null});
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "nulls", "namespace": null, "annotations": {"note": null}, "labels": null},
        "spec": {"selector": {"matchLabels": labels}, "updateStrategy": null,
            "template": {"metadata": {"labels": labels, "annotations": null}, "spec": pod}}});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": "nulls", "namespace": "kube-system"}, "subjects": null,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    assert_eq!(apply(vec![set.clone(), role.clone()]).await, [Outcome::Created, Outcome::Created]);
    assert_eq!(apply(vec![set, role]).await, [Outcome::Unchanged, Outcome::Unchanged]);
}

#[tokio::test]
async fn a_broken_api_service_harms_its_own_objects_only() {
    let broken = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.broken.test"},
        "spec": {"group": "broken.test", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1,
            "insecureSkipTLSVerify": true, "service": {"name": "nobody", "namespace": "default"}}
    });
    assert_eq!(apply(vec![broken]).await, [Outcome::Created]);
    let thing = json!({"apiVersion": "broken.test/v1", "kind": "Thing", "metadata": {"name": "t"}});
    let soon = ApplyOptions { deadline: Duration::from_secs(2), ..ApplyOptions::default() };
    let objects = vec![thing, config_map("beside-broken", json!({}))];
    let outcomes = apply_with(&shared().client(), objects, &soon).await;
    assert!(reason(&outcomes[0]).starts_with("the deadline passed"), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Created);
}

#[tokio::test]
async fn a_refusal_by_a_webhook_names_its_configuration_and_the_command_that_removes_it() {
    let (group, name) = ("hooked.test", "blocks-toys.example.com");
    let hook = |kind: &str| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "blocks-toys"},
            "webhooks": [{"name": name, "clientConfig": {"service": {"name": "absent", "namespace": "default"}},
                "rules": [{"apiGroups": [group], "apiVersions": ["*"], "resources": ["toys"], "operations": ["CREATE"]}],
                "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"]}]})
    };
    assert_eq!(apply(vec![definition(group)]).await, [Outcome::Created]);
    let toy = json!({"apiVersion": format!("{group}/v1"), "kind": "Toy", "metadata": {"name": "t"}});
    let soon = ApplyOptions { deadline: Duration::from_secs(3), ..ApplyOptions::default() };
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        assert_eq!(apply(vec![hook(kind)]).await, [Outcome::Created]);
        let command = format!("kubectl delete {} blocks-toys", kind.to_lowercase());
        // The apiserver learns of a configuration, and that it is gone, within moments.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let outcomes = apply_with(&shared().client(), vec![toy.clone()], &soon).await;
        let said = reason(&outcomes[0]);
        assert!(
            said.contains(name) && said.contains(&format!("{kind} blocks-toys")) && said.contains(&command),
            "{said}"
        );
        let path = format!("/apis/admissionregistration.k8s.io/v1/{}s/blocks-toys", kind.to_lowercase());
        let delete = http::Request::delete(path).body(Vec::new()).unwrap();
        shared().client().request::<Value>(delete).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// The names of the second definition are those of the first, so it never becomes Established.
#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_does_not_end_leaves_the_later_ones_their_time() {
    let group = "stages.example.test";
    let client = shared().client();
    let mut other = definition(group);
    other["metadata"]["name"] = format!("others.{group}").into();
    other["spec"]["names"]["plural"] = "others".into();
    assert_eq!(apply(vec![definition(group)]).await, [Outcome::Created]);
    let stages = [vec![item(other)], vec![item(config_map("after-a-stage", json!({})))]];
    let options = ApplyOptions { deadline: Duration::from_secs(6), ..ApplyOptions::default() };
    let listener = Observer { outcome: &|_, _, _| {}, waiting: &|_, _| {} };
    let begun = Instant::now();
    let outcomes = may_be_spawned(apply_all(&client, &stages, &options, listener)).await;
    assert!(reason(&outcomes[0][0]).contains("names are refused"), "{outcomes:?}");
    assert_eq!(outcomes[1], [Outcome::Created]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_is_served_although_nothing_converts_its_resources() {
    let group = "conversion.example.test";
    let client = shared().client();
    let mut converted = definition(group);
    let toy = json!({"apiVersion": format!("{group}/v1"), "kind": "Toy", "metadata": {"name": "toy"}});
    assert_eq!(apply(vec![converted.clone(), toy]).await, [Outcome::Created, Outcome::Created]);
    let service = json!({"name": "none", "namespace": "default"});
    converted["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": {"service": service}}});
    assert_eq!(apply(vec![converted.clone()]).await, [Outcome::Configured]);
    let path = format!("/apis/{group}/v2/toys");
    let list = async || client.request::<Value>(http::Request::get(&path).body(Vec::new()).unwrap()).await;
    let begun = Instant::now();
    while list().await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the API still converts");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let options = ApplyOptions { deadline: Duration::from_secs(5), ..ApplyOptions::default() };
    assert_eq!(apply_with(&client, vec![converted], &options).await, [Outcome::Unchanged]);
}

#[tokio::test]
async fn the_deadline_reports_what_was_waited_for() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "early"}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}});
    // The apiserver itself looks for a service account for a second before it refuses.
    let soon = ApplyOptions { deadline: Duration::from_secs(4), ..ApplyOptions::default() };
    let outcomes = apply_with(&shared().client(), vec![pod], &soon).await;
    assert!(reason(&outcomes[0]).contains("serviceaccount \"default\" not found"), "{outcomes:?}");
}

#[tokio::test]
async fn a_node_is_found_by_address_labelled_and_tainted_once() {
    let client = shared().client();
    let address = "192.0.2.44".parse().unwrap();
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m1", "labels": {"kept": "yes"}},
        "spec": {"taints": [{"key": "kept", "effect": "NoExecute"}]}});
    assert_eq!(apply(vec![node]).await, [Outcome::Created]);
    let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": address}]}});
    let nodes: Api<Node> = Api::all(client.clone());
    nodes.patch_status("m1", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    assert_eq!(wait_for_node(&client, &[address], &mut |why| println!("{why}")).await, "m1");

    let key = "node-role.kubernetes.io/control-plane";
    let labels = BTreeMap::from([(key.to_owned(), String::new())]);
    let taint = Taint { key: key.into(), effect: "NoSchedule".into(), ..Taint::default() };
    assert!(label_and_taint_node(&client, "m1", &labels, Some(&taint)).await.unwrap());
    assert!(!label_and_taint_node(&client, "m1", &labels, Some(&taint)).await.unwrap());
    let node = nodes.get("m1").await.unwrap();
    let taints: Vec<_> = node.spec.unwrap().taints.unwrap().into_iter().map(|taint| taint.key).collect();
    assert!(
        taints.iter().any(|taint| taint == "kept") && taints.iter().any(|taint| taint == key),
        "{taints:?}"
    );
    assert_eq!(node.metadata.labels.unwrap()["kept"], "yes");
}

#[tokio::test]
async fn a_lease_is_let_go_only_for_its_expected_holder() {
    let client = shared().client();
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "leader", "namespace": "kube-system"},
        "spec": {"holderIdentity": "n1_a", "leaseDurationSeconds": 15}});
    assert_eq!(leader(&client, "leader").await.unwrap(), None);
    assert_eq!(apply(vec![lease]).await, [Outcome::Created]);
    assert_eq!(leader(&client, "leader").await.unwrap().unwrap().holder, "n1_a");
    let held = Release::HeldBy("n1_a".into());
    assert_eq!(release_lease(&client, "leader", "n2_b").await.unwrap(), held);
    assert_eq!(release_lease(&client, "leader", "n1_a").await.unwrap(), Release::Released);
    assert_eq!(leader(&client, "leader").await.unwrap(), None);
    assert_eq!(release_lease(&client, "leader", "n1_a").await.unwrap(), Release::Free);
}

#[tokio::test]
async fn a_probe_says_ready_unreachable_or_not_to_be_trusted() {
    let api = shared();
    let ask = async |access: &Access, endpoint: SocketAddr, path: &str| {
        probe::ask(access, Some(endpoint), path, Patience::USUAL).await.unwrap()
    };
    assert_eq!(ask(&api.access, api.endpoint, "/readyz").await, Readyz::Ready);
    let answer = ask(&api.access, "127.0.0.1:1".parse().unwrap(), "/readyz").await;
    assert!(matches!(&answer, Readyz::Unreachable(why) if why.contains("refused")), "{answer:?}");
    let mut stranger = api.access.clone();
    stranger.tls_server_name = Some("other.example.test".into());
    let answer = ask(&stranger, api.endpoint, "/readyz").await;
    assert!(matches!(&answer, Readyz::Unreachable(why) if why.contains("certificate")), "{answer:?}");
    let answer = ask(&api.access, api.endpoint, "/readyz/nothing").await;
    assert!(matches!(answer, Readyz::NotReady { status: 404, .. }), "{answer:?}");
}

/// Waits for `step` in a ConfigMap, and returns when it was seen.
async fn saw(client: Client, step: &'static str) -> (Instant, Vec<String>) {
    let mut reasons = Vec::new();
    let is_done = |seen: &Watched<ConfigMap>| {
        let found = seen.get("default", "steps").and_then(|map| map.data.as_ref()?.get("step"));
        match found {
            Some(found) if found == step => Progress::Done(Instant::now()),
            Some(found) => Progress::Not(format!("step is {found}")),
            None => Progress::Not("there is no step".into()),
        }
    };
    let mut on_reason = |why: &str| reasons.push(why.to_owned());
    let wait =
        wait_for(Objects::namespaced(&client, "default"), Scope::named("steps"), is_done, &mut on_reason);
    let at = tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the step is seen");
    (at, reasons)
}

async fn write(client: &Client, step: &str) -> Instant {
    let map = config_map("steps", json!({"step": step}));
    assert_ne!(apply_with(client, vec![map], &ApplyOptions::default()).await, [Outcome::Unchanged]);
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_reacts_within_200_ms_and_survives_a_restart_of_the_api() {
    let mut api = support::Api::start("restart", "");
    let client = api.client();
    write(&client, "1").await;
    let second = tokio::spawn(saw(client.clone(), "2"));
    let third = tokio::spawn(saw(client.clone(), "3"));
    tokio::time::sleep(Duration::from_millis(500)).await; // both watch by now

    let written = write(&client, "2").await;
    let (seen, reasons) = second.await.unwrap();
    assert!(seen.saturating_duration_since(written) < Duration::from_millis(200));
    assert_eq!(reasons.last().map(String::as_str), Some("step is 1"));

    api.kill_apiserver();
    tokio::time::sleep(Duration::from_millis(300)).await; // so that the loss is felt
    api.start_apiserver();
    let written = write(&client, "3").await;
    let (seen, reasons) = third.await.unwrap();
    let late = seen.saturating_duration_since(written);
    println!("seen {late:?} after it was written; reasons: {reasons:?}");
    assert!(late < Duration::from_millis(1200), "{late:?}");
    assert!(reasons.iter().any(|why| why.starts_with("the API does not answer")), "{reasons:?}");
}
