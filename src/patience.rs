//! How long an answer is waited for. Every question to a component that is not part of a longer wait
//! takes its limit from here.
//!
//! A component that is away refuses the connection, which is known at once. One that accepts it may be
//! slow: on a fifth of a processor an answer takes ten times as long. If a question is given up after
//! a fixed second and asked anew, a slow component gets more to do than it can answer, and looks as if
//! it were away. So a question is given up late where nothing else is to be done meanwhile
//! ([`ANSWER`]). Where something is, a [`Pace`] follows what the component has shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a connection may take to be accepted. The kernel accepts it, however busy the component
/// is. After a second it sends a lost packet again.
pub const ACCEPT: Duration = Duration::from_secs(5);
/// How long each further step may take once the connection was accepted: the TLS handshake, an answer.
pub const ANSWER: Duration = Duration::from_secs(10);
/// An answer may take so many times as long as the last one.
const MARGIN: u32 = 4;

/// How long the steps of one question may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until the connection is accepted.
    pub accept: Duration,
    /// For each step after that.
    pub answer: Duration,
}

impl Patience {
    /// Of a question that nothing else waits for.
    pub const USUAL: Self = Self { accept: ACCEPT, answer: ANSWER };

    /// With `answer` for each step.
    pub fn of(answer: Duration) -> Self {
        Self { accept: answer.min(ACCEPT), answer }
    }
}

/// That a step of a question took longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f64())]
pub struct Late(pub Duration);

/// `work`, unless it takes longer than `limit`.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Late> {
    tokio::time::timeout(limit, work).await.map_err(|_| Late(limit))
}

/// The limit of the next question to one component. It follows the time that the last answer took, up
/// to [`ANSWER`]. When there was no answer in time it doubles, up to a limit of its own: a fast machine
/// must not wait long for a component that is stuck.
#[derive(Debug)]
pub struct Pace {
    least: Duration,
    silent: Duration,
    /// In milliseconds.
    limit: AtomicU64,
    /// The limit after the last answer.
    shown: AtomicU64,
}

impl Pace {
    /// Of a component that has not been asked: `least` at first, and up to `silent` if it is silent.
    pub const fn new(least: Duration, silent: Duration) -> Self {
        let first = least.as_millis() as u64;
        Self { least, silent, limit: AtomicU64::new(first), shown: AtomicU64::new(first) }
    }

    /// How long the next answer may take.
    pub fn limit(&self) -> Duration {
        Duration::from_millis(self.limit.load(Ordering::Relaxed))
    }

    /// Learns that an answer came after `took`.
    pub fn answered(&self, took: Duration) {
        self.set(took * MARGIN);
        self.shown.store(self.limit.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Forgets that there was no answer, because another component may answer from now on.
    pub fn forget_silence(&self) {
        self.limit.store(self.shown.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Learns that none came within the limit.
    pub fn missed(&self) {
        let limit = self.limit();
        self.set((limit * 2).min(self.silent).max(limit));
    }

    fn set(&self, limit: Duration) {
        let limit = limit.clamp(self.least, ANSWER.max(self.least));
        self.limit.store(limit.as_millis() as u64, Ordering::Relaxed);
    }

    /// `question`, within the present limit. An answer and a silence change the next limit; an error
    /// shows nothing of the component's pace.
    pub async fn within<T, E>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, Late> {
        let begun = Instant::now();
        let answer = within(self.limit(), question).await;
        match &answer {
            Ok(Ok(_)) => self.answered(begun.elapsed()),
            Ok(Err(_)) => {}
            Err(Late(_)) => self.missed(),
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_next_answer_is_waited_for_longer_after_a_silence_and_after_a_slow_answer() {
        let pace = Pace::new(2 * SECOND, ANSWER);
        pace.missed();
        assert_eq!(pace.limit(), 4 * SECOND);
        pace.answered(2 * SECOND);
        assert_eq!(pace.limit(), 8 * SECOND);
        (0..10).for_each(|_| pace.missed());
        assert_eq!(pace.limit(), ANSWER);
        pace.answered(SECOND / 100);
        assert_eq!(pace.limit(), 2 * SECOND, "a fast one is soon known to be stuck");
    }

    #[test]
    fn silence_is_not_waited_for_longer_and_longer_where_a_look_must_end_soon() {
        let pace = Pace::new(SECOND, 2 * SECOND);
        (0..10).for_each(|_| pace.missed());
        assert_eq!(pace.limit(), 2 * SECOND);
        pace.answered(2 * SECOND);
        pace.missed();
        assert_eq!(pace.limit(), 8 * SECOND, "it has answered as late as that");
    }

    #[test]
    fn the_silence_of_one_component_is_no_time_for_the_next() {
        let pace = Pace::new(SECOND, ANSWER);
        pace.answered(SECOND);
        (0..10).for_each(|_| pace.missed());
        pace.forget_silence();
        assert_eq!(pace.limit(), 4 * SECOND, "the machine has shown to be slow");
    }

    /// Each answer takes longer than the first limit. Asked anew each time, none would ever come.
    #[tokio::test]
    async fn a_component_that_is_always_slower_than_the_first_limit_is_heard() {
        let pace = Pace::new(SECOND / 50, ANSWER);
        let mut silences = 0;
        for _ in 0..10 {
            let question = async {
                tokio::time::sleep(SECOND / 10).await;
                Ok::<_, ()>(())
            };
            silences += usize::from(pace.within(question).await.is_err());
        }
        assert!(silences <= 4, "after 20 ms, 40 ms, 80 ms, and on a busy machine once more: {silences}");
    }

    #[test]
    fn a_connection_is_never_waited_for_longer_than_an_answer() {
        assert_eq!(Patience::of(SECOND), Patience { accept: SECOND, answer: SECOND });
        assert_eq!(Patience::of(60 * SECOND), Patience { accept: ACCEPT, answer: 60 * SECOND });
    }
}
