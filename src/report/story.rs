//! Collects events into a story: phases and what they waited for, pods, listeners, requests.

use std::time::Duration;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::timestamp::rfc3339;
use crate::ui::{Basis, End, Event, PodLife, Probed, Stamped, ms};

/// A `start`, finished or not. Durations count from its beginning.
#[derive(Clone, Debug, Serialize)]
pub struct Story {
    /// Version of the program.
    pub bootkube: &'static str,
    /// When it began.
    #[serde(serialize_with = "as_rfc3339")]
    pub began: OffsetDateTime,
    /// How it ended; `None` if it was cut off.
    pub end: Option<End>,
    /// In order.
    pub phases: Vec<Phase>,
    /// Objects, in the order in which their apply ended.
    pub objects: Vec<Object>,
    /// Pods that `start` waited for, in the order of their creation.
    pub pods: Vec<PodLife>,
    /// Number of listeners on the API's port over time.
    pub listeners: Vec<Listeners>,
    /// The result of the probe, if it ran.
    pub probe: Option<Probed>,
    /// Its requests that failed or were slow.
    pub requests: Vec<Request>,
    /// Changes that `start` waited for, and how soon it acted.
    pub transitions: Vec<Transition>,
    /// Warnings.
    pub warnings: Vec<String>,
    #[serde(skip)]
    total: Duration,
    /// Whether the last phase is still running.
    #[serde(skip)]
    is_open: bool,
}

/// A phase.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// When it began.
    #[serde(rename = "start_ms", serialize_with = "as_ms")]
    pub start: Duration,
    /// How long it took, or has taken so far.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What it waited for, one after the other.
    pub waits: Vec<Wait>,
    /// What blocked it, one after the other.
    pub blockers: Vec<Blocker>,
}

/// How a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// The run ended before it did.
    CutOff,
}

/// One wait.
#[derive(Clone, Debug, Serialize)]
pub struct Wait {
    /// What it waited for, and why that was not met.
    pub on: String,
    /// When it was first reported.
    #[serde(rename = "start_ms", serialize_with = "as_ms")]
    pub start: Duration,
    /// Until the next wait, or the end of the phase.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
}

/// Something that blocked a phase.
#[derive(Clone, Debug, Serialize)]
pub struct Blocker {
    /// What was wrong.
    pub what: String,
    /// The evidence.
    pub why: String,
    /// The cure.
    #[serde(rename = "do")]
    pub cure: String,
    /// When it was reported.
    #[serde(rename = "start_ms", serialize_with = "as_ms")]
    pub start: Duration,
    /// Until it was resolved, or the phase ended.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
    #[serde(skip)]
    is_open: bool,
}

/// An object of the manifests.
#[derive(Clone, Debug, Serialize)]
pub struct Object {
    /// The manifest's file.
    pub file: String,
    /// `Kind namespace/name`.
    pub object: String,
    /// created, configured, unchanged, failed or skipped.
    pub outcome: &'static str,
    /// Why, if it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its apply ended.
    #[serde(rename = "end_ms", serialize_with = "as_ms")]
    pub end: Duration,
    /// How long its apply took.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
}

/// The number of listeners from a certain time on.
#[derive(Clone, Debug, Serialize)]
pub struct Listeners {
    /// From when on.
    #[serde(rename = "start_ms", serialize_with = "as_ms")]
    pub start: Duration,
    /// On which port.
    pub port: u16,
    /// How many.
    pub count: usize,
}

/// A request that failed or was slow.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// What was asked.
    pub path: String,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it began.
    #[serde(rename = "start_ms", serialize_with = "as_ms")]
    pub start: Duration,
    /// How long it took.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
}

/// A change, and the act that followed it.
#[derive(Clone, Debug, Serialize)]
pub struct Transition {
    /// What changed.
    pub change: String,
    /// What was done next.
    pub act: String,
    /// Where the delay is counted from.
    pub basis: Basis,
    /// When the act began.
    #[serde(rename = "act_ms", serialize_with = "as_ms")]
    pub at: Duration,
    /// The delay after the change.
    #[serde(rename = "took_ms", serialize_with = "as_ms")]
    pub took: Duration,
}

impl Story {
    /// The story of `events`, in order.
    pub fn from_events(events: &[Stamped]) -> Self {
        let first = events.first();
        let mut story = Self {
            bootkube: crate::VERSION,
            began: first.map_or(OffsetDateTime::UNIX_EPOCH, |stamped| stamped.at - stamped.elapsed),
            end: None,
            phases: Vec::new(),
            objects: Vec::new(),
            pods: Vec::new(),
            listeners: Vec::new(),
            probe: None,
            requests: Vec::new(),
            transitions: Vec::new(),
            warnings: Vec::new(),
            total: events.last().map_or(Duration::ZERO, |stamped| stamped.elapsed),
            is_open: false,
        };
        events.iter().for_each(|stamped| story.add(stamped.elapsed, &stamped.event));
        story.close_phase(story.total, Outcome::CutOff);
        story.pods.sort_by_key(|pod| pod.created);
        story
    }

    /// How long it took.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// Whether it ended without an error.
    pub fn succeeded(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.error.is_none())
    }

    fn add(&mut self, at: Duration, event: &Event) {
        match event.clone() {
            Event::Begun { bootkube } => self.bootkube = bootkube,
            Event::PhaseStarted { phase } => self.open_phase(at, phase),
            Event::PhaseFinished { .. } => self.close_phase(at, Outcome::Done),
            Event::PhaseFailed { .. } => self.close_phase(at, Outcome::Failed),
            Event::Waiting { on, .. } => self.wait(at, on),
            Event::Blocked { what, why, cure, .. } => self.block(at, what, why, cure),
            Event::Unblocked { .. } => self.unblock(at),
            Event::ObjectApplied { file, object, outcome, reason, took } => {
                self.objects.push(Object { file, object, outcome, reason, end: at, took });
            }
            Event::Pod(life) => self.pod(life),
            Event::Listeners { port, count } => self.listeners(at, port, count),
            Event::Request { path, error, took } => {
                self.requests.push(Request { path, error, start: at.saturating_sub(took), took });
            }
            Event::Probed(sum) => self.probe = Some(sum),
            Event::Act { .. } => {} // the journal and the dry run are the places for these
            Event::Transition { change, act, basis, took } => {
                self.transitions.push(Transition { change, act, basis, at, took });
            }
            Event::Info(_) => {}
            Event::Warning(text) => self.warnings.push(text),
            Event::Ended(end) => self.end = Some(end),
        }
    }

    fn open_phase(&mut self, at: Duration, name: &'static str) {
        self.close_phase(at, Outcome::CutOff);
        let (took, waits, blockers) = (Duration::ZERO, Vec::new(), Vec::new());
        self.phases.push(Phase { name, start: at, took, outcome: Outcome::CutOff, waits, blockers });
        self.is_open = true;
    }

    fn close_phase(&mut self, at: Duration, outcome: Outcome) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        if let Some(phase) = self.phases.last_mut() {
            phase.took = at.saturating_sub(phase.start);
            phase.outcome = outcome;
            end_wait(phase, at);
            end_blocker(phase, at);
        }
    }

    fn block(&mut self, at: Duration, what: String, why: String, cure: String) {
        if let Some(phase) = self.phases.last_mut() {
            end_blocker(phase, at);
            let took = Duration::ZERO;
            phase.blockers.push(Blocker { what, why, cure, start: at, took, is_open: true });
        }
    }

    fn unblock(&mut self, at: Duration) {
        if let Some(phase) = self.phases.last_mut() {
            end_blocker(phase, at);
        }
    }

    fn wait(&mut self, at: Duration, on: String) {
        if let Some(phase) = self.phases.last_mut() {
            end_wait(phase, at);
            phase.waits.push(Wait { on, start: at, took: Duration::ZERO });
        }
    }

    fn pod(&mut self, life: PodLife) {
        let is_it = |pod: &&mut PodLife| pod.namespace == life.namespace && pod.name == life.name;
        match self.pods.iter_mut().find(is_it) {
            Some(pod) => *pod = life,
            None => self.pods.push(life),
        }
    }

    fn listeners(&mut self, at: Duration, port: u16, count: usize) {
        if self.listeners.last().is_none_or(|last| (last.port, last.count) != (port, count)) {
            self.listeners.push(Listeners { start: at, port, count });
        }
    }
}

fn end_wait(phase: &mut Phase, at: Duration) {
    if let Some(wait) = phase.waits.last_mut() {
        wait.took = at.saturating_sub(wait.start);
    }
}

fn end_blocker(phase: &mut Phase, at: Duration) {
    if let Some(blocker) = phase.blockers.last_mut().filter(|blocker| blocker.is_open) {
        blocker.took = at.saturating_sub(blocker.start);
        blocker.is_open = false;
    }
}

fn as_ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(ms(*duration))
}

fn as_rfc3339<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}
