//! Runs phases one after the other: tells of them, notes them in the journal, times them, ends those that take too long and the one that
//! a signal meets. Phases themselves only work.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use crate::cluster::apply::{Item, Outcome};
use crate::host::signals::Interrupts;
use crate::journal::{Journal, Record};
use crate::ui::{Basis, Event, PodLife, Sink};

/// Runs phases and remembers how long each took.
pub struct Runner<'a> {
    sink: &'a dyn Sink,
    timeout: Duration,
    interrupts: Option<Interrupts>,
    journal: Option<&'a Journal>,
    /// Finished phases.
    pub times: Vec<(&'static str, Duration)>,
    /// What the last wait ended with, until it is acted upon.
    change: Mutex<Option<Change>>,
}

/// A change in the world, as far as we know when it was.
struct Change {
    what: String,
    since: Instant,
    basis: Basis,
}

/// How a phase says what it is waiting for.
pub struct Progress<'a> {
    phase: &'static str,
    sink: &'a dyn Sink,
    last: Mutex<Last>,
    change: &'a Mutex<Option<Change>>,
}

/// What was waited for last.
#[derive(Default)]
struct Last {
    on: String,
    /// When it was still so.
    looked: Option<Instant>,
}

impl<'a> Runner<'a> {
    /// No phase has run; each may take `timeout`.
    pub fn new(sink: &'a dyn Sink, timeout: Duration) -> Self {
        let (interrupts, journal) = (None, None);
        Self { sink, timeout, interrupts, journal, times: Vec::new(), change: Mutex::default() }
    }

    /// Ends a phase when somebody asks for it.
    pub fn heed(&mut self, interrupts: Interrupts) {
        self.interrupts = Some(interrupts);
    }

    /// Notes phases in `journal` from now on.
    pub fn note_in(&mut self, journal: &'a Journal) {
        self.journal = Some(journal);
    }

    /// Runs one phase. If it takes too long, the error holds the last thing it waited for.
    pub async fn phase<T>(
        &mut self,
        phase: &'static str,
        work: impl AsyncFnOnce(&Progress) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        self.sink.tell(Event::PhaseStarted { phase });
        let result = self.run(phase, work).await;
        let elapsed = started.elapsed();
        let value = result.inspect_err(|_| self.sink.tell(Event::PhaseFailed { phase, elapsed }))?;
        self.times.push((phase, elapsed));
        self.sink.tell(Event::PhaseFinished { phase, elapsed });
        Ok(value)
    }

    /// What is being written when a signal comes is written to its end: work is left only where it waits.
    async fn run<T>(
        &self,
        phase: &'static str,
        work: impl AsyncFnOnce(&Progress) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.note(|phase| Record::PhaseStarted { phase }, phase)?;
        let progress = Progress { phase, sink: self.sink, last: Mutex::default(), change: &self.change };
        let result = tokio::select! {
            biased;
            result = tokio::time::timeout(self.timeout, work(&progress)) => result
                .unwrap_or_else(|_| Err(Error::Timeout { phase, after: self.timeout, last: progress.last() })),
            signal = asked(self.interrupts.as_ref()) => {
                self.note(|_| Record::Interrupted { signal: signal.to_owned() }, phase)?;
                Err(Error::Interrupted { signal, phase })
            }
        };
        match result {
            Ok(value) => self.note(|phase| Record::PhaseFinished { phase }, phase).map(|()| value),
            Err(error) => {
                if let Err(unnoted) = self.note(|phase| Record::PhaseFailed { phase }, phase) {
                    let unnoted = crate::error::chain(&unnoted);
                    self.sink.tell(Event::Warning(format!("not noted in the journal: {unnoted}")));
                }
                Err(error)
            }
        }
    }

    fn note(&self, record: impl FnOnce(String) -> Record, phase: &str) -> Result<(), Error> {
        match self.journal {
            Some(journal) => Ok(journal.record(record(phase.to_owned()))?),
            None => Ok(()),
        }
    }
}

async fn asked(interrupts: Option<&Interrupts>) -> &'static str {
    match interrupts {
        Some(interrupts) => interrupts.asked().await,
        None => std::future::pending().await,
    }
}

impl Progress<'_> {
    /// Says what is waited for, once for each change.
    pub fn waiting(&self, on: impl Into<String>) {
        let on = on.into();
        let now = Last { on: on.clone(), looked: Some(Instant::now()) };
        let last = std::mem::replace(&mut *lock(&self.last), now);
        if last.on != on {
            self.sink.tell(Event::Waiting { phase: self.phase, on });
        }
    }

    /// What was said last.
    fn last(&self) -> String {
        lock(&self.last).on.clone()
    }

    /// A watch has just told of the `change` that was waited for.
    pub fn observed(&self, change: impl Into<String>) {
        let change = Change { what: change.into(), since: Instant::now(), basis: Basis::Arrival };
        *lock(self.change) = Some(change);
    }

    /// A look found the `change` that was waited for; the look before, which led to [`Self::waiting`], had not. Without one before
    /// nothing was waited for.
    pub fn found(&self, change: impl Into<String>) {
        let Some(since) = lock(&self.last).looked.take() else { return };
        *lock(self.change) = Some(Change { what: change.into(), since, basis: Basis::LastLook });
    }

    /// Something is done to the world now: `act`. Tells how long that came after the change that was waited for.
    pub fn acts(&self, act: impl Into<String>) {
        if let Some(Change { what: change, since, basis }) = lock(self.change).take() {
            self.sink.tell(Event::Transition { change, act: act.into(), basis, took: since.elapsed() });
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    struct Recorder(Mutex<Vec<Event>>);
    impl Sink for Recorder {
        fn tell(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[tokio::test]
    async fn a_phase_that_takes_too_long_says_what_it_waited_for() {
        let sink = Recorder(Mutex::default());
        let mut runner = Runner::new(&sink, Duration::from_millis(20));
        let result: Result<(), Error> = runner
            .phase("wait", async |progress| {
                progress.waiting("the apiserver is silent");
                progress.waiting("the apiserver is silent");
                std::future::pending().await
            })
            .await;
        let message = result.unwrap_err().to_string();
        assert!(message.contains("wait") && message.contains("the apiserver is silent"), "{message}");
        let events = sink.0.into_inner().unwrap();
        assert_eq!(events.len(), 3, "each change is told once: {events:?}");
        assert!(matches!(events[2], Event::PhaseFailed { phase: "wait", .. }));
    }

    #[tokio::test]
    async fn the_time_to_the_next_act_counts_from_the_last_look_that_found_nothing() {
        let sink = Recorder(Mutex::default());
        let mut runner = Runner::new(&sink, Duration::from_secs(1));
        let wait = async |progress: &Progress| {
            progress.waiting("nobody listens");
            tokio::time::sleep(Duration::from_millis(20)).await;
            progress.found("somebody listens");
            progress.found("this was so at the first look, and not waited for");
            Ok(())
        };
        runner.phase("wait", wait).await.unwrap();
        let act = async |progress: &Progress| {
            progress.acts("place");
            progress.acts("place more");
            progress.found("neither was this");
            progress.acts("place yet more");
            Ok(())
        };
        runner.phase("act", act).await.unwrap();
        let events = sink.0.into_inner().unwrap();
        let told: Vec<_> = events.iter().filter(|e| matches!(e, Event::Transition { .. })).collect();
        let [Event::Transition { change, act, basis: Basis::LastLook, took }] = told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((change.as_str(), act.as_str()), ("somebody listens", "place"));
        assert!((20..1000).contains(&took.as_millis()), "{took:?}");
    }
}
