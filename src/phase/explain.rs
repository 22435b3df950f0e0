//! While a phase lasts, looks for what keeps it waiting, and reports that when it changes.
//!
//! Each look is a task of its own, because a slow machine may take long to look at, and must not
//! slow the phase down. What a look finds is reported only when the next look finds it too, so that
//! what passes within two seconds, such as a restart of kubelet, is not reported.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::progress::Progress;
use crate::diagnose::{self, Blocker, Subject, Verdict};

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
    let mut last = None;
    loop {
        looks.tick().await;
        let verdict = look(subject, progress.stuck()).await;
        if last.as_ref().is_some_and(|last| is_same(last, &verdict)) {
            progress.explained(verdict.clone());
        }
        last = Some(verdict);
    }
}

/// One look, in a task that ends with this future.
pub async fn look(subject: &Arc<Subject>, stuck: Option<Blocker>) -> Verdict {
    let mut task = JoinSet::new();
    let subject = Arc::clone(subject);
    task.spawn(async move { diagnose::diagnose(&subject, stuck).await });
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
        (Verdict::Blocked(one), Verdict::Blocked(other)) => one.what == other.what,
        (Verdict::Unexplained { .. }, Verdict::Unexplained { .. }) => true,
        _ => false,
    }
}
