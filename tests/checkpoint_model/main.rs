//! The state machine of the checkpointer on a simulated machine, on which everything fails that can: observations, power, edits,
//! the disk. What it may and must do is checked against what is true, not against what it saw.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod history;

use std::collections::BTreeMap;
use std::time::Duration;

use bootkube::checkpoint::decide::{Act, Action, State, Timing, decide};
use bootkube::checkpoint::observed::{Api, Disk, Kubelet, Observation, Observed, Offer, Parent};
use bootkube::checkpoint::{Id, Revision, Role};
use history::{Event, Quality, ROLES, SOURCES, Source, event};
use proptest::prelude::*;

/// Kubelet hears of a pod this long after the API can be reached.
const KUBELET_LAG: u64 = 3;

/// What is true of one workload.
struct Pod {
    role: Role,
    wanted: bool,
    /// Seconds for which the API has left it out without a break.
    absent: u64,
    /// The API leaves the pod out until then.
    missed_until: u64,
    /// Counts templates.
    template: u32,
    quality: Quality,
    /// Kubelet has the pod since then.
    listed_since: Option<u64>,
    /// Since when kubelet tries to run it.
    started: u64,
    disk: Disk,
    /// Seconds for which it was known to lack pod and copy.
    lacking: u64,
    /// Seconds for which the API has said that it has gone from here, silence not counted.
    sent_away: u64,
}

impl Pod {
    fn truth(&self, now: u64) -> Parent {
        if self.listed_since.is_none() || now < self.started {
            return Parent::Stopped;
        }
        let age = now - self.started;
        match self.quality {
            Quality::Good if age >= 4 => Parent::Healthy,
            Quality::Crashing if age % 10 >= 2 => Parent::Stopped,
            Quality::Flapping if age % 60 >= 50 => Parent::Stopped,
            Quality::Flapping if age % 60 >= 10 => Parent::Healthy,
            _ => Parent::Unhealthy,
        }
    }

    fn revision(&self) -> Revision {
        Revision(format!("{} {:?}", self.template, self.quality))
    }

    fn is_empty(&self) -> bool {
        self.disk == Disk::default()
    }
}

struct World {
    now: u64,
    pods: BTreeMap<Id, Pod>,
    state: State,
    api: bool,
    runtime: bool,
    kubelet: bool,
    disk_reads: bool,
    actions_work: bool,
    /// Of each source: how many of a hundred answers are errors, and until when.
    flaky: [(u64, u64); SOURCES.len()],
    timing: Timing,
}

impl World {
    fn new() -> Self {
        let pod = |role| Pod {
            role,
            wanted: true,
            absent: 0,
            missed_until: 0,
            template: 0,
            quality: Quality::Good,
            listed_since: None,
            started: 0,
            disk: Disk::default(),
            lacking: 0,
            sent_away: 0,
        };
        let pods = ROLES.map(|(name, role)| (Id::new("kube-system", name), pod(role))).into();
        let flags = true;
        Self {
            now: 0,
            pods,
            state: State::default(),
            api: flags,
            runtime: flags,
            kubelet: flags,
            disk_reads: flags,
            actions_work: flags,
            flaky: Default::default(),
            timing: Timing::default(),
        }
    }

    fn pod(&mut self, which: usize) -> &mut Pod {
        self.pods.get_mut(&Id::new("kube-system", ROLES[which].0)).unwrap()
    }

    /// The agent starts anew, and has seen nothing yet.
    fn restart(&mut self) {
        self.state = State::default();
        self.pods.values_mut().for_each(|pod| (pod.lacking, pod.sent_away) = (0, 0));
    }

    /// Whether a source answers in this second.
    fn answers(&self, source: Source) -> bool {
        let works = match source {
            Source::Api => self.api,
            Source::Runtime => self.runtime,
            Source::Kubelet => self.kubelet,
            Source::Disk => self.disk_reads,
        };
        let (percent, until) = self.flaky[source as usize];
        // Any function of the second that jumps about will do.
        let chance =
            (self.now + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17 * source as u32 + 7) % 100;
        works && (self.now >= until || chance >= percent)
    }

    fn happen(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::PowerCut => {
                self.restart();
                self.pods.values_mut().for_each(|pod| pod.listed_since = None);
            }
            Event::AgentRestart => self.restart(),
            Event::Api(up) => self.api = up,
            Event::Runtime(answers) => self.runtime = answers,
            Event::KubeletAnswers(answers) => self.kubelet = answers,
            Event::DiskReads(works) => self.disk_reads = works,
            Event::ActionsWork(work) => self.actions_work = work,
            Event::Flaky(source, percent, seconds) => self.flaky[source as usize] = (percent, now + seconds),
            Event::Misses(which, seconds) => {
                let pod = self.pod(which);
                // Two misses in a row could not be distinguished from an absence.
                if pod.wanted && now > pod.missed_until + 2 {
                    pod.missed_until = now + seconds;
                }
            }
            Event::Edit(which, quality) if self.api => {
                let pod = self.pod(which);
                pod.template += 1;
                pod.quality = quality;
                pod.started = now + 2;
            }
            Event::Edit(..) => {}
            Event::Crash(which) => self.pod(which).started = now + 2,
            Event::Wanted(which, wanted) if self.api => {
                let pod = self.pod(which);
                pod.wanted = wanted;
                if wanted {
                    pod.missed_until = now;
                }
            }
            Event::Wanted(..) => {}
        }
    }

    /// Kubelet receives what the API wants.
    fn kubelet_listens(&mut self) {
        let (now, api) = (self.now, self.api);
        for pod in self.pods.values_mut().filter(|_| api) {
            match (pod.wanted, pod.listed_since) {
                (true, None) => {
                    pod.listed_since = Some(now);
                    pod.started = now + KUBELET_LAG;
                }
                (false, Some(_)) => pod.listed_since = None,
                _ => {}
            }
        }
    }

    fn observe(&self) -> Observation {
        self.pods.iter().map(|(id, pod)| (id.clone(), self.observe_one(pod))).collect()
    }

    fn observe_one(&self, pod: &Pod) -> Observed {
        let api = match (self.answers(Source::Api), pod.wanted && self.now >= pod.missed_until) {
            (false, _) => Api::Unknown,
            (true, true) => Api::Here,
            // It may say either of one that has gone.
            (true, false) if pod.template % 2 == 1 => Api::Elsewhere,
            (true, false) => Api::Gone,
        };
        let parent = if self.answers(Source::Runtime) { pod.truth(self.now) } else { Parent::Unknown };
        let kubelet = match (self.answers(Source::Kubelet), pod.listed_since) {
            (false, _) => Kubelet::Unknown,
            (true, Some(_)) => Kubelet::Lists,
            (true, None) => Kubelet::Lacks,
        };
        let offered = api == Api::Here && parent == Parent::Healthy;
        let offer = offered.then(|| Offer { uid: pod.template.to_string(), revision: pod.revision() });
        let disk = self.answers(Source::Disk).then(|| pod.disk.clone());
        Observed { role: pod.role, api, parent, kubelet, disk, offer }
    }

    /// One second passes. An error says what was violated.
    fn step(&mut self) -> Result<(), TestCaseError> {
        self.kubelet_listens();
        let observation = self.observe();
        for (id, pod) in &mut self.pods {
            let word = observation[id].api;
            pod.absent = if word.is_unwanted() { pod.absent + 1 } else { 0 };
            pod.sent_away = match word {
                Api::Unknown => pod.sent_away,
                _ if word.is_unwanted() => pod.sent_away + 1,
                _ => 0,
            };
        }
        let now = Duration::from_secs(self.now);
        let (state, actions) = decide(std::mem::take(&mut self.state), &observation, now, &self.timing);
        self.state = state;
        for action in &actions {
            self.check(action)?;
        }
        self.check_exclusion(&observation, &actions)?;
        for action in actions.iter().filter(|_| self.actions_work) {
            perform(&mut self.pods.get_mut(&action.id).unwrap().disk, &action.act);
        }
        self.check_presence(&observation)?;
        self.now += 1;
        Ok(())
    }

    fn has_been_unwanted(&self, pod: &Pod) -> bool {
        !pod.wanted && pod.absent > self.timing.grace.as_secs()
    }

    fn own(&self) -> &Pod {
        self.pods.values().find(|pod| pod.role == Role::Own).unwrap()
    }

    /// Whether an action is right, given what is true.
    fn check(&self, action: &Action) -> Result<(), TestCaseError> {
        let pod = &self.pods[&action.id];
        let truth = pod.truth(self.now);
        let retiring = self.has_been_unwanted(self.own());
        match &action.act {
            Act::Activate if pod.role == Role::Own => prop_assert!(pod.disk.kept.is_some()),
            Act::Activate => {
                prop_assert!(truth != Parent::Healthy, "wrong start: {action:?}");
                prop_assert!(pod.disk.kept.is_some() && pod.disk.active.is_none(), "{action:?}");
                let alone = truth == Parent::Stopped && pod.listed_since.is_none();
                prop_assert!(pod.role != Role::Exclusive || alone, "two writers: {action:?}");
                let elsewhere = pod.sent_away > self.timing.start.as_secs();
                prop_assert!(
                    pod.role != Role::Exclusive || !elsewhere,
                    "two writers, on two machines: {action:?}"
                );
            }
            Act::Deactivate => {
                prop_assert!(pod.role != Role::Own, "the own copy became inactive");
                let safe = pod.role == Role::Exclusive || truth == Parent::Healthy;
                prop_assert!(safe, "wrong stop: {action:?} while {truth:?}");
            }
            Act::Remove => {
                prop_assert!(self.has_been_unwanted(pod) || retiring, "wrong removal: {action:?}");
                let others = self.pods.values().filter(|pod| pod.role != Role::Own);
                let last = others.clone().all(Pod::is_empty);
                prop_assert!(pod.role != Role::Own || last, "the own copy went before another");
            }
            Act::Save(offer) => {
                let tried = pod.disk.kept.is_none() || pod.quality == Quality::Good;
                prop_assert!(tried, "{action:?} over {:?}", pod.disk.kept);
                prop_assert_eq!(&offer.revision, &pod.revision());
            }
        }
        Ok(())
    }

    /// An exclusive pod's copy goes at the first word that the pod is there.
    fn check_exclusion(&self, observation: &Observation, actions: &[Action]) -> Result<(), TestCaseError> {
        for (id, seen) in observation.iter().filter(|(_, seen)| seen.role == Role::Exclusive) {
            let active = seen.disk.as_ref().is_some_and(|disk| disk.active.is_some());
            let runs = matches!(seen.parent, Parent::Healthy | Parent::Unhealthy);
            let told = runs || seen.kubelet == Kubelet::Lists || seen.api == Api::Here;
            let ends =
                |action: &Action| action.id == *id && matches!(action.act, Act::Deactivate | Act::Remove);
            prop_assert!(!(active && told) || actions.iter().any(ends), "two writers go on: {id}");
        }
        Ok(())
    }

    /// A wanted pod has a healthy self or an active copy, but for as long as the timing says. Seconds count in which the machine
    /// could see and act.
    fn check_presence(&mut self, observation: &Observation) -> Result<(), TestCaseError> {
        let sighted = self.answers(Source::Runtime) && self.answers(Source::Disk) && self.actions_work;
        let retiring = !self.own().wanted;
        let patience = self.timing.unhealthy.max(self.timing.kubelet).as_secs() + 2;
        let now = self.now;
        for (id, pod) in &mut self.pods {
            let served = pod.truth(now) == Parent::Healthy || pod.disk.active.is_some();
            let exempt = pod.disk.kept.is_none() || !pod.wanted || retiring || pod.role == Role::Own;
            // Where the API has the pod, kubelet runs it or nobody does.
            let asks = self.api || observation[id].kubelet == Kubelet::Unknown || pod.listed_since.is_some();
            let exclusive = pod.role == Role::Exclusive && (asks || pod.sent_away > 0);
            if served || exempt || exclusive {
                pod.lacking = 0;
            } else if sighted && !observation[id].api.is_unwanted() {
                pod.lacking += 1;
            }
            prop_assert!(pod.lacking <= patience, "{id} has neither pod nor copy for {} s", pod.lacking);
        }
        Ok(())
    }

    /// Everything works again, for long enough.
    fn calm(&mut self, wanted: bool) -> Result<(), TestCaseError> {
        (self.api, self.runtime, self.kubelet) = (true, true, true);
        (self.disk_reads, self.actions_work) = (true, true);
        self.flaky = Default::default();
        for (which, (_, role)) in ROLES.iter().enumerate() {
            self.happen(&Event::Wanted(which, wanted || *role != Role::Own));
            self.happen(&Event::Edit(which, Quality::Good));
        }
        for _ in 0..300 {
            self.step()?;
        }
        Ok(())
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_makes_it_start_stop_remove_or_keep_the_wrong_thing(
        history in prop::collection::vec((0..40u64, event()), 1..120),
        stays in any::<bool>(),
    ) {
        let mut world = World::new();
        for (seconds, event) in &history {
            for _ in 0..*seconds {
                world.step()?;
            }
            world.happen(event);
        }
        world.calm(stays)?;
        for (id, pod) in &world.pods {
            let expected = match (stays, pod.role) {
                (false, _) => Disk::default(),
                (true, Role::Own) => Disk { kept: Some(pod.revision()), active: Some(pod.revision()) },
                (true, _) => Disk { kept: Some(pod.revision()), active: None },
            };
            prop_assert_eq!(&pod.disk, &expected, "{} in the end", id);
        }
    }
}
