//! While a phase lasts, looks for what keeps it waiting, and reports that when it changes.
//!
//! Each look is a task of its own, because a slow machine may take long to look at, and must not
//! slow the phase down. What a look finds is reported only when the next look finds it too, and
//! only if it has lasted as long as its cause asks for. So what passes by itself is not reported.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::progress::Progress;
use crate::diagnose::{self, Subject, Verdict};

/// A phase that ends sooner needs no explanation.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// Runs `work`, and meanwhile reports through `progress` what keeps it waiting.
pub async fn beside<T>(
    subject: Option<&Arc<Subject>>,
    progress: &Progress<'_>,
    work: impl Future<Output = T>,
) -> T {
    let Some(subject) = subject else { return work.await };
    tokio::select! {
        biased;
        done = work => done,
        never = watch(subject, progress) => match never {},
    }
}

async fn watch(subject: &Arc<Subject>, progress: &Progress<'_>) -> Infallible {
    let mut looks = interval_at(Instant::now() + PATIENCE, INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    loop {
        looks.tick().await;
        let verdict = look(subject, progress).await;
        if seen.has_lasted(&verdict, Instant::now()) {
            progress.explained(verdict);
        }
    }
}

/// What the last looks found.
#[derive(Default)]
struct Seen {
    /// The last verdict, and since when every look has come to it.
    last: Option<(Verdict, Instant)>,
}

impl Seen {
    /// Whether the look before came to the same verdict, and it has lasted as long as it must.
    fn has_lasted(&mut self, verdict: &Verdict, now: Instant) -> bool {
        let since = self.last.take().filter(|(last, _)| is_same(last, verdict)).map(|(_, since)| since);
        self.last = Some((verdict.clone(), since.unwrap_or(now)));
        since.is_some_and(|since| now - since >= verdict.least())
    }
}

/// One look, in a task that ends with this future.
pub async fn look(subject: &Arc<Subject>, progress: &Progress<'_>) -> Verdict {
    let mut task = JoinSet::new();
    let underway = progress.underway(&subject.objects);
    let subject = Arc::clone(subject);
    task.spawn(async move { diagnose::diagnose(&subject, underway).await });
    match task.join_next().await {
        Some(Ok(verdict)) => verdict,
        ended => {
            tracing::warn!(?ended, "the look at the machine ended early");
            Verdict::Unexplained { unseen: Vec::new() }
        }
    }
}

/// Whether both say the same; figures in their reasons may differ.
fn is_same(one: &Verdict, other: &Verdict) -> bool {
    match (one, other) {
        (Verdict::Blocked { blocker: one, .. }, Verdict::Blocked { blocker: other, .. }) => {
            one.what == other.what
        }
        (Verdict::Unexplained { .. }, Verdict::Unexplained { .. }) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Blocker;

    #[test]
    fn a_verdict_is_reported_when_two_looks_agree_and_its_cause_has_lasted() {
        let blocked = |what: &str, least: u64| Verdict::Blocked {
            blocker: Blocker::new(what, "why", "cure"),
            least: Duration::from_secs(least),
        };
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut seen = Seen::default();
        assert!(!seen.has_lasted(&blocked("etcd is away", 0), now));
        assert!(seen.has_lasted(&blocked("etcd is away", 0), now + 2 * second));
        assert!(!seen.has_lasted(&blocked("the apiserver starts", 5), now + 4 * second));
        assert!(!seen.has_lasted(&blocked("the apiserver starts", 5), now + 6 * second));
        assert!(seen.has_lasted(&blocked("the apiserver starts", 5), now + 10 * second));
        assert!(!seen.has_lasted(&Verdict::Unexplained { unseen: Vec::new() }, now + 12 * second));
    }
}
