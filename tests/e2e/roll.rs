//! The control plane is changed like any other workload, with kubectl, and no request fails.

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::kube::Pod;
use crate::traffic::{self, Traffic};
use crate::world::{World, record};

/// A flag that no manifest has.
const FLAG: &str = "--v=3";
const IMAGE: &str = "registry.k8s.io/kube-apiserver:v1.36.3";
const SCHEDULER: &str = "kube-scheduler";
const APISERVER: &str = "daemonset/kube-apiserver";

/// Changes a flag of the scheduler, and of the apiserver a flag, its image and a Secret.
pub fn check(world: &World, checks: &mut Checks) {
    let mut former = String::new();
    checks.that("a flag of the scheduler is changed with kubectl, and it schedules", || {
        let web = || world.pods("default").into_iter().filter(|pod| pod.owner == "Deployment/web");
        let before: Vec<String> = web().map(|pod| pod.name).collect();
        former = leader(world, SCHEDULER);
        world.patch(&format!("deployment/{SCHEDULER}"), &add_flag());
        world.rolled_out(&format!("deployment/{SCHEDULER}"));
        only_pod(world, &format!("Deployment/{SCHEDULER}"), |pod| pod.words.iter().any(|word| word == FLAG));
        world.kubectl(&["delete", "pod", "-l", "app=web", "--wait=false"]);
        eventually(60, || {
            let new = web().filter(|pod| pod.ready && !before.contains(&pod.name)).count();
            (new == before.len()).then_some(()).ok_or(format!("{new} new pods are ready"))
        });
    });
    checks.that("the next scheduler leads within two seconds of the end of the one before", || {
        eventually(20, || {
            let present = leader(world, SCHEDULER);
            (!present.is_empty() && present != former).then_some(()).ok_or(format!("{present:?} leads"))
        });
        // The process may release its lease some moments before it ends.
        let seconds = led_after(world, SCHEDULER);
        record("next-leader", &json!({"seconds": seconds}));
        assert!(seconds <= 2.0, "{seconds:.2} s");
    });
    checks.that("a flag, the image and a Secret of the apiserver are changed, and no request fails", || {
        record("apiserver-roll", &unnoticed_rolls(world));
        assert_eq!(world.kubectl(&["get", "--raw", "/readyz"]), "ok");
    });
}

/// Rolls the apiserver once, for a flag. Returns the seconds until kubectl calls it rolled out.
pub fn roll_by_flag(world: &World) -> f64 {
    roll(world, &add_flag(), |pod| pod.words.iter().any(|word| word == FLAG))
}

/// Rolls the apiserver three times, for a flag, the image and a Secret. No request may fail.
/// Returns the figures.
pub fn unnoticed_rolls(world: &World) -> Value {
    let image = format!("{IMAGE}-again");
    world.shell(&format!("ctr -n k8s.io images tag {IMAGE} {image} >/dev/null"));
    let traffic = Traffic::start(world, "roll");
    let seconds = [
        roll_by_flag(world),
        roll(world, &replace("/spec/template/spec/containers/0/image", &image), |pod| pod.image == image),
        roll(world, &changed_secret(world), |_| true),
    ];
    let answered = traffic.finish();
    let figures = json!({"seconds": seconds, "clients": traffic::figures(&answered)});
    answered.iter().for_each(traffic::Answered::assert_unnoticed);
    figures
}

fn add_flag() -> Value {
    json!([{"op": "add", "path": "/spec/template/spec/containers/0/command/-", "value": FLAG}])
}

fn replace(path: &str, value: &str) -> Value {
    json!([{"op": "replace", "path": path, "value": value}])
}

/// Adds a key to the Secret, and its checksum to the template, as `bootkube render` and `start` do.
fn changed_secret(world: &World) -> Value {
    let data = json!({"stringData": {"note": "another"}}).to_string();
    world.kubectl(&["-n", "kube-system", "patch", "secret", "kube-apiserver", "-p", &data]);
    replace("/spec/template/metadata/annotations/bootkube.dev~1checksum", "another")
}

/// Rolls the apiserver, and waits until the older one is gone. Returns the seconds until kubectl
/// calls it rolled out.
fn roll(world: &World, patch: &Value, is_new: impl Fn(&Pod) -> bool) -> f64 {
    let before: Vec<String> =
        world.pods_of("DaemonSet/kube-apiserver").into_iter().map(|pod| pod.name).collect();
    let begun = Instant::now();
    world.patch(APISERVER, patch);
    world.rolled_out(APISERVER);
    let seconds = begun.elapsed().as_secs_f64();
    only_pod(world, "DaemonSet/kube-apiserver", |pod| !before.contains(&pod.name) && is_new(pod));
    seconds
}

/// Waits for the older pod to end, which may need its grace period.
fn only_pod(world: &World, workload: &str, is_new: impl Fn(&Pod) -> bool) {
    eventually(40, || match world.pods_of(workload).as_slice() {
        [pod] if pod.ready && is_new(pod) => Ok(()),
        pods => Err(format!("{pods:#?}")),
    });
}

/// Holder of the lease; empty if no process leads.
fn leader(world: &World, component: &str) -> String {
    let lease = world.get(&["lease", component, "-n", "kube-system"]);
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// Seconds from the last end of a component's process, as the agent saw it, until the present
/// leader took over.
fn led_after(world: &World, component: &str) -> f64 {
    // Either the agent's pod works or its copy, so their logs are joined.
    let log = world.kubectl(&["-n", "kube-system", "logs", "-l", "k8s-app=pod-checkpointer", "--tail=-1"]);
    let is_end = |line: &&str| line.contains(" process ended ") && line.contains(component);
    let when = |line: &str| -> Timestamp { line.split_whitespace().next().unwrap().parse().unwrap() };
    let ended = log.lines().filter(is_end).map(when).max();
    let ended = ended.unwrap_or_else(|| panic!("the agent saw no process end:\n{log}"));
    let lease = world.get(&["lease", component, "-n", "kube-system"]);
    let led: Timestamp = lease["spec"]["acquireTime"].as_str().unwrap().parse().unwrap();
    (led - ended).total(k8s_openapi::jiff::Unit::Second).unwrap()
}
