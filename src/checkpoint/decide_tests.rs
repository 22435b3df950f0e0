//! The tables of v0.14, and what differs from them on purpose.

use std::time::Duration;

use super::decide::{Act, Action, State, Timing, Why, decide};
use super::observed::{Api, Disk, Kubelet, Observation, Observed, Offer, Parent};
use super::{Id, Revision, Role};

pub(super) fn revision(text: &str) -> Option<Revision> {
    Some(Revision(text.to_owned()))
}

fn offer(uid: &str, revision: &str) -> Option<Offer> {
    Some(Offer { uid: uid.to_owned(), revision: Revision(revision.to_owned()) })
}

fn id(name: &str) -> Id {
    Id::new("kube-system", name)
}

/// Nothing is on disk.
const NOTHING: [&str; 2] = ["", ""];
/// A copy is kept.
pub(super) const KEPT: [&str; 2] = ["good", ""];
/// A copy is kept and active.
pub(super) const ACTIVE: [&str; 2] = ["good", "good"];

pub(super) fn seen(role: Role, disk: [&str; 2], api: Api, parent: Parent) -> Observed {
    let [kept, active] = disk.map(|text| revision(text).filter(|_| !text.is_empty()));
    Observed { role, api, parent, kubelet: Kubelet::Lacks, disk: Some(Disk { kept, active }), offer: None }
}

/// A machine whose agent does at once what is decided.
#[derive(Default)]
pub(super) struct Machine {
    state: State,
    now: u64,
    world: Observation,
}

impl Machine {
    pub(super) fn with(workloads: impl IntoIterator<Item = (&'static str, Observed)>) -> Self {
        let world = workloads.into_iter().map(|(name, observed)| (id(name), observed)).collect();
        Self { world, ..Self::default() }
    }

    pub(super) fn of(&mut self, name: &str) -> &mut Observed {
        self.world.get_mut(&id(name)).expect("a workload of the test")
    }

    /// One second passes; nothing is done about what is decided.
    fn decide(&mut self) -> Vec<Action> {
        let state = std::mem::take(&mut self.state);
        let now = Duration::from_secs(self.now);
        let (state, actions) = decide(state, &self.world, now, &Timing::default());
        self.state = state;
        self.now += 1;
        actions
    }

    /// `seconds` pass; everything is done. Returns when what was done.
    pub(super) fn run(&mut self, seconds: u64) -> Vec<(u64, String, Act)> {
        let mut log = Vec::new();
        for _ in 0..seconds {
            let now = self.now;
            for action in self.decide() {
                if let Some(disk) = &mut self.world.get_mut(&action.id).unwrap().disk {
                    perform(disk, &action.act);
                }
                log.push((now, action.id.name, action.act));
            }
        }
        log
    }
}

fn perform(disk: &mut Disk, act: &Act) {
    match act {
        Act::Save(offer) => disk.kept = Some(offer.revision.clone()),
        Act::Activate => disk.active.clone_from(&disk.kept),
        Act::Deactivate => disk.active = None,
        Act::Remove => *disk = Disk::default(),
    }
}

/// The first thing done while everything stays as it is, and when.
fn first(observed: Observed) -> Option<(u64, Act)> {
    let mut machine = Machine::with([("one", observed)]);
    machine.run(200).into_iter().next().map(|(at, _, act)| (at, act))
}

#[test]
fn copies_of_the_control_plane_follow_the_tables_of_v0_14_where_these_were_right() {
    use Api::{Elsewhere, Gone, Here, Unknown, Wanted};
    let (start, stop, remove) = (Act::Activate, Act::Deactivate, Act::Remove);
    let table = [
        // Nothing is kept: there is nothing to start, whatever is so.
        (NOTHING, Unknown, Parent::Stopped, None),
        (NOTHING, Here, Parent::Healthy, None),
        (NOTHING, Gone, Parent::Stopped, None),
        // inactive, API down
        (KEPT, Unknown, Parent::Healthy, None),
        (KEPT, Unknown, Parent::Stopped, Some((0, &start))),
        (KEPT, Unknown, Parent::Unhealthy, Some((30, &start))),
        // inactive, API up: kubelet starts the pod itself, if it can
        (KEPT, Here, Parent::Healthy, None),
        (KEPT, Here, Parent::Stopped, Some((10, &start))),
        (KEPT, Here, Parent::Unhealthy, Some((30, &start))),
        (KEPT, Wanted, Parent::Stopped, Some((10, &start))),
        // inactive-grace
        (KEPT, Gone, Parent::Stopped, Some((60, &remove))),
        (KEPT, Gone, Parent::Healthy, Some((60, &remove))),
        (KEPT, Elsewhere, Parent::Stopped, Some((60, &remove))),
        // active
        (ACTIVE, Unknown, Parent::Stopped, None),
        (ACTIVE, Unknown, Parent::Healthy, Some((5, &stop))),
        (ACTIVE, Here, Parent::Stopped, None),
        (ACTIVE, Here, Parent::Unhealthy, None),
        (ACTIVE, Here, Parent::Healthy, Some((5, &stop))),
        (ACTIVE, Wanted, Parent::Stopped, None),
        // active-grace
        (ACTIVE, Gone, Parent::Stopped, Some((60, &remove))),
        (ACTIVE, Gone, Parent::Healthy, Some((5, &stop))),
        (ACTIVE, Elsewhere, Parent::Stopped, Some((60, &remove))),
    ];
    for role in [Role::Leader, Role::Apiserver] {
        for (disk, api, parent, expected) in &table {
            let done = first(seen(role, *disk, *api, *parent));
            // Not v0.14's: without an apiserver there is no leader.
            let waits = (role, *api, *parent) == (Role::Leader, Unknown, Parent::Stopped);
            let at = |at| if waits { 10 } else { at };
            assert_eq!(
                done,
                expected.map(|(soonest, act)| (at(soonest), act.clone())),
                "{role:?} {disk:?} {api:?} {parent:?}"
            );
        }
    }
}

#[test]
fn the_copy_of_an_exclusive_pod_runs_only_where_neither_api_nor_kubelet_runs_the_pod() {
    use Api::{Elsewhere, Gone, Here, Unknown, Wanted};
    let (start, stop, remove) = (Act::Activate, Act::Deactivate, Act::Remove);
    let table = [
        (KEPT, Unknown, Parent::Stopped, Kubelet::Lacks, Some((3, &start))),
        (KEPT, Unknown, Parent::Stopped, Kubelet::Lists, None),
        (KEPT, Unknown, Parent::Stopped, Kubelet::Unknown, None),
        (KEPT, Unknown, Parent::Unhealthy, Kubelet::Lacks, None),
        (KEPT, Unknown, Parent::Unknown, Kubelet::Lacks, None),
        (KEPT, Here, Parent::Stopped, Kubelet::Lacks, None),
        (KEPT, Wanted, Parent::Stopped, Kubelet::Lacks, None),
        (ACTIVE, Unknown, Parent::Stopped, Kubelet::Lacks, None),
        (ACTIVE, Unknown, Parent::Unknown, Kubelet::Unknown, None),
        (ACTIVE, Unknown, Parent::Stopped, Kubelet::Lists, Some((0, &stop))),
        (ACTIVE, Unknown, Parent::Unhealthy, Kubelet::Lacks, Some((0, &stop))),
        (ACTIVE, Here, Parent::Unknown, Kubelet::Unknown, Some((0, &stop))),
        (ACTIVE, Elsewhere, Parent::Stopped, Kubelet::Lacks, Some((0, &stop))),
        (ACTIVE, Gone, Parent::Stopped, Kubelet::Lacks, Some((60, &remove))),
    ];
    for (disk, api, parent, kubelet, expected) in table {
        let observed = Observed { kubelet, ..seen(Role::Exclusive, disk, api, parent) };
        let expected = expected.map(|(at, act)| (at, act.clone()));
        assert_eq!(first(observed), expected, "{disk:?} {api:?} {parent:?} {kubelet:?}");
    }
}

#[test]
fn a_container_that_the_runtime_starts_again_needs_no_copy() {
    let mut machine = Machine::with([("one", seen(Role::Apiserver, KEPT, Api::Here, Parent::Healthy))]);
    machine.run(5);
    *machine.of("one") = seen(Role::Apiserver, KEPT, Api::Unknown, Parent::Stopped);
    assert_eq!(machine.run(3), []);
    machine.of("one").parent = Parent::Healthy;
    assert_eq!(machine.run(30), []);
    machine.of("one").parent = Parent::Stopped;
    let [(at, _, Act::Activate)] = machine.run(9)[..] else { panic!("it stays away") };
    assert_eq!(at, 38 + 3);
}

#[test]
fn unknown_stops_every_clock_and_moves_nothing() {
    let unknown =
        Observed { kubelet: Kubelet::Unknown, ..seen(Role::Leader, KEPT, Api::Unknown, Parent::Unknown) };
    for role in [Role::Own, Role::Apiserver, Role::Leader, Role::Exclusive] {
        for disk in [NOTHING, KEPT, ACTIVE] {
            let done = first(Observed { role, ..seen(role, disk, unknown.api, unknown.parent) });
            let own = (role == Role::Own && disk == KEPT).then_some((0, Act::Activate));
            assert_eq!(done, own, "{role:?} {disk:?}");
        }
    }
    // Removal needs the same answer of the API every second; a second of silence restarts its
    // clock.
    let mut machine = Machine::with([("one", seen(Role::Leader, KEPT, Api::Gone, Parent::Healthy))]);
    assert_eq!(machine.run(60), []);
    machine.of("one").api = Api::Unknown;
    assert_eq!(machine.run(1), []);
    machine.of("one").api = Api::Gone;
    assert_eq!(machine.run(200), [(61 + 60, "one".to_owned(), Act::Remove)]);
    // Eight seconds without the pod, a runtime that is silent, two more.
    let mut machine = Machine::with([("one", seen(Role::Leader, KEPT, Api::Here, Parent::Stopped))]);
    assert_eq!(machine.run(9), []);
    machine.of("one").parent = Parent::Unknown;
    assert_eq!(machine.run(500), []);
    machine.of("one").parent = Parent::Stopped;
    assert_eq!(machine.run(20), [(9 + 500 + 1, "one".to_owned(), Act::Activate)]);
}

#[test]
fn an_unreadable_disk_moves_nothing() {
    for role in [Role::Own, Role::Apiserver, Role::Leader, Role::Exclusive] {
        let observed =
            Observed { disk: None, offer: offer("a", "x"), ..seen(role, KEPT, Api::Gone, Parent::Stopped) };
        assert_eq!(first(observed), None, "{role:?}");
    }
}

#[test]
fn an_agent_that_was_stopped_has_seen_nothing_meanwhile() {
    let mut machine = Machine::with([("one", seen(Role::Leader, KEPT, Api::Gone, Parent::Healthy))]);
    machine.decide();
    machine.now += 3600;
    assert_eq!(machine.decide(), []);
}

#[test]
fn the_first_copy_is_saved_at_once_and_a_later_one_when_its_pod_has_proven_itself() {
    let observed =
        Observed { offer: offer("a", "one"), ..seen(Role::Leader, NOTHING, Api::Here, Parent::Healthy) };
    let mut machine = Machine::with([("one", observed)]);
    let save = |at, uid, text| (at, "one".to_owned(), Act::Save(offer(uid, text).unwrap()));
    assert_eq!(machine.run(10), [save(0, "a", "one")]);
    machine.of("one").offer = offer("b", "two");
    assert_eq!(machine.run(100), [save(70, "b", "two")]);
    // The same again under another name is nothing new.
    machine.of("one").offer = offer("c", "two");
    assert_eq!(machine.run(100), []);
}

#[test]
fn a_pod_that_is_healthy_now_and_then_never_becomes_the_copy_to_use() {
    let observed =
        Observed { offer: offer("a", "flaps"), ..seen(Role::Leader, KEPT, Api::Here, Parent::Healthy) };
    let mut machine = Machine::with([("one", observed)]);
    for _ in 0..20 {
        machine.of("one").offer = offer("a", "flaps");
        machine.of("one").parent = Parent::Healthy;
        assert_eq!(machine.run(50), []);
        machine.of("one").offer = None;
        machine.of("one").parent = Parent::Unhealthy;
        assert_eq!(machine.run(3), []);
    }
}

#[test]
fn the_good_copy_serves_while_an_edit_is_broken_and_goes_when_it_is_undone() {
    let mut machine = Machine::with([("one", seen(Role::Apiserver, KEPT, Api::Unknown, Parent::Stopped))]);
    assert_eq!(machine.run(2), [(0, "one".to_owned(), Act::Activate)]);
    // It crashes again and again; the API that says so is the copy.
    for _ in 0..30 {
        *machine.of("one") = seen(Role::Apiserver, ACTIVE, Api::Here, Parent::Unhealthy);
        assert_eq!(machine.run(4), []);
        machine.of("one").parent = Parent::Stopped;
        assert_eq!(machine.run(20), []);
    }
    *machine.of("one") = seen(Role::Apiserver, ACTIVE, Api::Here, Parent::Healthy);
    machine.of("one").offer = offer("undone", "good");
    assert!(matches!(machine.run(200)[..], [(_, _, Act::Deactivate)]));
}

#[test]
fn leaders_go_before_the_apiserver_but_a_broken_one_holds_it_up_for_a_while_only() {
    let copies = |parent| {
        [
            ("kube-apiserver", seen(Role::Apiserver, ACTIVE, Api::Here, Parent::Healthy)),
            ("kube-controller-manager", seen(Role::Leader, ACTIVE, Api::Here, parent)),
            ("kube-scheduler", seen(Role::Leader, ACTIVE, Api::Here, Parent::Healthy)),
        ]
    };
    let done: Vec<String> =
        Machine::with(copies(Parent::Healthy)).run(100).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(done, ["kube-controller-manager", "kube-scheduler", "kube-apiserver"].map(String::from));
    let done = Machine::with(copies(Parent::Unhealthy)).run(100);
    let done: Vec<(u64, &str)> = done.iter().map(|(at, id, _)| (*at, id.as_str())).collect();
    assert_eq!(done, [(5, "kube-scheduler"), (65, "kube-apiserver")]);
}

#[test]
fn after_a_boot_the_apiserver_is_started_at_once_and_leaders_later() {
    let stopped = |role| seen(role, KEPT, Api::Unknown, Parent::Stopped);
    let mut machine = Machine::with([
        ("kube-scheduler", stopped(Role::Leader)),
        ("kube-apiserver", stopped(Role::Apiserver)),
        ("pod-checkpointer", seen(Role::Own, ACTIVE, Api::Unknown, Parent::Stopped)),
    ]);
    let started: Vec<_> = machine.run(20).into_iter().map(|(at, name, _)| (at, name)).collect();
    let expected = [(0, "kube-apiserver"), (10, "kube-scheduler")].map(|(at, name)| (at, name.to_owned()));
    assert_eq!(started, expected);
}

#[test]
fn the_own_copy_is_active_as_soon_as_it_is_kept_and_follows_a_newer_one() {
    let observed =
        Observed { offer: offer("a", "one"), ..seen(Role::Own, NOTHING, Api::Here, Parent::Healthy) };
    let mut machine = Machine::with([("own", observed)]);
    machine.run(5);
    machine.of("own").offer = offer("b", "two");
    machine.run(100);
    assert_eq!(machine.of("own").disk, Some(Disk { kept: revision("two"), active: revision("two") }));
}

#[test]
fn everything_goes_when_the_agent_is_unwanted_its_own_copy_last_and_nothing_comes_back() {
    let offered =
        |role, disk| Observed { offer: offer("a", "good"), ..seen(role, disk, Api::Here, Parent::Healthy) };
    let mut machine = Machine::with([
        ("a-own", seen(Role::Own, ACTIVE, Api::Gone, Parent::Healthy)),
        ("kube-apiserver", offered(Role::Apiserver, KEPT)),
        ("nginx", offered(Role::Exclusive, KEPT)),
    ]);
    let done = machine.run(500);
    let removed: Vec<(u64, &str, &Act)> = done.iter().map(|(at, id, act)| (*at, id.as_str(), act)).collect();
    let remove = &Act::Remove;
    assert_eq!(removed, [(60, "nginx", remove), (60, "kube-apiserver", remove), (61, "a-own", remove)]);
}

#[test]
fn the_last_apiserver_does_not_go_because_the_agent_is_unwanted() {
    let mut machine = Machine::with([
        ("own", seen(Role::Own, ACTIVE, Api::Gone, Parent::Healthy)),
        ("kube-apiserver", seen(Role::Apiserver, ACTIVE, Api::Here, Parent::Unhealthy)),
    ]);
    assert_eq!(machine.run(500), []);
    machine.of("kube-apiserver").parent = Parent::Healthy;
    let done: Vec<String> = machine.run(20).into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(done, ["kube-apiserver", "own"].map(String::from));
}

#[test]
fn every_reason_is_a_sentence_of_its_own() {
    let all = [
        Why::First,
        Why::Proven,
        Why::Own,
        Why::Stopped,
        Why::Unhealthy,
        Why::PodHealthy,
        Why::KubeletsTurn,
        Why::Unwanted,
        Why::Retiring,
    ];
    let texts: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len());
}

#[test]
fn an_exclusive_pod_that_the_api_has_sent_away_is_not_started_in_its_silence() {
    let database = || seen(Role::Exclusive, KEPT, Api::Here, Parent::Healthy);
    for word in [Api::Elsewhere, Api::Gone] {
        let mut machine = Machine::with([("database", database())]);
        machine.run(5);
        *machine.of("database") = seen(Role::Exclusive, KEPT, word, Parent::Stopped);
        machine.run(6);
        machine.of("database").api = Api::Unknown;
        assert_eq!(machine.run(300), [], "after {word:?}: another machine may have it");
        machine.of("database").api = Api::Wanted;
        machine.run(2);
        machine.of("database").api = Api::Unknown;
        assert_eq!(machine.run(5).len(), 1, "it is this machine's again");
    }
}
