//! What a phase reports while it lasts: what it waits for, what keeps it waiting, what it does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::act::Act;
use super::table::Phase;
use crate::cluster::apply::{Item, Outcome};
use crate::diagnose::{self, Blocker, Verdict};
use crate::ui::{Basis, Event, PodLife, Sink};

/// What the last wait ended with. It is kept until the next act, which may be in a later phase.
#[derive(Default)]
pub struct LastChange(Mutex<Option<Change>>);

/// A change in the world, and since when, as far as that is known.
struct Change {
    what: String,
    since: Instant,
    basis: Basis,
}

/// How a phase reports what it does and what it waits for.
pub struct Progress<'a> {
    phase: Phase,
    sink: &'a dyn Sink,
    last: Mutex<Last>,
    change: &'a LastChange,
    obstacles: Mutex<Obstacles>,
}

/// What keeps a phase waiting.
#[derive(Default)]
struct Obstacles {
    /// The blocker that the last look found.
    blocker: Option<Blocker>,
    /// What that look could not see; reported once.
    unseen: Vec<String>,
    /// Objects that the API does not accept yet, and why.
    objects: BTreeMap<String, Blocker>,
}

/// What was waited for last.
#[derive(Default)]
struct Last {
    on: String,
    /// When a look last found it so.
    looked: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// The progress of `phase`, which has just begun. `change` is what the last wait ended with.
    pub fn new(phase: Phase, sink: &'a dyn Sink, change: &'a LastChange) -> Self {
        Self { phase, sink, last: Mutex::default(), change, obstacles: Mutex::default() }
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Reports what the phase waits for, if that has changed.
    pub fn waiting(&self, on: impl Into<String>) {
        let on = on.into();
        let now = Last { on: on.clone(), looked: Some(Instant::now()) };
        let last = std::mem::replace(&mut *lock(&self.last), now);
        if last.on != on {
            self.sink.tell(Event::Waiting { phase: self.phase.name(), on });
        }
    }

    /// What the phase waited for last.
    pub fn last(&self) -> String {
        lock(&self.last).on.clone()
    }

    /// The API does not accept `item` yet, because of `why`.
    pub fn waiting_for_object(&self, item: &Item, why: &str) {
        let label = item.label();
        self.waiting(format!("{label}: {why}"));
        lock(&self.obstacles).objects.insert(label, diagnose::objects::blocker(item, why));
    }

    /// An object that keeps the phase waiting, if one does.
    pub fn stuck(&self) -> Option<Blocker> {
        lock(&self.obstacles).objects.values().next().cloned()
    }

    /// Keeps what a look found, and reports it if it differs from what was reported last.
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

    /// What keeps the phase waiting, by the last look.
    pub fn blocker(&self) -> Option<Blocker> {
        lock(&self.obstacles).blocker.clone()
    }

    /// A watch has just reported the `change` that the phase waited for.
    pub fn observed(&self, change: impl Into<String>) {
        let change = Change { what: change.into(), since: Instant::now(), basis: Basis::Arrival };
        *lock(&self.change.0) = Some(change);
    }

    /// A look found the `change` that the phase waited for. The look before, which called
    /// [`Self::waiting`], did not. If there was no look before, the phase did not wait.
    pub fn found(&self, change: impl Into<String>) {
        let Some(since) = lock(&self.last).looked.take() else { return };
        *lock(&self.change.0) = Some(Change { what: change.into(), since, basis: Basis::LastLook });
    }

    /// The phase acts now. Reports how long after the change that it waited for.
    pub fn acts(&self, act: impl Into<String>) {
        if let Some(Change { what: change, since, basis }) = lock(&self.change.0).take() {
            self.sink.tell(Event::Transition { change, act: act.into(), basis, took: since.elapsed() });
        }
    }

    /// `act` was done, or there was nothing to do.
    pub fn did(&self, act: Act) {
        let Act { verb, what, reason, .. } = act;
        self.sink.tell(Event::Act { phase: self.phase.name(), act: verb.name(), what, reason });
    }

    /// A pod that the phase waits for got further.
    pub fn pod(&self, life: PodLife) {
        self.sink.tell(Event::Pod(life));
    }

    /// Reports what became of an object.
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

    /// Reports what was done.
    pub fn info(&self, text: impl Into<String>) {
        self.sink.tell(Event::Info(text.into()));
    }

    /// Reports what is odd.
    pub fn warn(&self, text: impl Into<String>) {
        self.sink.tell(Event::Warning(text.into()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
