//! What a phase says of itself while it lasts: what it waits for, what is in its way, what it does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::act::Act;
use super::table::Phase;
use crate::cluster::apply::{Item, Outcome};
use crate::diagnose::{self, Blocker, Verdict};
use crate::ui::{Basis, Event, PodLife, Sink};

/// What the last wait ended with, until something is done about it: also in a later phase.
#[derive(Default)]
pub struct LastChange(Mutex<Option<Change>>);

/// A change in the world, as far as we know when it was.
struct Change {
    what: String,
    since: Instant,
    basis: Basis,
}

/// How a phase says what it is waiting for.
pub struct Progress<'a> {
    phase: Phase,
    sink: &'a dyn Sink,
    last: Mutex<Last>,
    change: &'a LastChange,
    obstacles: Mutex<Obstacles>,
}

/// What is in the way of a phase.
#[derive(Default)]
struct Obstacles {
    /// As the last look has it.
    blocker: Option<Blocker>,
    /// What that could not see; told once.
    unseen: Vec<String>,
    /// Objects that the API does not take yet, and why.
    objects: BTreeMap<String, Blocker>,
}

/// What was waited for last.
#[derive(Default)]
struct Last {
    on: String,
    /// When it was still so.
    looked: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// That of `phase`, which has just begun. `change` is what the phase before waited for.
    pub fn new(phase: Phase, sink: &'a dyn Sink, change: &'a LastChange) -> Self {
        Self { phase, sink, last: Mutex::default(), change, obstacles: Mutex::default() }
    }

    /// Whose it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Says what is waited for, once for each change.
    pub fn waiting(&self, on: impl Into<String>) {
        let on = on.into();
        let now = Last { on: on.clone(), looked: Some(Instant::now()) };
        let last = std::mem::replace(&mut *lock(&self.last), now);
        if last.on != on {
            self.sink.tell(Event::Waiting { phase: self.phase.name(), on });
        }
    }

    /// What was said last.
    pub fn last(&self) -> String {
        lock(&self.last).on.clone()
    }

    /// The API does not take `item` yet, and why.
    pub fn waiting_for_object(&self, item: &Item, why: &str) {
        let label = item.label();
        self.waiting(format!("{label}: {why}"));
        lock(&self.obstacles).objects.insert(label, diagnose::objects::blocker(item, why));
    }

    /// An object that is in the way, if one is.
    pub fn stuck(&self) -> Option<Blocker> {
        lock(&self.obstacles).objects.values().next().cloned()
    }

    /// What a look found. Told when it differs from what was told last.
    pub fn explained(&self, verdict: Verdict) {
        let mut obstacles = lock(&self.obstacles);
        let (blocker, unseen) = match verdict {
            Verdict::Blocked(blocker) => (Some(blocker), Vec::new()),
            Verdict::Unexplained { unseen } => (None, unseen),
        };
        let what = |blocker: &Option<Blocker>| blocker.as_ref().map(|blocker| blocker.what.clone());
        let is_new = what(&blocker) != what(&obstacles.blocker);
        obstacles.blocker.clone_from(&blocker);
        if obstacles.unseen.is_empty() && !unseen.is_empty() {
            let why = unseen.join("; ");
            self.info(format!("{}: what it waits for is not all to be seen from here: {why}", self.phase));
            obstacles.unseen = unseen;
        }
        match blocker {
            _ if !is_new => {}
            None => self.sink.tell(Event::Unblocked { phase: self.phase.name() }),
            Some(Blocker { what, why, cure }) => {
                self.sink.tell(Event::Blocked { phase: self.phase.name(), what, why, cure });
            }
        }
    }

    /// What the last look found to be in the way.
    pub fn blocker(&self) -> Option<Blocker> {
        lock(&self.obstacles).blocker.clone()
    }

    /// A watch has just told of the `change` that was waited for.
    pub fn observed(&self, change: impl Into<String>) {
        let change = Change { what: change.into(), since: Instant::now(), basis: Basis::Arrival };
        *lock(&self.change.0) = Some(change);
    }

    /// A look found the `change` that was waited for; the look before, which led to [`Self::waiting`], had not. Without one before
    /// nothing was waited for.
    pub fn found(&self, change: impl Into<String>) {
        let Some(since) = lock(&self.last).looked.take() else { return };
        *lock(&self.change.0) = Some(Change { what: change.into(), since, basis: Basis::LastLook });
    }

    /// Something is done to the world now: `act`. Tells how long that came after the change that was waited for.
    pub fn acts(&self, act: impl Into<String>) {
        if let Some(Change { what: change, since, basis }) = lock(&self.change.0).take() {
            self.sink.tell(Event::Transition { change, act: act.into(), basis, took: since.elapsed() });
        }
    }

    /// `act` was done, or what it is about was found to be as it should be.
    pub fn did(&self, act: Act) {
        let Act { verb, what, reason, .. } = act;
        self.sink.tell(Event::Act { phase: self.phase.name(), act: verb.name(), what, reason });
    }

    /// A pod that is waited for got further.
    pub fn pod(&self, life: PodLife) {
        self.sink.tell(Event::Pod(life));
    }

    /// What became of an object.
    pub fn object(&self, item: &Item, outcome: &Outcome, took: Duration) {
        let (name, reason) = match outcome {
            Outcome::Created => ("created", None),
            Outcome::Configured => ("configured", None),
            Outcome::Unchanged => ("unchanged", None),
            Outcome::Failed { reason } => ("failed", Some(reason.clone())),
            Outcome::Skipped => ("skipped", None),
        };
        let (file, object) = (item.file.clone(), item.label());
        lock(&self.obstacles).objects.remove(&object);
        self.sink.tell(Event::ObjectApplied { file, object, outcome: name, reason, took });
    }

    /// Says what was done.
    pub fn info(&self, text: impl Into<String>) {
        self.sink.tell(Event::Info(text.into()));
    }

    /// Says what is odd.
    pub fn warn(&self, text: impl Into<String>) {
        self.sink.tell(Event::Warning(text.into()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
