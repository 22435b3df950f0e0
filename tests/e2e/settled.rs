//! Assets with values that a running cluster cannot change: `render` says so, and `start` refuses
//! each field before it touches anything.

use std::process::Output;

use lab::cluster::{ASSETS, CONFIG};
use serde_json::{Value, json};

use crate::world::{World, record};

/// Where the changed assets are.
const CHANGED: &str = "/opt/bootkube/changed";
/// What `start` could have touched: static pods, keys, the journal, and what the API has.
const TOUCHED: &str = "find /etc/kubernetes/manifests /etc/kubernetes/etcd /etc/kubernetes/bootkube-journal.jsonl \
                       -printf '%p %i %T@\\n' | sort; kubectl -n kube-system get daemonsets,deployments,services \
                       -o custom-columns=NAME:.metadata.name,GENERATION:.metadata.generation,IP:.spec.clusterIP";

/// On a cluster that runs.
pub fn refused(world: &World) {
    let changes = json!({
        "clusterDomain": "k8s.example",
        "etcd": {"mode": "external", "servers": ["https://192.0.2.30:2379"]},
        "podCIDRs": ["10.244.0.0/16"],
        "serviceCIDRs": ["10.96.0.0/16"],
        "kubernetesVersion": "v1.34.1",
    });
    let expected = [
        ("etcd.servers", "https://127.0.0.1:2379", "https://192.0.2.30:2379"),
        ("serviceCIDRs", "10.3.0.0/24", "10.96.0.0/16"),
        ("podCIDRs", "10.2.0.0/16", "10.244.0.0/16"),
        ("clusterDomain", "cluster.local", "k8s.example"),
    ];
    let before = world.shell(TOUCHED);
    let told = stderr(&rendered(world, &changes, Some(ASSETS)));
    for (field, old, new) in expected {
        assert!(told.contains(&format!("warning: {field}: {old} before, {new} now (manifests/")), "{told}");
    }
    let said = refusal(world);
    let dry = world.n1().exec(&["bootkube", "start", "--asset-dir", CHANGED, "--dry-run"]).unwrap();
    let dry = String::from_utf8(dry.stdout).unwrap();
    for (field, old, new) in expected {
        let is_told = |text: &str, check: &str| {
            let line = format!("{check}{field}: the cluster that runs here has {old}");
            text.lines()
                .any(|told| told.contains(&line) && told.ends_with(&format!(", the assets have {new}")))
        };
        assert!(is_told(&said, "living-cluster           "), "{said}");
        assert!(is_told(&dry, "fail      living-cluster: "), "{dry}");
    }
    assert!(!said.contains("kubelet-settings") && !said.contains("ip link delete"), "{said}");
    let one = |changes: Value, reuse: Option<&str>, words: &str| {
        rendered(world, &changes, reuse);
        let said = refusal(world);
        assert!(said.contains(words), "{said}");
    };
    let port = json!({"apiServers": [format!("https://{}:7443", world.n1().ip())]});
    one(
        port,
        Some(ASSETS),
        "the port in apiServers: the cluster that runs here has 6443, the assets have 7443",
    );
    one(json!({}), None, "a cluster of another CA runs on this machine: kubernetes-ca of ");
    assert_eq!(world.shell(TOUCHED), before);
    let started = world.start();
    started.must_succeed();
    record("start-after-refusal", &json!({"seconds": started.took.as_secs_f64()}));
}

/// Renders the cluster with `changes` into [`CHANGED`], by the keys of `reuse`.
fn rendered(world: &World, changes: &Value, reuse: Option<&str>) -> Output {
    let mut config: Value = serde_json::from_slice(&world.n1().read(CONFIG).unwrap()).unwrap();
    json_patch::merge(&mut config, changes);
    let file = format!("{CHANGED}.yaml");
    world.n1().write(&file, config.to_string().as_bytes(), 0o600).unwrap();
    world.shell(&format!("rm -rf {CHANGED}"));
    let words = ["bootkube", "render", "--config", &file, "--asset-dir", CHANGED];
    let reuse: Vec<&str> = reuse.into_iter().flat_map(|dir| ["--reuse-from", dir]).collect();
    let output = world.n1().exec(&[&words[..], &reuse].concat()).unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// What `start` says of the changed assets, which it refuses.
fn refusal(world: &World) -> String {
    let output = world.n1().exec(&["bootkube", "start", "--asset-dir", CHANGED]).unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("nothing was touched"), "{said}");
    eprintln!("e2e: settled: {said}");
    said
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
