//! What a phase reports while it lasts: what it waits for, what keeps it waiting, what it does.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::act::Act;
use super::table::Phase;
use crate::cluster::Client;
use crate::cluster::apply::{Item, Outcome};
use crate::diagnose::{self, Blocker, Brought, Refusal, Restart, Underway, Verdict};
use crate::patience::{ANSWER, within};
use crate::ui::{Basis, Event, PodLife, Sink};

/// What outlasts a phase.
#[derive(Default)]
pub struct Lasting {
    /// What the last wait ended with. It is kept until the next act, which may be in a later phase.
    change: Mutex<Option<Change>>,
    /// The restart of kubelet, if the command has begun one.
    restart: Mutex<Option<KubeletRestart>>,
}

/// A restart of kubelet.
#[derive(Clone, Copy)]
enum KubeletRestart {
    Begun,
    Done(Instant),
}

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
    lasting: &'a Lasting,
    obstacles: Mutex<Obstacles>,
}

/// What keeps a phase waiting.
#[derive(Default)]
struct Obstacles {
    /// The blocker that the last look found.
    blocker: Option<Blocker>,
    /// What that look could not see; reported once.
    unseen: Vec<String>,
    /// Objects that the API does not accept yet.
    refused: BTreeMap<String, Refused>,
    /// Labels of objects that were applied, or refused for good.
    done: BTreeSet<String>,
}

/// An object that the API does not accept yet.
struct Refused {
    item: Item,
    why: String,
    since: Instant,
}

/// What was waited for last.
#[derive(Default)]
struct Last {
    on: String,
    /// When a look last found it so.
    looked: Option<Instant>,
}

impl<'a> Progress<'a> {
    /// The progress of `phase`, which has just begun.
    pub fn new(phase: Phase, sink: &'a dyn Sink, lasting: &'a Lasting) -> Self {
        Self { phase, sink, last: Mutex::default(), lasting, obstacles: Mutex::default() }
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
        let mut obstacles = lock(&self.obstacles);
        let before = obstacles.refused.remove(&label).map(|before| before.since);
        let since = before.unwrap_or_else(Instant::now);
        obstacles.refused.insert(label, Refused { item: item.clone(), why: why.to_owned(), since });
    }

    /// The command restarts kubelet now.
    pub fn restarts_kubelet(&self) {
        *lock(&self.lasting.restart) = Some(KubeletRestart::Begun);
    }

    /// The restart of kubelet has succeeded, or not.
    pub fn restarted_kubelet(&self, is_done: bool) {
        *lock(&self.lasting.restart) = is_done.then(|| KubeletRestart::Done(Instant::now()));
    }

    /// What the command is about to do, in view of the `objects` of its assets.
    pub fn underway(&self, objects: &[Brought]) -> Underway {
        let obstacles = lock(&self.obstacles);
        let is_done = |label: &String| match self.phase.cmp(&Phase::ApplyObjects) {
            Ordering::Less => false,
            Ordering::Equal => obstacles.done.contains(label),
            Ordering::Greater => true,
        };
        let brought = objects.iter().map(|object| object.with(is_done(&object.label)));
        let refusal = |Refused { item, why, since }: &Refused| Refusal {
            item: item.clone(),
            why: why.clone(),
            lasted: since.elapsed(),
        };
        Underway {
            objects: brought.collect(),
            marks_node: self.phase <= Phase::ApplyObjects,
            restart: match *lock(&self.lasting.restart) {
                None => Restart::No,
                Some(KubeletRestart::Begun) => Restart::Begun,
                Some(KubeletRestart::Done(at)) => Restart::Done(at.elapsed()),
            },
            refused: obstacles.refused.values().map(refusal).collect(),
        }
    }

    /// Keeps what a look found, and reports it if it differs from what was reported last.
    pub fn explained(&self, verdict: Verdict) {
        let mut obstacles = lock(&self.obstacles);
        let (blocker, unseen) = match verdict {
            Verdict::Blocked { blocker, least: _ } => (Some(blocker), Vec::new()),
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

    /// Reports pods of what was applied that are not well. Nothing waits for them.
    pub async fn tell_unwell(&self, client: &Client) {
        let found = within(ANSWER, diagnose::unwell(client, ANSWER)).await;
        match found.unwrap_or_else(|late| Err(late.to_string())) {
            Ok(found) => {
                diagnose::sentences(&found).into_iter().for_each(|sentence| self.warn(sentence));
                let starting = diagnose::starting(&found);
                starting.into_iter().for_each(|pods| self.info(format!("still starting: {pods}")));
            }
            Err(why) => self.info(format!("the pods of manifests/ were not looked at: {why}")),
        }
    }

    /// A watch has just reported the `change` that the phase waited for.
    pub fn observed(&self, change: impl Into<String>) {
        let change = Change { what: change.into(), since: Instant::now(), basis: Basis::Arrival };
        *lock(&self.lasting.change) = Some(change);
    }

    /// A look found the `change` that the phase waited for. The look before, which called
    /// [`Self::waiting`], did not. If there was no look before, the phase did not wait.
    pub fn found(&self, change: impl Into<String>) {
        let Some(since) = lock(&self.last).looked.take() else { return };
        *lock(&self.lasting.change) = Some(Change { what: change.into(), since, basis: Basis::LastLook });
    }

    /// The phase acts now. Reports how long after the change that it waited for.
    pub fn acts(&self, act: impl Into<String>) {
        if let Some(Change { what: change, since, basis }) = lock(&self.lasting.change).take() {
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
        let mut obstacles = lock(&self.obstacles);
        obstacles.refused.remove(&object);
        obstacles.done.insert(object.clone());
        drop(obstacles);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Nowhere;
    impl Sink for Nowhere {
        fn tell(&self, _: Event) {}
    }

    #[test]
    fn what_is_still_to_come_follows_from_the_phase_and_from_what_was_applied() {
        let metadata = json!({"name": "web", "namespace": "shop"});
        let item = Item { file: "f".into(), value: json!({"kind": "Secret", "metadata": metadata}) };
        let objects = [Brought::of(&item)];
        let (lasting, missing) = (Lasting::default(), "secret \"web\" not found");
        let comes =
            |progress: &Progress<'_>| progress.underway(&objects).brings_what_is_named("shop", missing);
        let before = Progress::new(Phase::WaitForApi, &Nowhere, &lasting);
        assert!(comes(&before) && before.underway(&objects).marks_node);
        let apply = Progress::new(Phase::ApplyObjects, &Nowhere, &lasting);
        assert!(comes(&apply));
        apply.waiting_for_object(&item, "namespaces \"shop\" not found");
        assert_eq!(apply.underway(&objects).refused.len(), 1);
        apply.object(&item, &Outcome::Created, Duration::ZERO);
        assert!(!comes(&apply) && apply.underway(&objects).refused.is_empty());
        let after = Progress::new(Phase::WaitForControlPlane, &Nowhere, &lasting);
        assert!(!comes(&after) && !after.underway(&objects).marks_node);
    }

    #[test]
    fn a_restart_of_kubelet_is_known_to_the_phases_after_it() {
        let lasting = Lasting::default();
        let apply = Progress::new(Phase::ApplyObjects, &Nowhere, &lasting);
        assert!(!apply.underway(&[]).restarts_kubelet());
        apply.restarts_kubelet();
        assert_eq!(apply.underway(&[]).restart, Restart::Begun);
        apply.restarted_kubelet(true);
        let wait = Progress::new(Phase::WaitForControlPlane, &Nowhere, &lasting);
        assert!(wait.underway(&[]).restarts_kubelet());
        apply.restarted_kubelet(false);
        assert!(!wait.underway(&[]).restarts_kubelet(), "the command failed, so kubelet is as it was");
    }
}
