//! `start --dry-run` against a real API: what it reports, and that it does nothing of it.
//!
//! Tier: API.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

const CONFIG_MAP: &str =
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: dry, namespace: default}, data: {a: one}}";

/// What the API and the folder of static pods hold.
fn state(api: &support::Api, manifests: &Path) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = async |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        api.client().request::<Value>(request).await.unwrap()
    };
    let objects = runtime.block_on(async {
        let mut text = String::new();
        for path in
            ["/api/v1/configmaps", "/api/v1/secrets", "/apis/apps/v1/daemonsets", "/api/v1/namespaces"]
        {
            text += &read(path).await["items"].to_string();
        }
        text
    });
    format!("{objects} {:?}", fs::read_dir(manifests).map(Iterator::count).ok())
}

fn acts<'a>(plan: &'a Value, phase: &str) -> Vec<&'a Value> {
    let step = plan["steps"].as_array().unwrap().iter().find(|step| step["phase"] == phase);
    step.unwrap_or_else(|| panic!("{phase}: {plan:#}"))["acts"].as_array().unwrap().iter().collect()
}

fn about<'a>(acts: &[&'a Value], what: &str) -> &'a Value {
    acts.iter().find(|act| act["what"] == what).unwrap_or_else(|| panic!("{what}: {acts:#?}"))
}

#[test]
fn a_dry_run_tells_the_plan_with_diffs_against_the_live_api_and_changes_nothing() {
    // An API of its own: what others write would pass for ours.
    let api = support::Api::start("dry-run", "");
    let folder = TempDir::new().unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(&api.assets).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let manifest = folder.path().join("assets/manifests/dry.yaml");
    let secret =
        "{apiVersion: v1, kind: Secret, metadata: {name: hidden, namespace: default}, data: {k: b2xk}}";
    fs::write(&manifest, format!("{CONFIG_MAP}\n---\n{secret}\n")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(put(&api, "configmaps/dry", CONFIG_MAP.replace("one", "zero")));
    runtime.block_on(put(&api, "secrets/hidden", secret.replace("b2xk", "bmV3")));
    let later = "{apiVersion: v1, kind: Namespace, metadata: {name: later}}\n---\n\
        {apiVersion: v1, kind: ConfigMap, metadata: {name: inside, namespace: later}}\n---\n\
        {apiVersion: v1, kind: ConfigMap, metadata: {name: lost, namespace: nowhere}}\n";
    fs::write(folder.path().join("assets/manifests/later.yaml"), later).unwrap();
    let hook = "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: hook}, webhooks: []}";
    fs::write(folder.path().join("assets/manifests/a-hook.yaml"), hook).unwrap();

    let manifests = folder.path().join("static");
    let before = state(&api, &manifests);
    let args = ["start", "--asset-dir=assets", "--pod-manifest-path=static", "--dry-run"];
    let text = support::bootkube(folder.path(), &args, "");
    let json = support::bootkube(folder.path(), &[&args[..], &["-o", "json"]].concat(), "");
    assert_eq!(state(&api, &manifests), before, "nothing was changed");

    let said = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&text.stderr));
    for line in ["\n1. preflight\n", "   change    ConfigMap default/dry  (", "-  a: zero", "+  a: one"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("b2xk") && !said.contains("bmV3"), "secrets are hidden: {said}");

    let plan: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(plan["format"], "bootkube.dev/plan/v1");
    let objects = acts(&plan, "apply objects");
    assert_eq!(about(&objects, "DaemonSet kube-system/kube-apiserver")["act"], "create");
    let last = acts(&plan, "apply webhooks and API services");
    assert_eq!(last.len(), 1, "{last:#?}");
    assert_eq!(about(&last, "ValidatingWebhookConfiguration hook")["act"], "create");
    assert!(objects.iter().all(|act| act["what"] != last[0]["what"]), "{objects:#?}");
    assert_eq!(about(&objects, "ConfigMap default/dry")["act"], "change");
    assert_eq!(about(&objects, "ConfigMap later/inside")["act"], "create", "its namespace comes with it");
    let lost = about(&objects, "ConfigMap nowhere/lost");
    assert!(lost["act"] == "refuse" && lost["reason"].as_str().unwrap().contains("nowhere"), "{lost}");
    let hidden = about(&objects, "Secret default/hidden")["diff"].as_str().unwrap();
    assert!(hidden.contains("*** (before)") && hidden.contains("*** (after)"), "{hidden}");
    let label = about(&objects, "Node of this machine")["reason"].as_str().unwrap();
    assert!(label.contains("node-role.kubernetes.io/control-plane"), "{label}");
    documented(&plan);
}

/// Applied as somebody else would, before us.
async fn put(api: &support::Api, path: &str, object: String) {
    let url = format!("/api/v1/namespaces/default/{path}?fieldManager=bootkube");
    let request = http::Request::patch(url).header("Content-Type", "application/apply-patch+yaml");
    api.client().request::<Value>(request.body(object.into_bytes()).unwrap()).await.unwrap();
}

#[test]
fn without_an_api_every_file_and_object_is_told_in_the_order_of_the_phases() {
    let folder = TempDir::new().unwrap();
    support::render(folder.path(), "etcd: {mode: staticPod}");
    let args = ["start", "--asset-dir=assets", "--pod-manifest-path=static", "--dry-run", "--output=json"];
    let output = support::bootkube(folder.path(), &args, "");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["api"], Value::Null);
    let phases: Vec<&str> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["phase"].as_str().unwrap()).collect();
    assert_eq!(phases, bootkube::start::usual_phases(), "every phase, in order");
    let placed = acts(&plan, "place the bootstrap apiserver");
    assert_eq!(about(&placed, "static/bootstrap-apiserver.yaml")["act"], "write");
    assert!(placed.iter().any(|act| act["what"] == "/etc/kubernetes/bootstrap-secrets/apiserver.key"));
    assert_eq!(about(&acts(&plan, "place etcd"), "static/etcd.yaml")["act"], "write");
    let early = acts(&plan, "wait for the self-hosted control plane");
    assert_eq!(about(&early, "static/bootstrap-scheduler.yaml")["act"], "remove");
    assert_eq!(about(&acts(&plan, "hand over"), "static/bootstrap-apiserver.yaml")["act"], "remove");
    assert!(!folder.path().join("static").exists(), "nothing was placed");
    let alone = support::bootkube(folder.path(), &["start", "--asset-dir=assets", "-o", "json"], "");
    assert_eq!(alone.status.code(), Some(2), "a form belongs to a dry run");
}

/// Every word and field is in docs/dry-run.md.
fn documented(plan: &Value) {
    let docs = include_str!("../docs/dry-run.md");
    for act in plan["steps"].as_array().unwrap().iter().flat_map(|step| step["acts"].as_array().unwrap()) {
        let word = act["act"].as_str().unwrap();
        assert!(docs.contains(&format!("`{word}`")), "{word}");
        assert!(act.as_object().unwrap().keys().all(|field| docs.contains(&format!("`{field}`"))), "{act}");
    }
}
