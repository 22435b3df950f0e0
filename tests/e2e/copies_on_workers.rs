//! A worker: its pods survive a power cut without the API. Its agent uses kubelet's credential,
//! which reads nothing else.

use std::time::Duration;

use lab::Machine;
use serde_json::json;

use crate::checks::{Checks, eventually};
use crate::world::World;

/// A pod of every machine but the controller, with everything that the Node authorizer allows
/// without a Role.
const WEB: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: v1
kind: Secret
metadata: {name: word, namespace: prod}
stringData: {word: "xyzzy-plugh-plover"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: prod}
data: {colour: blue}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web, namespace: prod}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {checkpointer.alpha.coreos.com/checkpoint: "true"}
    spec:
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions: [{key: node-role.kubernetes.io/control-plane, operator: DoesNotExist}]
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 0}
      volumes:
        - {name: word, secret: {secretName: word}}
        - {name: settings, configMap: {name: settings}}
      containers:
        - name: web
          image: docker.io/library/busybox:1.36
          command: [/bin/sh, -c, "grep xyzzy /word/word && grep blue /settings/colour && exec sleep 1000000"]
          volumeMounts: [{name: word, mountPath: /word}, {name: settings, mountPath: /settings}]
"#;
/// The files in kubelet's folder there when all is well.
const WELL: &str = "kube-system-pod-checkpointer-worker.json\n";
const KUBELET: &str = "kubectl --kubeconfig=/var/lib/kubelet/kubeconfig";

#[test]
fn a_workers_pod_survives_a_power_cut_without_the_api_and_its_credential_reads_nothing_else() {
    let world = World::up("e2e-worker", 2, |_| json!({"checkpointWorkers": true}));
    world.render_and_join();
    let worker = world.lab.machine("n2").unwrap();
    let mut checks = Checks::default();
    checks.need("start succeeds, and a worker joins", || {
        world.start().must_succeed();
        world.cluster.join(&worker).unwrap();
        world.apply(WEB);
    });
    checks.that("a copy is kept of the pod, and the worker's agent is Ready", || kept(&world, &worker));
    checks.that("the worker's credential reads no Secret of the control plane", || bounded(&worker));
    checks.that("after a power cut of all machines, while the controller is off, the copy runs", || {
        world.n1().power_cut().unwrap();
        worker.power_cut().unwrap();
        std::thread::sleep(Duration::from_secs(3));
        worker.power_on().unwrap();
        eventually(90, || folder(&worker, &format!("{WELL}prod-web.json\n")));
        eventually(60, || running(&worker));
    });
    checks.that("when the controller is back the pod itself runs, and its copy is gone", || {
        world.n1().power_on().unwrap();
        eventually(120, || folder(&worker, WELL));
        eventually(120, || kept_and_ready(&world, &worker));
    });
    checks.that("when the pod's DaemonSet is deleted its copy goes, files included", || {
        world.kubectl(&["-n", "prod", "delete", "daemonset", "web"]);
        let find =
            "find /etc/kubernetes/inactive-manifests /etc/kubernetes/checkpoint-secrets -path '*prod*'";
        eventually(150, || {
            let left = shell(&worker, find);
            left.is_empty().then_some(()).ok_or(left)
        });
    });
    checks.finish();
}

fn shell(machine: &Machine, script: &str) -> String {
    machine.run(&["bash", "-c", script]).unwrap()
}

fn folder(worker: &Machine, expected: &str) -> Result<(), String> {
    let found = shell(worker, "ls /etc/kubernetes/manifests");
    (found == expected).then_some(()).ok_or(found)
}

/// The container of the pod or of its copy runs.
fn running(worker: &Machine) -> Result<(), String> {
    let tasks = shell(worker, "pgrep -fa '[s]leep 1000000' || true");
    (!tasks.is_empty()).then_some(()).ok_or_else(|| "nothing runs".to_owned())
}

fn kept(world: &World, worker: &Machine) {
    eventually(120, || kept_and_ready(world, worker));
    let files = "find /etc/kubernetes/checkpoint-secrets -type f '!' '(' -perm 600 -user root ')'";
    assert_eq!(shell(worker, files), "");
}

fn kept_and_ready(world: &World, worker: &Machine) -> Result<(), String> {
    let list = worker.run(&["bootkube", "checkpoint", "list"]).map_err(|error| error.to_string())?;
    let has = |name: &str, state: &str| {
        list.lines().any(|line| line.starts_with(name) && line.split_whitespace().any(|word| word == state))
    };
    let is_kept = has("prod/web", "kept") && has("kube-system/pod-checkpointer-worker", "active");
    let pods =
        world.cluster.kubectl(&["get", "pods", "-A", "-o", "wide"]).map_err(|error| error.to_string())?;
    let ready = |name: &str| {
        pods.lines().any(|line| line.contains(name) && line.contains(" 1/1 ") && line.contains(" n2 "))
    };
    let are_ready = ready(" web-") && ready(" pod-checkpointer-worker-");
    (is_kept && are_ready).then_some(()).ok_or(format!("{list}\n{pods}"))
}

/// What kubelet's certificate may do; the agent has no other.
fn bounded(worker: &Machine) {
    for secret in ["kube-controller-manager", "kube-apiserver", "pod-checkpointer"] {
        let said = shell(worker, &format!("{KUBELET} -n kube-system get secret {secret} 2>&1 || true"));
        assert!(said.contains("forbidden"), "{said}");
    }
    let own = shell(worker, &format!("{KUBELET} -n prod get secret word -o name"));
    assert_eq!(own, "secret/word\n");
    let agent = "grep -l 'BEGIN.*PRIVATE KEY' -r /etc/kubernetes/checkpoint-secrets || true";
    assert_eq!(shell(worker, agent), "", "no key is kept");
}
