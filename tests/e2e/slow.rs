//! A slow machine: it may use a fifth of a processor, like a Raspberry Pi or a busy virtual machine.
//! Everything works as on a fast one, only later.

use std::fs;
use std::time::Instant;

use lab::cluster::{ASSETS, START};
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::roll;
use crate::traffic::{self, Traffic};
use crate::world::{Started, World, record};

/// Of a processor.
const PERCENT: u32 = 20;
/// Far above what `start` says it is waiting for meanwhile.
const TIMEOUT: &str = "--timeout=30m";
/// Where `start` writes its events.
const EVENTS: &str = "/run/events.jsonl";
/// Handshakes that the apiservers of a start may see broken off. There were 521 when questions were
/// given up after a second.
const ABORTED: usize = 20;
/// Components that hold a lease.
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

#[test]
fn on_a_fifth_of_a_processor_start_and_a_rollout_only_take_longer() {
    let world = World::up("e2e-slow", 1, |_| json!({}));
    world.cluster.render().unwrap();
    world.n1().limit_processor(PERCENT).unwrap();
    world.cluster.join(&world.n1()).unwrap();
    keep_logs(&world);
    let mut checks = Checks::default();
    checks.need("start succeeds", || {
        let begun = Instant::now();
        let started = limited(&world, &[&["bootkube"], &START[..], &[TIMEOUT, "--events", EVENTS]].concat());
        record("slow-start", &json!({"seconds": begun.elapsed().as_secs_f64()}));
        started.must_succeed();
        let said = started.stdout();
        let advice = said.lines().filter(|line| line.contains("ss -ltnp")).collect::<Vec<_>>();
        assert!(advice.is_empty(), "the port is our own apiserver's: {advice:#?}");
    });
    checks.that("no component is said not to answer, and no listener is counted that is none", || {
        let events = fs::read_to_string(world.n1().path(EVENTS)).unwrap();
        look_at(&events.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>());
    });
    checks.that("hardly a handshake with an apiserver is broken off", || {
        let broken = broken_off(&world);
        record("slow-handshakes", &json!({"broken_off": broken.len()}));
        assert!(broken.len() <= ABORTED, "{}: {broken:#?}", broken.len());
    });
    checks.that("status finds the control plane healthy", || {
        eventually(120, || {
            let output = limited(&world, &["bootkube", "status"]).output;
            output.status.success().then_some(()).ok_or(format!("{output:?}"))
        });
    });
    checks.that("the apiserver is rolled, no request fails, and leases keep their holders", || {
        let before = leaders(&world);
        let traffic = Traffic::gentle(&world, "slow-roll");
        let seconds = roll::roll_by_flag(&world);
        let answered = traffic.finish();
        let figures: Value = json!({"seconds": seconds, "clients": traffic::figures(&answered)});
        record("slow-roll", &figures);
        for traffic::Answered { client, summary } in &answered {
            assert!(summary.ok >= 50, "{client}: only {} requests succeeded", summary.ok);
            assert_eq!(summary.failed, 0, "{client}: {figures:#}");
        }
        assert_eq!(leaders(&world), before);
    });
    checks.finish();
}

/// What `start` found to be in the way, and how many listeners it counted: the bootstrap apiserver,
/// then both, then the self-hosted one.
fn look_at(events: &[Value]) {
    let of = |kind: &'static str| events.iter().filter(move |event| event["event"] == kind);
    let blocked = of("blocked").collect::<Vec<_>>();
    let counts: Vec<u64> = of("listeners").filter_map(|event| event["count"].as_u64()).collect();
    let waits = of("waiting").filter(|event| event.to_string().contains("does not answer")).count();
    record("slow-events", &json!({"listeners": counts, "waits_for_an_answer": waits, "blocked": blocked}));
    assert!(!blocked.iter().any(|event| event.to_string().contains("does not answer")), "{blocked:#?}");
    assert_eq!(counts, [0, 1, 2, 1]);
}

/// Gives every log of an apiserver a second name, because kubelet removes it with the pod.
fn keep_logs(world: &World) {
    let script = "mkdir -p /var/log/kept; while sleep 1; do
        for log in /var/log/pods/kube-system_*kube-apiserver*/*/*.log; do
            [ ! -f $log ] || ln -f $log /var/log/kept/$(echo $log | tr / _)
        done
    done";
    world.n1().run(&["systemd-run", "--quiet", "bash", "-c", script]).unwrap();
}

/// What apiservers logged of handshakes that their clients did not finish.
fn broken_off(world: &World) -> Vec<String> {
    let kept = world.shell("ls /var/log/kept | cut -d_ -f7 | sort -u | wc -l");
    assert!(kept.trim().parse::<usize>().unwrap() >= 2, "of both apiservers");
    let log = world.shell("grep -h 'TLS handshake error' /var/log/kept/* || true");
    log.lines().map(str::to_owned).collect()
}

/// Holder of each lease, and how often the lease has changed hands.
fn leaders(world: &World) -> Vec<Value> {
    let spec = |name: &&str| world.get(&["lease", name, "-n", "kube-system"])["spec"].clone();
    let specs = LEADERS.iter().map(spec);
    specs.map(|spec| json!([spec["holderIdentity"], spec["leaseTransitions"]])).collect()
}

/// Runs a command as systemd would, within the machine's limit: a command of the lab is outside.
fn limited(world: &World, words: &[&str]) -> Started {
    let kubeconfig = format!("--setenv=KUBECONFIG={ASSETS}/auth/kubeconfig");
    let run = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", &kubeconfig];
    world.start_by(&[&run, words].concat())
}
