//! What `start`, its dry run, `preflight` and `render` say of objects before anything is touched.

use std::fs;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use super::bootkube;

const CLUSTER: &str = "apiVersion: bootkube.dev/v1alpha1
kind: ClusterConfig
apiServers: ['https://192.0.2.10:6443']
etcd: {mode: staticPod}
";
const RENDER: &[&str] = &["render", "--config=cluster.yaml", "--asset-dir=assets"];
const DRY_RUN: &[&str] = &["start", "--asset-dir=assets", "--pod-manifest-path=static", "--dry-run"];
const SUPERVISORS: &str = "apiVersion: v1
kind: Service
metadata: {name: hab, annotations: {service.alpha.kubernetes.io/tolerate-unready-endpoints: 'true'}}
spec: {clusterIP: None, selector: {app: sup}, ports: [{port: 9638}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sup}
spec:
  replicas: 3
  serviceName: hab
  selector: {matchLabels: {app: sup}}
  template:
    metadata: {labels: {app: sup}}
    spec: {containers: [{name: sup, image: sup, args: [--peer, sup-1.hab], readinessProbe: {tcpSocket: {port: 9631}}}]}
";

/// A rendered directory with a file of the user's.
fn assets(file: &str, content: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
    fs::create_dir(folder.path().join("static")).unwrap();
    let output = bootkube(folder.path(), RENDER, "");
    assert!(output.status.success(), "{}", said(&output));
    fs::write(folder.path().join("assets/manifests").join(file), content).unwrap();
    folder
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_untouched(folder: &Path) -> bool {
    fs::read_dir(folder.join("static")).unwrap().next().is_none()
}

#[test]
fn an_object_that_is_too_large_is_refused_by_every_command_before_anything_is_touched() {
    let large = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: x}}, stringData: {{a: '{}'}}}}",
        "x".repeat(1 << 21)
    );
    let folder = assets("large.yaml", &large);
    for args in
        [RENDER, DRY_RUN, &DRY_RUN[..3], &["preflight", "--asset-dir=assets", "--pod-manifest-path=static"]]
    {
        let output = bootkube(folder.path(), args, "");
        assert_eq!(output.status.code(), Some(3), "{args:?}\n{}", said(&output));
        let told = "manifests/large.yaml: document 1: Secret x/s is too large: its data has 2097152 bytes, \
            and the API takes 1048576 (1 MiB); split it into several";
        assert!(said(&output).contains(told), "{args:?}\n{}", said(&output));
        assert!(is_untouched(folder.path()));
    }
}

#[test]
fn a_dry_run_says_why_pods_would_never_be_ready() {
    let folder = assets("hab.yaml", SUPERVISORS);
    let output = bootkube(folder.path(), DRY_RUN, "");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    for told in [
        "\nwarning: manifests/hab.yaml:4: Service hab: StatefulSet sup (manifests/hab.yaml:6) names sup-1.hab, ",
        "\nwarning: manifests/hab.yaml:3: Service hab: Kubernetes no longer reads the annotation ",
    ] {
        assert!(text.contains(told), "{text}");
    }
    let output = bootkube(folder.path(), &[DRY_RUN, &["-o", "json"]].concat(), "");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["warnings"].as_array().unwrap().len(), 2, "{}", plan["warnings"]);
    let well = SUPERVISORS.replace("clusterIP: None", "clusterIP: None, publishNotReadyAddresses: true");
    fs::write(folder.path().join("assets/manifests/hab.yaml"), well).unwrap();
    let output = bootkube(folder.path(), &[DRY_RUN, &["-o", "json"]].concat(), "");
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Pods are still made one by one, but that one may be Ready without the others is not known.
    assert_eq!(plan["warnings"], serde_json::json!([]));
}

#[test]
fn start_says_the_same_before_it_looks_at_the_machine() {
    let folder = assets("hab.yaml", SUPERVISORS);
    // No kubelet has this folder, so preflight ends the command.
    let args = ["start", "--asset-dir=assets", "--pod-manifest-path=static", "--events=events.jsonl"];
    let output = bootkube(folder.path(), &args, "");
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let events = fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let at = |words: &str| events.find(words).unwrap_or_else(|| panic!("{words}\n{events}"));
    let phase = at("\"phase_started\"");
    assert!(at("manifests/hab.yaml:4: Service hab: StatefulSet sup (manifests/hab.yaml:6) names ") < phase);
    assert!(at("manifests/hab.yaml:3: Service hab: Kubernetes no longer reads") < phase);
    assert!(is_untouched(folder.path()));
}
