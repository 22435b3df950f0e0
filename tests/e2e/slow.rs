//! A slow machine: it may use a fifth of a processor, like a Raspberry Pi or a busy virtual machine.
//! Everything works as on a fast one, only later.

use std::time::Instant;

use lab::cluster::START;
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::roll;
use crate::traffic::{self, Traffic};
use crate::world::{World, record};

/// Of a processor.
const PERCENT: u32 = 20;
/// Far above what `start` says it is waiting for meanwhile.
const TIMEOUT: &str = "--timeout=30m";

#[test]
fn on_a_fifth_of_a_processor_start_and_a_rollout_only_take_longer() {
    let world = World::up("e2e-slow", 1, |_| json!({}));
    world.cluster.render().unwrap();
    world.n1().limit_processor(PERCENT).unwrap();
    world.cluster.join(&world.n1()).unwrap();
    let mut checks = Checks::default();
    checks.need("start succeeds", || {
        let begun = Instant::now();
        let started = world.start_by(&[&limited()[..], &["bootkube"], &START, &[TIMEOUT]].concat());
        record("slow-start", &json!({"seconds": begun.elapsed().as_secs_f64()}));
        started.must_succeed();
        let said = started.stdout();
        let advice = said.lines().filter(|line| line.contains("ss -ltnp")).collect::<Vec<_>>();
        assert!(advice.is_empty(), "the port is our own apiserver's: {advice:#?}");
    });
    checks.that("status finds the control plane healthy", || {
        eventually(120, || {
            let output = world.n1().exec(&[&limited()[..], &["bootkube", "status"]].concat()).unwrap();
            output.status.success().then_some(()).ok_or(format!("{output:?}"))
        });
    });
    checks.that("the apiserver is rolled, and no request fails", || {
        let traffic = Traffic::gentle(&world, "slow-roll");
        let seconds = roll::roll_by_flag(&world);
        let answered = traffic.finish();
        let figures: Value = json!({"seconds": seconds, "clients": traffic::figures(&answered)});
        record("slow-roll", &figures);
        for traffic::Answered { client, summary } in &answered {
            assert!(summary.ok >= 50, "{client}: only {} requests succeeded", summary.ok);
            assert_eq!(summary.failed, 0, "{client}: {figures:#}");
        }
    });
    checks.finish();
}

/// Runs a command as systemd would, within the machine's limit: a command of the lab is outside.
fn limited() -> [&'static str; 6] {
    [
        "systemd-run",
        "--quiet",
        "--pipe",
        "--wait",
        "--collect",
        "--setenv=KUBECONFIG=/opt/bootkube/assets/auth/kubeconfig",
    ]
}
