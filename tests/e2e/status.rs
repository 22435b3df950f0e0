//! What `status` says of a living cluster beyond its control plane, and that its cures cure: each
//! test makes a cause, runs the command that the message names, and the cause is gone.

use lab::cluster::{ASSETS, START};
use serde_json::Value;

use crate::checks::{Checks, eventually};
use crate::quota;
use crate::world::World;

/// Checks the sentences on a cluster of two machines.
pub fn check(world: &World, checks: &mut Checks) {
    checks.that("status asks what pods ask on a machine of the cluster, and from nowhere else", || {
        eventually(60, || {
            let (code, report) = ask(world);
            let passes = |name: &&str| outcomes(&report, name) == ["pass"];
            let holds = code == Some(0) && ["etcd", "service-address", "dns"].iter().all(passes);
            holds.then_some(()).ok_or_else(|| format!("{report:#}"))
        });
        let (code, report) = ask_outside(world);
        assert_eq!(code, Some(0), "{report:#}");
        for name in ["etcd", "service-address", "dns"] {
            assert_eq!(outcomes(&report, name), ["skip"], "{report:#}");
        }
    });
    checks.that("rules that kube-proxy has lost are told, and the cure ends that", || {
        let proxy = world.pods_of("DaemonSet/kube-proxy").into_iter().find(|pod| pod.node == "n1").unwrap();
        let flush = ["nft", "flush", "map", "ip", "kube-proxy", "service-ips"];
        world.kubectl(&[&["exec", "-n", "kube-system", &proxy.name, "--"], &flush[..]].concat());
        let words = [
            "does not answer at the address of its Service",
            "make kube-proxy of this node write its rules anew",
        ];
        let (_, report) = eventually_told(world, &words);
        assert_eq!(outcomes(&report, "dns"), ["fail"], "{report:#}");
        follow(world, &report, &words);
        eventually(60, || healthy(world));
    });
    checks.that("cluster DNS without a pod is told, and where to look", || {
        world.kubectl(&["-n", "kube-system", "scale", "deployment/coredns", "--replicas=0"]);
        let words = ["cluster DNS does not answer at 10.3.0.10:53", "none of its pods is Ready"];
        eventually_told(world, &words);
        world.kubectl(&["-n", "kube-system", "scale", "deployment/coredns", "--replicas=2"]);
        eventually(60, || healthy(world));
    });
    checks.that("start and status name a pod of manifests/ that is not well", || unwell(world));
    checks.that("copies that serve without a Node are listed, and the cure brings the Node back", || {
        node_deleted(world);
    });
}

/// Exit code and report of `status` on the first controller.
fn ask(world: &World) -> (Option<i32>, Value) {
    let kubeconfig = format!("--kubeconfig={ASSETS}/auth/kubeconfig");
    let output = world.n1().exec(&["bootkube", "status", &kubeconfig, "--timeout=3s", "-o", "json"]).unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

/// The same beside the machines.
fn ask_outside(world: &World) -> (Option<i32>, Value) {
    let kubeconfig = world.n1().path(&format!("{ASSETS}/auth/kubeconfig"));
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let output =
        world.lab.exec_outside(&[crate::world::BOOTKUBE, "status", &kubeconfig, "-o", "json"]).unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

fn healthy(world: &World) -> Result<(), String> {
    let (code, report) = ask(world);
    (code == Some(0)).then_some(()).ok_or_else(|| format!("{report:#}"))
}

fn outcomes(report: &Value, name: &str) -> Vec<String> {
    let asked = report["asked"].as_array().unwrap().iter().filter(|asked| asked["name"] == name);
    asked.map(|asked| asked["outcome"].as_str().unwrap().to_owned()).collect()
}

/// The problem that has these words.
fn problem<'a>(report: &'a Value, words: &[&str]) -> Option<&'a str> {
    let mut problems = report["problems"].as_array().unwrap().iter().filter_map(Value::as_str);
    problems.find(|problem| words.iter().all(|word| problem.contains(word)))
}

/// Waits until `status` tells this problem, and exits with 1.
fn eventually_told(world: &World, words: &[&str]) -> (Option<i32>, Value) {
    let mut last = None;
    eventually(60, || {
        let (code, report) = ask(world);
        let is_told = code == Some(1) && problem(&report, words).is_some();
        last = Some((code, report.clone()));
        is_told.then_some(()).ok_or_else(|| format!("{words:?} are not told: {report:#}"))
    });
    last.unwrap()
}

/// Runs the command at the end of a problem.
fn follow(world: &World, report: &Value, words: &[&str]) {
    let problem = problem(report, words).unwrap();
    let (_, command) = problem.rsplit_once(": ").unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    assert_eq!(words[0], "kubectl", "{problem}");
    world.kubectl(&words[1..]);
}

/// A Deployment whose image does not exist, among the manifests.
const BROKEN: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: broken, namespace: default}
spec:
  selector: {matchLabels: {app: broken}}
  template:
    metadata: {labels: {app: broken}}
    spec:
      containers: [{name: c, image: 'example.test/none:1', imagePullPolicy: Never}]
";

fn unwell(world: &World) {
    let path = format!("{ASSETS}/manifests/broken.yaml");
    world.n1().write(&path, BROKEN.as_bytes(), 0o600).unwrap();
    let start = || {
        let started = world.start_by(&[&["bootkube"], &START[..]].concat());
        started.must_succeed();
        started.stdout() + &String::from_utf8_lossy(&started.output.stderr)
    };
    start();
    let words = ["Deployment default/broken is not well", "image example.test/none:1", "ErrImageNeverPull"];
    let (_, report) = eventually_told(world, &words);
    let pods = report["pods"].as_array().unwrap();
    assert!(pods.iter().any(|pod| pod["workload"] == "Deployment default/broken"), "{report:#}");
    let said = start();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    world.shell(&format!("rm {path}"));
    world.kubectl(&["delete", "deployment", "broken"]);
    eventually(60, || healthy(world));
}

/// An alarm of etcd, which is a service, is named. Without it everything is healthy again.
pub fn alarm(world: &World) {
    let words = [
        "has raised the alarm NOSPACE",
        "compact the history, run defrag on every member, then alarm disarm",
    ];
    quota::exceeded(world, || drop(eventually_told(world, &words)));
    eventually(120, || healthy(world));
}

/// kubelet registers its Node only when it starts.
fn node_deleted(world: &World) {
    world.kubectl(&["delete", "node", "n1"]);
    let words = ["the Node of this machine is not registered", "kube-apiserver"];
    let (_, report) = eventually_told(world, &words);
    let copies = report["components"].as_array().unwrap().iter().filter(|it| it["hosting"] == "copy");
    assert!(copies.clone().any(|it| it["component"] == "kube-apiserver" && it["node"] == "n1"), "{report:#}");
    let problem = problem(&report, &words).unwrap();
    assert!(problem.contains("systemctl restart kubelet, and bootkube start"), "{problem}");
    world.start().must_succeed();
    eventually(120, || healthy(world));
}
