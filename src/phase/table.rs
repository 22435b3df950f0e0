//! The list of phases: name, command, when each runs and what it does.
//!
//! The dry run, `--phase-timeout` with its help, events, reports and the journal take names and
//! order from here. The commands themselves call the phases one by one (`start::pivot` and
//! `start::take_over`, `unpivot`), in the same order. Names are part of the interface: users write
//! them after `--phase-timeout`, programs read them in events.

use std::fmt;
use std::time::Duration;

/// A phase. Declared in the order in which phases run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// `start` looks at the machine, and changes nothing.
    Preflight,
    /// `start` removes what assets of an earlier run had placed.
    RemoveOrphans,
    /// `start` places the static pod that stays.
    PlaceEtcd,
    /// `start` places the bootstrap apiserver.
    PlaceApiserver,
    /// `start` waits for an apiserver.
    WaitForApi,
    /// `start` places the bootstrap controller manager and scheduler.
    PlaceOthers,
    /// `start` corrects what the API still says of the time before it was away.
    ClearStaleStatus,
    /// `start` applies the manifests.
    ApplyObjects,
    /// `start` waits for the pods that replace the bootstrap ones.
    WaitForControlPlane,
    /// `start` removes the bootstrap pods.
    HandOver,
    /// `start` undoes a hand-over that failed.
    PutApiserverBack,
    /// `start` verifies the result.
    Verify,
    /// `start` applies what can refuse or delay every other object.
    ApplyAdmission,
    /// `start` undoes what it did.
    TearDown,
    /// `unpivot` looks at the control plane.
    LookAtControlPlane,
    /// `unpivot` has the agent step down.
    TakeAgentsPlace,
    /// `unpivot` places the apiserver.
    PlaceStaticApiserver,
    /// `unpivot` places the controller manager and the scheduler.
    PlaceStaticLeaders,
    /// `unpivot` removes the agent.
    RemoveAgent,
    /// `unpivot` removes the self-hosted workloads.
    HandOverToStatic,
    /// `unpivot` verifies the result.
    VerifyStatic,
}

/// A command that works in phases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `bootkube start`
    Start,
    /// `bootkube unpivot`
    Unpivot,
}

/// When a phase runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// The journal has bootstrap pods that the assets do not have.
    Orphans,
    /// The assets have static pods that stay.
    StaticEtcd,
    /// The control plane of this machine is not self-hosted yet.
    Pivot,
    /// The assets have webhooks, admission policies or APIServices.
    Admission,
    /// Another phase failed.
    Failure,
}

/// What decides which phases of `start` run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// Whether a self-hosted apiserver serves this machine: then no bootstrap pod is placed.
    pub is_past_pivot: bool,
    /// Whether it does so although the Node of this machine is not registered.
    pub lacks_node: bool,
    /// Whether the journal has bootstrap pods that the assets do not have.
    pub has_orphans: bool,
    /// Whether the assets have static pods that stay.
    pub has_static_etcd: bool,
    /// Whether the assets have webhooks, admission policies or APIServices.
    pub has_admission: bool,
}

impl Situation {
    /// Whether `start` restarts kubelet where it may: one that waits for the API, and one that runs
    /// without its Node, which it registers only when it starts.
    pub fn restarts_kubelet(self) -> bool {
        !self.is_past_pivot || self.lacks_node
    }
}

struct Row {
    phase: Phase,
    command: Command,
    name: &'static str,
    when: When,
    does: &'static str,
}

const fn row(phase: Phase, command: Command, when: When, name: &'static str, does: &'static str) -> Row {
    Row { phase, command, name, when, does }
}

use Command::{Start, Unpivot};

#[rustfmt::skip] // a table
const TABLE: [Row; 21] = [
    row(Phase::Preflight, Start, When::Always, "preflight",
        "looks whether this machine is ready"),
    row(Phase::RemoveOrphans, Start, When::Orphans, "remove bootstrap pods of earlier assets",
        "removes static pods that an earlier run placed and these assets do not have"),
    row(Phase::PlaceEtcd, Start, When::StaticEtcd, "place etcd",
        "places etcd's static pod and its keys"),
    row(Phase::PlaceApiserver, Start, When::Pivot, "place the bootstrap apiserver",
        "places the bootstrap apiserver and its keys"),
    row(Phase::WaitForApi, Start, When::Always, "wait for the API",
        "waits until an apiserver of this machine answers"),
    row(Phase::PlaceOthers, Start, When::Pivot, "place the other bootstrap pods",
        "places the bootstrap controller manager and scheduler"),
    row(Phase::ClearStaleStatus, Start, When::Pivot, "clear what is stale",
        "takes back what the API still says of pods and leases from before it was away"),
    row(Phase::ApplyObjects, Start, When::Always, "apply objects",
        "applies the manifests, and labels the node of this machine"),
    row(Phase::WaitForControlPlane, Start, When::Always, "wait for the self-hosted control plane",
        "waits until the required pods are Ready"),
    row(Phase::HandOver, Start, When::Pivot, "hand over",
        "removes the bootstrap pods, the apiserver last"),
    row(Phase::PutApiserverBack, Start, When::Failure, "put the bootstrap apiserver back",
        "places the bootstrap apiserver again"),
    row(Phase::Verify, Start, When::Always, "verify",
        "removes the keys of the bootstrap pods, and waits until the API and the leaders of the control plane work"),
    row(Phase::ApplyAdmission, Start, When::Admission, "apply webhooks and API services",
        "applies what can refuse or delay every other object, now that the required pods are Ready"),
    row(Phase::TearDown, Start, When::Failure, "tear down",
        "removes what was placed"),
    row(Phase::LookAtControlPlane, Unpivot, When::Always, "look at the control plane",
        "reads the self-hosted control plane from the API"),
    row(Phase::TakeAgentsPlace, Unpivot, When::Always, "take the agent's place",
        "waits until the agent has stepped down and no copy is active"),
    row(Phase::PlaceStaticApiserver, Unpivot, When::Always, "place the static apiserver",
        "places the static apiserver and steers new connections to it"),
    row(Phase::PlaceStaticLeaders, Unpivot, When::Always, "place the static leaders",
        "places the static controller manager and scheduler"),
    row(Phase::RemoveAgent, Unpivot, When::Always, "remove the agent",
        "removes the agent and its copy"),
    row(Phase::HandOverToStatic, Unpivot, When::Always, "hand over",
        "removes the self-hosted workloads, the apiserver last"),
    row(Phase::VerifyStatic, Unpivot, When::Always, "verify",
        "removes the copies that the agent kept, and waits until the leaders work"),
];

/// Pods of a bootstrap that failed need time to end, however short a time the user gave phases.
const TEAR_DOWN_AT_LEAST: Duration = Duration::from_secs(300);

impl Phase {
    /// Phases of `command`, in order.
    pub fn of(command: Command) -> impl Iterator<Item = Self> {
        TABLE.iter().filter(move |row| row.command == command).map(|row| row.phase)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its name for users and programs.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it does, as a sentence without its subject and full stop.
    pub fn does(self) -> &'static str {
        self.row().does
    }

    /// Whether it runs in `situation` as long as nothing fails.
    pub fn runs(self, situation: Situation) -> bool {
        match self.row().when {
            When::Always => true,
            When::Orphans => situation.has_orphans,
            When::StaticEtcd => situation.has_static_etcd,
            When::Pivot => !situation.is_past_pivot,
            When::Admission => situation.has_admission,
            When::Failure => false,
        }
    }

    /// The least time that it gets, whatever the user says.
    pub fn at_least(self) -> Duration {
        match self {
            Self::TearDown => TEAR_DOWN_AT_LEAST,
            _ => Duration::ZERO,
        }
    }

    /// Its name as one word, for command lines.
    pub fn flag_name(self) -> String {
        flag_name(self.name())
    }
}

/// A phase's name as one word.
pub fn flag_name(name: &str) -> String {
    name.trim().replace(' ', "-")
}

impl Command {
    /// How long each phase may take unless the user says otherwise, as a flag writes it.
    pub const fn default_timeout(self) -> &'static str {
        match self {
            Self::Start => "20m",
            Self::Unpivot => "5m",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_own_row_in_order() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.phase as usize, index, "{}", row.name);
            let same = Phase::of(row.command).filter(|phase| phase.name() == row.name);
            assert_eq!(same.count(), 1, "a command has one phase called {}", row.name);
        }
    }

    /// A webhook that is refused ends a strict start, and keys would stay behind.
    #[test]
    fn what_a_user_may_have_to_mend_is_applied_when_the_keys_are_removed() {
        let all: Vec<Phase> = Phase::of(Start).collect();
        let at = |phase| all.iter().position(|one| *one == phase);
        assert!(at(Phase::Verify) < at(Phase::ApplyAdmission));
    }

    #[test]
    fn a_machine_past_its_pivot_has_no_phase_that_places_or_removes_a_bootstrap_pod() {
        let situation = Situation { is_past_pivot: true, ..Situation::default() };
        let names: Vec<&str> =
            Phase::of(Start).filter(|phase| phase.runs(situation)).map(Phase::name).collect();
        let expected = [
            "preflight",
            "wait for the API",
            "apply objects",
            "wait for the self-hosted control plane",
            "verify",
        ];
        assert_eq!(names, expected);
    }
}
