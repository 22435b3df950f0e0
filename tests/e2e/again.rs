//! A start that was interrupted is started again, by the same command.

use std::io::{BufRead, BufReader};

use lab::cluster::ASSETS;
use serde_json::json;

use crate::checks::Checks;
use crate::world::World;

#[test]
fn a_start_that_was_interrupted_is_run_again_and_succeeds() {
    let world = World::up("e2e-interrupted", 1, |_| json!({}));
    world.render_and_join();
    let mut checks = Checks::default();
    checks.that("start ends at SIGTERM, and what it placed stays", || {
        interrupt(&world, "wait for the API", "TERM");
        assert!(world.shell("ls /etc/kubernetes/manifests").contains("apiserver"));
    });
    checks.that("start that was killed leaves the bootstrap control plane", || {
        interrupt(&world, "wait for the self-hosted control plane", "KILL");
        assert!(world.shell("ls /etc/kubernetes/manifests").contains("apiserver"));
    });
    let started = world.start();
    started.must_succeed();
    eprintln!("e2e: the third start took {:.1} s", started.took.as_secs_f64());
    checks.that("nothing of the bootstrap control plane is left", || {
        assert_eq!(world.shell("ls -A /etc/kubernetes/manifests"), "etcd.yaml\n");
        assert!(!world.n1().path("/etc/kubernetes/bootstrap-secrets").exists());
    });
    checks.that("the control plane runs itself", || {
        for workload in ["daemonset/kube-apiserver", "deployment/kube-controller-manager"] {
            world.rolled_out(workload);
        }
    });
    checks.finish();
}

/// Sends a signal as soon as `start` says that it is in `phase`.
fn interrupt(world: &World, phase: &str, signal: &str) {
    let script = format!("echo $$ >/run/start.pid; exec bootkube start --asset-dir {ASSETS}");
    let mut start = world.n1().spawn(&["bash", "-c", &script]).unwrap();
    let mut lines = BufReader::new(start.stdout.take().unwrap()).lines();
    let reached = lines.any(|line| line.unwrap().ends_with(phase));
    assert!(reached, "start ended before: {:?}", start.wait_with_output());
    world.shell(&format!("kill -{signal} $(cat /run/start.pid)"));
    assert!(!start.wait().unwrap().success());
}
