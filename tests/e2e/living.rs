//! What people do to the machines of a living cluster: they resize pods, drain workers, restart
//! services, rotate the journal and reboot. Nothing of the control plane is lost by it.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use lab::Machine;
use lab::cluster::ASSETS;
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::kube::condition;
use crate::power::{is_well, no_copy};
use crate::status;
use crate::traffic::{Answered, Traffic};
use crate::world::{World, record};

/// Two pods of a user, anywhere.
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: docker.io/library/busybox:1.36
          command: [sleep, '1000000']
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 100m, memory: 64Mi}}
";

#[test]
fn a_living_cluster_bears_what_people_do_to_its_machines() {
    let world = World::up("e2e-living", 2, |_| json!({})).started();
    let worker = world.lab.machine("n2").unwrap();
    let mut checks = Checks::default();
    checks.need("a worker joins, and a user's pods run", || {
        world.cluster.join(&worker).unwrap();
        eventually(60, || ready(&world, &worker));
        world.apply(WEB);
        world.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    });
    checks.that("a pod is resized in place", || resized(&world));
    checks.that("a worker is cordoned, drained and uncordoned", || drained(&world, &worker));
    checks.that("a smoke test passes on two nodes, and says what of a cluster is broken", || {
        smoke_test(&world)
    });
    status::check(&world, &mut checks);
    checks.that("containerd and kubelet are restarted, and no request fails", || {
        let traffic = Traffic::of_admin(&world, "restarts");
        for service in ["containerd", "kubelet", "containerd"] {
            world.shell(&format!("systemctl restart {service}"));
            let restarted = Timestamp::now();
            eventually(60, || ready(&world, &world.n1()));
            eventually(60, || renewed(&world, restarted));
            eventually(60, || runs_commands(&world));
        }
        traffic.finish().iter().for_each(Answered::assert_unnoticed);
        eventually(60, || is_well(&world, Timestamp::UNIX_EPOCH));
    });
    checks.that("the journal is rotated and emptied, and goes on", || {
        world.shell("journalctl --quiet --rotate && journalctl --quiet --vacuum-time=1s");
        world.shell("systemctl restart kubelet");
        eventually(60, || {
            let lines = world.shell("journalctl --quiet --no-pager --unit=kubelet | wc -l");
            (lines.trim() != "0").then_some(()).ok_or("kubelet's journal is empty".into())
        });
        eventually(60, || ready(&world, &world.n1()));
    });
    checks.that("a machine that shuts down in an orderly way comes back with its control plane", || {
        eventually(60, || {
            let inhibitors = world.shell("systemd-inhibit --list --no-pager");
            inhibitors.contains("kubelet").then_some(()).ok_or(format!("kubelet holds none: {inhibitors}"))
        });
        eventually(60, || kubelet_knows_its_pods(&world));
        let (cut, begun) = (Timestamp::now(), Instant::now());
        world.n1().shut_down().unwrap();
        let down = begun.elapsed().as_secs_f64();
        world.n1().power_on().unwrap();
        eventually(90, || world.answers());
        let api = begun.elapsed().as_secs_f64();
        eventually(120, || is_well(&world, cut));
        eventually(90, || no_copy(&world));
        record("orderly-reboot", &json!({"down_seconds": down, "api_seconds": api}));
        assert!(down < 60.0, "systemd waited for the apiserver for {down:.1} s");
    });
    checks.finish();
}

fn ready(world: &World, machine: &Machine) -> Result<(), String> {
    let name = machine.name();
    let node = world.try_kubectl(&["get", "node", &name, "-o", "json"])?;
    let node = serde_json::from_str(&node).map_err(|error| error.to_string())?;
    condition(&node, "Ready").then_some(()).ok_or(format!("{name} is not Ready"))
}

/// Kubelet takes its lock before it knows of any pod. A shutdown in that moment ends none in order.
fn kubelet_knows_its_pods(world: &World) -> Result<(), String> {
    let pods = world.try_kubectl(&["get", "--raw", "/api/v1/nodes/n1/proxy/pods"])?;
    pods.contains("kube-apiserver").then_some(()).ok_or(format!("kubelet knows of these pods: {pods}"))
}

/// kubelet works, and reaches the API: it renews the lease of its node every ten seconds.
fn renewed(world: &World, since: Timestamp) -> Result<(), String> {
    let lease = world.get(&["lease", "n1", "-n", "kube-node-lease"]);
    let renewed: Timestamp = lease["spec"]["renewTime"].as_str().unwrap().parse().unwrap();
    (renewed > since).then_some(()).ok_or(format!("kubelet renewed its lease at {renewed}"))
}

/// kubelet and containerd work together.
fn runs_commands(world: &World) -> Result<(), String> {
    let exec =
        ["exec", "-n", "kube-system", "deployment/kube-scheduler", "--", "kube-scheduler", "--version"];
    world.try_kubectl(&exec).map(drop)
}

/// kubelet changes the limits of the running container, which is not restarted.
fn resized(world: &World) {
    let name = world.pods("default").into_iter().find(|pod| pod.owner == "Deployment/web").unwrap().name;
    let limits = json!({"cpu": "200m", "memory": "64Mi"});
    let patch = json!({"spec": {"containers": [{"name": "web", "resources": {"limits": limits}}]}});
    world.kubectl(&["patch", "pod", &name, "--subresource=resize", "--patch", &patch.to_string()]);
    eventually(60, || {
        let status = &world.get(&["pod", &name])["status"]["containerStatuses"][0];
        let is_done = status["resources"]["limits"]["cpu"] == "200m" && status["restartCount"] == 0;
        is_done.then_some(()).ok_or(format!("{status:#}"))
    });
}

fn drained(world: &World, worker: &Machine) {
    let name = worker.name();
    world.kubectl(&["drain", &name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s"]);
    let pods = world.pods("default");
    assert!(pods.iter().all(|pod| pod.node != name), "{pods:?}");
    world.kubectl(&["uncordon", &name]);
    world.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]);
    world.rolled_out("deployment/coredns");
    eventually(60, || is_well(world, Timestamp::UNIX_EPOCH));
}

/// With CoreDNS it passes. Without, the one step that needs it fails, and everything is cleaned up.
fn smoke_test(world: &World) {
    let image = world.get(&["--namespace=kube-system", "daemonset/pod-checkpointer"]);
    let image = &image["spec"]["template"]["spec"]["containers"][0]["image"];
    let (code, steps) = try_users_things(world, &[&format!("--image={}", image.as_str().unwrap())]);
    assert!(code == Some(0) && steps.iter().all(|(_, outcome)| outcome == "pass"), "{code:?} {steps:?}");
    world.kubectl(&["--namespace=kube-system", "scale", "deployment/coredns", "--replicas=0"]);
    world.kubectl(&["--namespace=kube-system", "wait", "pod", "--selector=k8s-app=coredns", "--for=delete"]);
    let (code, steps) = try_users_things(world, &["--timeout=15s"]);
    world.kubectl(&["--namespace=kube-system", "scale", "deployment/coredns", "--replicas=2"]);
    let failed: Vec<&str> =
        steps.iter().filter(|(_, outcome)| outcome != "pass").map(|(name, _)| &**name).collect();
    assert_eq!((code, failed), (Some(1), vec!["dns"]));
    let (code, steps) = try_users_things(world, &["--image=example.com/not-there:1", "--timeout=5s"]);
    let outcome = |name: &str| steps.iter().find(|(step, _)| step == name).map(|(_, outcome)| &**outcome);
    assert_eq!(code, Some(1));
    assert_eq!([outcome("deployment"), outcome("logs")], [Some("fail"), Some("skip")]);
    let left = world.kubectl(&["get", "namespaces", "--selector=bootkube.dev/smoke-test", "--output=name"]);
    assert_eq!(left, "");
    world.rolled_out("deployment/coredns");
}

/// The exit code of the smoke test, and each step with its outcome.
fn try_users_things(world: &World, flags: &[&str]) -> (Option<i32>, Vec<(String, String)>) {
    let kubeconfig = format!("--kubeconfig={ASSETS}/auth/kubeconfig");
    let words = [&["bootkube", "smoke-test", "--output=json", &kubeconfig], flags].concat();
    let output = world.n1().exec(&words).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = report["steps"].as_array().unwrap().iter();
    eprintln!("e2e: smoke test: {}", report["steps"]);
    (output.status.code(), steps.map(|step| (text(step, "name"), text(step, "outcome"))).collect())
}
