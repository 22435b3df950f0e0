//! Runs phases one after the other: tells of them, times them, ends those that take too long. Phases themselves only work.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use crate::ui::{Event, Sink};

/// Runs phases and remembers how long each took.
pub struct Runner<'a> {
    sink: &'a dyn Sink,
    timeout: Duration,
    /// Finished phases.
    pub times: Vec<(&'static str, Duration)>,
}

/// How a phase says what it is waiting for.
pub struct Progress<'a> {
    phase: &'static str,
    sink: &'a dyn Sink,
    last: Mutex<String>,
}

impl<'a> Runner<'a> {
    /// No phase has run; each may take `timeout`.
    pub fn new(sink: &'a dyn Sink, timeout: Duration) -> Self {
        Self { sink, timeout, times: Vec::new() }
    }

    /// Runs one phase. If it takes too long, the error holds the last thing it waited for.
    pub async fn phase<T>(
        &mut self,
        phase: &'static str,
        work: impl AsyncFnOnce(&Progress) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        self.sink.tell(Event::PhaseStarted { phase });
        let progress = Progress { phase, sink: self.sink, last: Mutex::default() };
        let result = tokio::time::timeout(self.timeout, work(&progress)).await;
        let value =
            result.map_err(|_| Error::Timeout { phase, after: self.timeout, last: progress.last() })??;
        let elapsed = started.elapsed();
        self.times.push((phase, elapsed));
        self.sink.tell(Event::PhaseFinished { phase, elapsed });
        Ok(value)
    }
}

impl Progress<'_> {
    /// Says what is waited for, once for each change.
    pub fn waiting(&self, on: impl Into<String>) {
        let on = on.into();
        let last = std::mem::replace(&mut *self.lock(), on.clone());
        if last != on {
            self.sink.tell(Event::Waiting { phase: self.phase, on });
        }
    }

    /// What was said last.
    fn last(&self) -> String {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(sink.0.lock().unwrap().len(), 2, "each change is told once");
    }
}
