//! `start` is run again by the same command: after it was interrupted, after the machine lost its
//! power, and after a user changed what it had applied.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, ExitStatus};

use lab::cluster::ASSETS;
use serde_json::json;

use crate::checks::{Checks, eventually};
use crate::power::WELL;
use crate::settled;
use crate::world::{Started, World, record};

#[test]
fn start_is_run_again_after_an_interruption_a_power_cut_and_an_edit() {
    let world = World::up("e2e-again", 1, |_| json!({}));
    world.render_and_join();
    let mut checks = Checks::default();
    checks.that("start ends at SIGTERM, and what it placed stays", || {
        interrupt(&world, "wait for the API", "TERM");
        assert!(world.shell("ls /etc/kubernetes/manifests").contains("apiserver"));
    });
    checks.that("start that is killed leaves the bootstrap control plane", || {
        interrupt(&world, "wait for the self-hosted control plane", "KILL");
        assert!(world.shell("ls /etc/kubernetes/manifests").contains("apiserver"));
    });
    checks.need("after an interruption start succeeds", || {
        // The hand-over takes a fraction of a second: it may be over when the signal comes.
        kill_in(&world, "hand over", "KILL");
        record("start-again", &json!({"interrupted": seconds(&world.start())}));
    });
    checks.that("after an interruption the control plane runs itself", || runs_itself(&world));
    checks.need("after a power cut start succeeds", || {
        world.n1().reboot().unwrap();
        record("start-after-power-cut", &json!({"seconds": seconds(&world.start())}));
    });
    checks.that("after a power cut the control plane runs itself", || runs_itself(&world));
    checks.that("what the cluster cannot change is told by render, and refused by start", || {
        settled::refused(&world);
    });
    checks.that("what a user changed with kubectl is reported and stays", || edited(&world));
    checks.finish();
}

/// How long a successful `start` took.
fn seconds(started: &Started) -> f64 {
    started.must_succeed();
    started.took.as_secs_f64()
}

/// Sends a signal as soon as `start` reports that it is in `phase`.
fn interrupt(world: &World, phase: &str, signal: &str) {
    assert!(!kill_in(world, phase, signal).success());
}

/// `start`, as soon as it reports that it is in `phase`, and its output.
pub fn start_until(world: &World, phase: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    run_until(world, &format!("bootkube start --asset-dir {ASSETS}"), phase)
}

/// A command that reports its phases, as soon as it is in `phase`.
pub fn run_until(world: &World, command: &str, phase: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let script = format!("echo $$ >/run/start.pid; exec {command}");
    let mut child = world.n1().spawn(&["bash", "-c", &script]).unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reached = lines.any(|line| line.unwrap().ends_with(phase));
    assert!(reached, "it ended before: {:?}", child.wait_with_output());
    (child, lines)
}

fn kill_in(world: &World, phase: &str, signal: &str) -> ExitStatus {
    let (mut start, _said) = start_until(world, phase);
    world.shell(&format!("kill -{signal} $(cat /run/start.pid) || true"));
    start.wait().unwrap()
}

/// Nothing of the bootstrap control plane is left, the API answers, and the controller manager
/// works.
pub fn runs_itself(world: &World) {
    // After a power cut copies go when the pods themselves have been healthy for a while.
    eventually(60, || {
        let found = world.shell("ls -A /etc/kubernetes/manifests");
        (found == WELL).then_some(()).ok_or(found)
    });
    assert!(!world.n1().path("/etc/kubernetes/bootstrap-secrets").exists());
    world.controller_manager_works("proof");
    world.kubectl(&["delete", "namespace", "proof"]);
}

fn edited(world: &World) {
    let command = "/spec/template/spec/containers/0/command/-";
    let patch = json!([{"op": "add", "path": command, "value": "--v=3"}]).to_string();
    let scheduler = ["-n", "kube-system", "patch", "deployment/kube-scheduler", "--type=json", "-p", &patch];
    world.kubectl(&scheduler);
    let started = world.start();
    started.must_succeed();
    let said = started.stdout();
    let names_it = |line: &str| line.contains("kube-scheduler.yaml: ") && line.contains("\"kubectl-patch\"");
    assert!(said.lines().any(names_it), "{said}");
    let command = world.get(&["deployment", "kube-scheduler", "-n", "kube-system"]);
    assert!(command.to_string().contains("--v=3"), "{command}");
}
