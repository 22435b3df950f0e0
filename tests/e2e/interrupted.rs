//! `start` is cut off somewhere and run again by the same command, and the cluster is compared with
//! an undisturbed one: of the same assets, on a new machine of the same name and address.
//!
//! `make soak` cuts it off at every record of its journal and once inside every phase; `make test`
//! at two of those, others each day. `BOOTKUBE_SEED=n` repeats a day's choice.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use lab::cluster::ASSETS;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::faults::{self, FAULTS};
use crate::running::{JOURNAL, Moment, Running};
use crate::snapshot::Snapshot;
use crate::world::{World, record};

#[test]
fn start_is_cut_off_anywhere_run_again_and_nothing_is_lost() {
    let mut checks = Checks::default();
    let reference = Reference::make("e2e-interrupted", |world| {
        checks.that("of ten starts at once one wins, and nine say who does", || ten_starts(world));
        let journal = journal(world);
        checks.that("two starts that wait for each other both succeed, and change nothing", || {
            two_starts(world);
        });
        journal
    });
    let seed = seed();
    let cuts = reference.cuts();
    for cut in sample(&cuts, seed, 2) {
        checks.that("a start that was cut off and run again ends as if it had not been", || {
            reference.hold(cut)
        });
    }
    for fault in sample(FAULTS, seed, 2) {
        checks.that("start bears a fault, or names it and succeeds without it", || {
            faults::inject(&reference, fault)
        });
    }
    checks.finish();
}

#[test]
fn what_was_placed_can_be_taken_away_again() {
    let world = World::up("e2e-undone", 1, |_| json!({}));
    world.render_and_join();
    let mut checks = Checks::default();
    let before = files(&world);
    eventually(30, || {
        let ready = world.n1().exec(&["bootkube", "preflight", "--asset-dir", ASSETS]).unwrap();
        ready.status.success().then_some(()).ok_or(format!("{ready:?}"))
    });
    checks.that("a start that fails and tears down leaves the machine as it was", || {
        let failed =
            Running::start(&world, &["--phase-timeout=wait-for-the-API=2s", "--on-failure=teardown"])
                .finish();
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
        assert!(said(&failed).contains("what was placed is gone again"), "{failed:?}");
        assert_eq!(files(&world), before);
    });
    checks.that("SIGTERM and SIGINT end start in an orderly way, and it says how to go on", || {
        for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
            let mut running = Running::start(&world, &[]);
            assert!(running.reach(&Moment::Within("wait for the API".into(), Duration::ZERO)));
            running.signal(signal);
            let ended = running.finish();
            assert_eq!(ended.status.code(), Some(1), "{ended:?}");
            let said = said(&ended);
            assert!(said.contains(name) && said.contains("run the same command again"), "{said}");
            let journal = journal(&world);
            assert!(journal.iter().any(|line| line["signal"] == name), "{journal:#?}");
            assert_eq!(journal.last().unwrap()["exit_code"], 1);
        }
    });
    let placed = files(&world);
    checks.that("reset shows what would go, and removes nothing unasked", || {
        let shown = world.n1().exec(&["bootkube", "reset"]).unwrap();
        assert_eq!(shown.status.code(), Some(2), "{shown:?}");
        for path in ["bootstrap-apiserver.yaml", "bootstrap-secrets", "etcd.yaml"] {
            assert!(String::from_utf8_lossy(&shown.stdout).contains(path), "{shown:?}");
        }
        assert_eq!(files(&world), placed);
    });
    checks.that("reset removes what start has placed, and neither foreign files nor etcd's data", || {
        world.shell("echo foreign >/etc/kubernetes/manifests/.foreign");
        world.shell("bootkube reset --yes");
        world.shell("test -d /var/lib/etcd/member && rm /etc/kubernetes/manifests/.foreign");
        assert_eq!(files(&world), before);
        assert!(world.shell("bootkube reset").contains("nothing to undo"));
    });
    checks.that("a foreign file is refused by name and left alone", || {
        let path = "/etc/kubernetes/manifests/bootstrap-apiserver.yaml";
        world.n1().write(path, b"foreign", 0o600).unwrap();
        let refused = world.start();
        assert_eq!(refused.output.status.code(), Some(4));
        assert!(said(&refused.output).contains("bootstrap-apiserver.yaml"), "{:?}", refused.output);
        assert_eq!(world.n1().read(path).unwrap(), b"foreign");
        world.shell(&format!("rm {path}"));
    });
    checks.that("keys that bootkube did not place are neither overwritten nor removed", || {
        world.shell(
            "mkdir /etc/kubernetes/bootstrap-secrets && echo live >/etc/kubernetes/bootstrap-secrets/ca.key",
        );
        assert_eq!(world.start().output.status.code(), Some(4));
        world.shell("bootkube reset --yes");
        assert_eq!(world.shell("cat /etc/kubernetes/bootstrap-secrets/ca.key"), "live\n");
        world.shell("rm -r /etc/kubernetes/bootstrap-secrets");
    });
    checks.that(
        "where the journal is lost reset says what it cannot know, and takes away what shows to be ours",
        || {
            without_journal(&world, &before);
        },
    );
    checks.that(
        "static pods of an earlier run are replaced when the assets have changed, and start says so",
        || {
            let mut running = Running::start(&world, &[]);
            assert!(running.reach(&Moment::Within("apply objects".into(), Duration::ZERO)));
            running.signal(Signal::KILL);
            running.finish();
            world.shell(&format!("echo '# changed' >>{ASSETS}/bootstrap-manifests/bootstrap-scheduler.yaml"));
            let again = world.start();
            again.must_succeed();
            let said = again.stdout();
            let replaces = "replaces /etc/kubernetes/manifests/bootstrap-scheduler.yaml";
            for words in ["goes on: start of", "the assets have changed", replaces] {
                assert!(said.contains(words), "{words}: {said}");
            }
        },
    );
    checks.that("a control plane that runs itself is not undone", || {
        let refused = world.n1().exec(&["bootkube", "reset", "--yes"]).unwrap();
        assert_eq!(refused.status.code(), Some(4), "{refused:?}");
        assert!(said(&refused).contains("is complete"), "{refused:?}");
        crate::again::runs_itself(&world);
    });
    checks.finish();
}

/// A bootstrap that was cut off, and whose journal is lost.
fn without_journal(world: &World, before: &str) {
    let mut running = Running::start(world, &[]);
    assert!(running.reach(&Moment::Within("wait for the API".into(), Duration::ZERO)));
    running.signal(Signal::KILL);
    running.finish();
    world.shell(&format!("rm {JOURNAL} /etc/kubernetes/bootkube.lock")); // a killed command leaves its lock file
    let placed = files(world);
    let blind = world.shell("bootkube reset --yes");
    for words in
        ["There is no journal", "by --asset-dir", "bootstrap-apiserver.yaml is not known", "nothing to undo"]
    {
        assert!(blind.contains(words), "{words}: {blind}");
    }
    assert_eq!(files(world), placed);
    let seen = world.shell(&format!("bootkube reset --yes --asset-dir {ASSETS}"));
    assert!(seen.contains("shows by itself to be of an unfinished bootstrap"), "{seen}");
    assert_eq!(files(world), before);
}

#[test]
#[ignore = "takes an hour: make soak"]
fn start_is_cut_off_at_every_record_and_inside_every_phase() {
    let reference = Reference::make("e2e-cut-off", |world| {
        world.start().must_succeed();
        journal(world)
    });
    every(&reference.cuts(), |cut| reference.hold(cut));
}

#[test]
#[ignore = "takes a quarter of an hour: make soak"]
fn start_meets_every_fault() {
    let reference = Reference::make("e2e-faults", |world| {
        world.start().must_succeed();
        journal(world)
    });
    every(FAULTS, |fault| faults::inject(&reference, fault));
}

/// Holds all cases, even after one has failed; with `BOOTKUBE_ONLY=words` those whose description
/// contains the words.
fn every<T: std::fmt::Debug>(cases: &[T], hold: impl Fn(&T)) {
    let only = std::env::var("BOOTKUBE_ONLY").unwrap_or_default();
    let cases: Vec<&T> = cases.iter().filter(|case| format!("{case:?}").contains(&only)).collect();
    let mut failed = Vec::new();
    for (number, case) in cases.iter().copied().enumerate() {
        let begun = Instant::now();
        let holds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hold(case))).is_ok();
        let word = if holds { "holds" } else { "FAILS" };
        let seconds = begun.elapsed().as_secs();
        eprintln!("soak: {word} ({}/{}, {seconds} s): {case:?}", number + 1, cases.len());
        if !holds {
            failed.push(format!("{case:?}"));
        }
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

/// Where and how a start is cut off.
#[derive(Clone, Debug)]
pub enum Cut {
    /// The process is killed.
    Killed(Moment),
    /// It is asked to end.
    Asked(Moment),
    /// Its container is killed, and another one with the same mounts goes on.
    Container(Moment),
}

/// An undisturbed cluster, to compare with.
pub struct Reference {
    /// The name of the lab, from which addresses derive.
    lab: &'static str,
    assets: PathBuf,
    snapshot: Snapshot,
    journal: Vec<Value>,
}

impl Reference {
    /// Renders a cluster in a `lab`, runs `start`, and returns the journal of that.
    fn make(lab: &'static str, start: impl FnOnce(&World) -> Vec<Value>) -> Self {
        let world = World::up(lab, 1, |_| json!({}));
        world.render_and_join();
        let assets = lab::workspace().join("target/e2e").join(lab);
        copy(&world.n1().path(ASSETS), &assets);
        let journal = start(&world);
        let snapshot = settled(&world);
        Self { lab, assets, snapshot, journal }
    }

    /// A new machine of the same name with the same assets, and with a kubelet that has joined.
    pub fn world(&self) -> World {
        let world = World::up(self.lab, 1, |_| json!({}));
        copy(&self.assets, &world.n1().path(ASSETS));
        world.cluster.join(&world.n1()).unwrap();
        world
    }

    /// Waits until `world` equals it.
    pub fn compare(&self, world: &World) {
        eventually(90, || match Snapshot::of(world)?.difference(&self.snapshot) {
            None => Ok(()),
            Some(difference) => Err(difference),
        });
        crate::again::runs_itself(world);
    }

    fn cuts(&self) -> Vec<Cut> {
        let records = (1..=self.journal.len()).map(Moment::Record);
        let phases = self.phases();
        let within = phases.iter().map(|(phase, took)| Moment::Within(phase.clone(), *took / 2));
        let preflight = Moment::After(Duration::from_millis(60));
        let killed = records.chain(within).chain([preflight]).map(Cut::Killed);
        let asked = phases.iter().map(|(phase, took)| Cut::Asked(Moment::Within(phase.clone(), *took / 3)));
        let container = ["apply objects", "wait for the self-hosted control plane"];
        let container =
            container.map(|phase| Cut::Container(Moment::Within(phase.into(), Duration::from_millis(500))));
        killed.chain(asked).chain(container).collect()
    }

    /// Phases of the journal, and how long each took.
    fn phases(&self) -> Vec<(String, Duration)> {
        let at = |line: &Value| line["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
        let started = self.journal.iter().filter(|line| line["record"] == "phase_started");
        started
            .map(|begin| {
                let is_end =
                    |line: &&Value| line["record"] == "phase_finished" && line["phase"] == begin["phase"];
                let end = self.journal.iter().find(is_end).unwrap();
                let took = at(end).duration_since(at(begin));
                (begin["phase"].as_str().unwrap().to_owned(), took.unsigned_abs())
            })
            .collect()
    }

    fn hold(&self, cut: &Cut) {
        eprintln!("e2e: {cut:?}");
        let world = self.world();
        match cut {
            Cut::Killed(moment) => drop(cut_off(&world, moment, Signal::KILL)),
            Cut::Asked(moment) => {
                let ended = cut_off(&world, moment, Signal::TERM);
                let is_orderly = ended.status.success() || said(&ended).contains("ended by SIGTERM");
                assert!(is_orderly, "{ended:?}");
            }
            Cut::Container(moment) => {
                let mut running = Running::begin(&world, &["bash", "-c", IN_CONTAINER]);
                running.reach(moment);
                world.shell("ctr -n k8s.io task kill -s SIGKILL bootkube || true");
                running.finish();
                world.shell(&format!("ctr -n k8s.io container rm bootkube || true; {IN_CONTAINER}"));
            }
        }
        let again = world.start();
        again.must_succeed();
        record("start-cut-off", &json!({"cut": format!("{cut:?}"), "again": again.took.as_secs_f64()}));
        self.compare(&world);
    }
}

/// `start` in a container that can write only to /etc/kubernetes.
const IN_CONTAINER: &str = "ctr -n k8s.io run --rm --net-host --read-only \
    --mount type=bind,src=/opt/bootkube/assets,dst=/assets,options=rbind:ro \
    --mount type=bind,src=/etc/kubernetes,dst=/etc/kubernetes,options=rbind:rw \
    quay.io/bootkube/bootkube:lab bootkube /bootkube start --asset-dir=/assets";

fn cut_off(world: &World, moment: &Moment, signal: Signal) -> Output {
    let mut running = Running::start(world, &[]);
    running.reach(moment);
    running.signal(signal);
    running.finish()
}

fn ten_starts(world: &World) {
    let running: Vec<Running> = (0..10).map(|_| Running::start(world, &[])).collect();
    let ended: Vec<Output> = running.into_iter().map(Running::finish).collect();
    let (won, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|output| output.status.success());
    assert_eq!((won.len(), refused.len()), (1, 9), "{ended:#?}");
    for output in refused {
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let said = said(output);
        for named in ["in use by bootkube start", " on n1, boot ", ", since 20"] {
            assert!(said.contains(named), "{named}: {said}");
        }
    }
}

fn two_starts(world: &World) {
    settled(world); // what another controller changes meanwhile counts as changed
    let running = [0, 1].map(|_| Running::start(world, &["--wait-lock=2m"]));
    for output in running.map(Running::finish) {
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("nothing had to be changed"), "{said}");
    }
}

/// Waits until the cluster has stopped changing.
fn settled(world: &World) -> Snapshot {
    let mut last = Snapshot::of(world).unwrap();
    eventually(120, || {
        std::thread::sleep(Duration::from_secs(5)); // the controller manager makes accounts at 20 a second
        let now = Snapshot::of(world)?;
        let difference = last.difference(&now);
        last = now;
        match difference {
            None if last.is_ready() => Ok(()),
            None => Err("a pod is not Ready".into()),
            Some(difference) => Err(difference),
        }
    });
    last
}

fn journal(world: &World) -> Vec<Value> {
    let text = String::from_utf8(world.n1().read(JOURNAL).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn files(world: &World) -> String {
    world.shell("find /etc/kubernetes ! -name 'bootkube-journal.jsonl' -printf '%p %y %m\\n' | sort")
}

/// On standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::remove_dir_all(to).ok();
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let copied = Command::new("cp").arg("--archive").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// The number of the day, or `BOOTKUBE_SEED`.
pub fn seed() -> u64 {
    let today = || u64::try_from(Timestamp::now().as_second() / 86_400).unwrap();
    let seed = std::env::var("BOOTKUBE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(today);
    eprintln!("e2e: BOOTKUBE_SEED={seed}");
    seed
}

/// Chooses `count` of them by a seed. Consecutive seeds choose others, and in time all of them.
pub fn sample<T>(cases: &[T], seed: u64, count: usize) -> impl Iterator<Item = &T> {
    let all = cases.len();
    let first = usize::try_from(seed).unwrap_or_default().wrapping_mul(count) % all;
    // A stride that has no factor in common with their number reaches all of them.
    let stride = (all / 3 + 1..).find(|stride| gcd(*stride, all) == 1).unwrap_or(1);
    (0..count).map(move |index| &cases[(first + index) * stride % all])
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
