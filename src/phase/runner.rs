//! Runs phases one after the other. It reports and records each, measures how long it takes, and
//! ends a phase that takes too long or that a signal meets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::Error;
use super::explain;
use super::progress::{Lasting, Progress};
use super::table::Phase;
use super::timeouts::Timeouts;
use crate::diagnose::Subject;
use crate::host::signals::Interrupts;
use crate::journal::{Journal, Record};
use crate::ui::{Event, Sink};

/// Runs phases and remembers how long each took.
pub struct Runner<'a> {
    sink: &'a dyn Sink,
    timeouts: &'a Timeouts,
    interrupts: Option<Interrupts>,
    journal: Option<&'a Journal>,
    /// What the command waits for, by which to explain a long wait. Unknown until there is a plan.
    subject: Option<Arc<Subject>>,
    /// Finished phases.
    pub times: Vec<(&'static str, Duration)>,
    /// What outlasts a phase.
    lasting: Lasting,
}

impl<'a> Runner<'a> {
    /// No phase has run yet; each may take as long as `timeouts` says.
    pub fn new(sink: &'a dyn Sink, timeouts: &'a Timeouts) -> Self {
        let (interrupts, journal, subject) = (None, None, None);
        Self { sink, timeouts, interrupts, journal, subject, times: Vec::new(), lasting: Lasting::default() }
    }

    /// Ends the current phase when a signal comes.
    pub fn heed(&mut self, interrupts: Interrupts) {
        self.interrupts = Some(interrupts);
    }

    /// Records phases in `journal` from now on.
    pub fn note_in(&mut self, journal: &'a Journal) {
        self.journal = Some(journal);
    }

    /// Looks from now on for what keeps a phase waiting.
    pub fn explain_by(&mut self, subject: Subject) {
        self.subject = Some(Arc::new(subject));
    }

    /// Runs one phase. If it takes too long, the error says what it waited for last and why.
    pub async fn phase<T, E: From<Error>>(
        &mut self,
        phase: Phase,
        work: impl AsyncFnOnce(&Progress) -> Result<T, E>,
    ) -> Result<T, E> {
        let (started, name) = (Instant::now(), phase.name());
        self.sink.tell(Event::PhaseStarted { phase: name });
        let result = self.run(phase, work).await;
        let elapsed = started.elapsed();
        let value = result.inspect_err(|_| self.sink.tell(Event::PhaseFailed { phase: name, elapsed }))?;
        self.times.push((name, elapsed));
        self.sink.tell(Event::PhaseFinished { phase: name, elapsed });
        Ok(value)
    }

    /// A signal ends a phase only where it waits, so a write that is under way is finished.
    async fn run<T, E: From<Error>>(
        &self,
        phase: Phase,
        work: impl AsyncFnOnce(&Progress) -> Result<T, E>,
    ) -> Result<T, E> {
        self.note(|phase| Record::PhaseStarted { phase }, phase)?;
        let progress = Progress::new(phase, self.sink, &self.lasting);
        let limit = self.timeouts.limit(phase);
        let work = explain::beside(self.subject.as_ref(), &progress, work(&progress));
        let result = tokio::select! {
            biased;
            result = tokio::time::timeout(limit, work) => match result {
                Ok(result) => result,
                Err(_) => Err(self.too_late(limit, &progress).await.into()),
            },
            signal = asked(self.interrupts.as_ref()) => {
                self.note(|_| Record::Interrupted { signal: signal.to_owned() }, phase)?;
                Err(Error::Interrupted { signal, phase: phase.name() }.into())
            }
        };
        match result {
            Ok(value) => {
                self.note(|phase| Record::PhaseFinished { phase }, phase)?;
                Ok(value)
            }
            Err(error) => {
                if let Err(unnoted) = self.note(|phase| Record::PhaseFailed { phase }, phase) {
                    let unnoted = crate::error::chain(&unnoted);
                    self.sink.tell(Event::Warning(format!("not noted in the journal: {unnoted}")));
                }
                Err(error)
            }
        }
    }

    /// Why a phase took too long. If it was too short for a look, this looks once.
    async fn too_late(&self, limit: Duration, progress: &Progress<'_>) -> Error {
        if let (Some(subject), None) = (&self.subject, progress.blocker()) {
            progress.explained(explain::look(subject, progress).await);
        }
        let blocker = progress.blocker().map(Box::new);
        Error::Timeout { phase: progress.phase().name(), after: limit, last: progress.last(), blocker }
    }

    fn note(&self, record: impl FnOnce(String) -> Record, phase: Phase) -> Result<(), Error> {
        match self.journal {
            Some(journal) => Ok(journal.record(record(phase.name().to_owned()))?),
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::diagnose::{Blocker, Verdict};
    use crate::ui::Basis;

    struct Recorder(Mutex<Vec<Event>>);
    impl Sink for Recorder {
        fn tell(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[tokio::test]
    async fn a_phase_that_takes_too_long_says_what_it_waited_for() {
        let sink = Recorder(Mutex::default());
        let timeouts = Timeouts::new(Duration::from_millis(20), []);
        let mut runner = Runner::new(&sink, &timeouts);
        let result: Result<(), Error> = runner
            .phase(Phase::WaitForApi, async |progress| {
                progress.waiting("the apiserver is silent");
                progress.waiting("the apiserver is silent");
                std::future::pending().await
            })
            .await;
        let message = result.unwrap_err().to_string();
        assert!(message.contains("wait") && message.contains("the apiserver is silent"), "{message}");
        let events = sink.0.into_inner().unwrap();
        assert_eq!(events.len(), 3, "each change is told once: {events:?}");
        assert!(matches!(events[2], Event::PhaseFailed { phase: "wait for the API", .. }));
    }

    #[tokio::test]
    async fn the_time_to_the_next_act_counts_from_the_last_look_that_found_nothing() {
        let sink = Recorder(Mutex::default());
        let timeouts = Timeouts::new(Duration::from_secs(1), []);
        let mut runner = Runner::new(&sink, &timeouts);
        let wait = async |progress: &Progress| -> Result<(), Error> {
            progress.waiting("the port has no listener");
            tokio::time::sleep(Duration::from_millis(20)).await;
            progress.found("the port has a listener");
            progress.found("this was so at the first look, and not waited for");
            Ok(())
        };
        runner.phase(Phase::WaitForApi, wait).await.unwrap();
        let act = async |progress: &Progress| -> Result<(), Error> {
            progress.acts("place");
            progress.acts("place more");
            progress.found("neither was this");
            progress.acts("place yet more");
            Ok(())
        };
        runner.phase(Phase::PlaceOthers, act).await.unwrap();
        let events = sink.0.into_inner().unwrap();
        let told: Vec<_> = events.iter().filter(|e| matches!(e, Event::Transition { .. })).collect();
        let [Event::Transition { change, act, basis: Basis::LastLook, took }] = told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((change.as_str(), act.as_str()), ("the port has a listener", "place"));
        assert!((20..1000).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test]
    async fn a_blocker_is_told_once_until_the_answer_changes_and_a_timeout_holds_the_last() {
        let sink = Recorder(Mutex::default());
        let timeouts = Timeouts::new(Duration::from_millis(20), []);
        let mut runner = Runner::new(&sink, &timeouts);
        let blocked = |what: &str, why: &str| Verdict::Blocked {
            blocker: Blocker::new(what, why, "mend it"),
            least: Duration::ZERO,
        };
        let result: Result<(), Error> = runner
            .phase(Phase::WaitForApi, async |progress| {
                progress.explained(blocked("etcd is away", "refused 1 time"));
                progress.explained(blocked("etcd is away", "refused 2 times"));
                progress.explained(Verdict::Unexplained { unseen: vec!["the runtime".into()] });
                progress.explained(blocked("kubelet is away", "refused"));
                progress.explained(blocked("kubelet is away", "refused again"));
                std::future::pending().await
            })
            .await;
        let message = result.unwrap_err().to_string();
        assert!(message.contains("kubelet is away\n  why: refused again\n  do:  mend it"), "{message}");
        let events = sink.0.into_inner().unwrap();
        let told: Vec<&str> = events
            .iter()
            .map(|event| match event {
                Event::Blocked { what, .. } => what,
                Event::Unblocked { .. } => "unblocked",
                Event::Info(_) => "unseen",
                _ => "",
            })
            .filter(|told| !told.is_empty())
            .collect();
        assert_eq!(told, ["etcd is away", "unseen", "unblocked", "kubelet is away"]);
    }
}
