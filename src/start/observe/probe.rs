//! The built-in probe: what a client of this machine's API sees during the pivot.
//!
//! Twenty times a second it opens a connection for one request, and never retries: by turns
//! `/readyz` as the administrator, and `/api` as a user whom RBAC must allow that. The second fails
//! at an apiserver that answers before it knows the RBAC rules.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc::UnboundedSender, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::super::plan::Plan;
use crate::cluster::connect::{self, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::cluster::probe;
use crate::patience::Patience;
use crate::ui::{Event, Probed};

/// Time between two requests.
const INTERVAL: Duration = Duration::from_millis(50);
/// Requests that may be under way. A slow API gets no more of them at a time, so that the probe
/// does not make it slower still.
const MOST: usize = 20;
/// A slower answer is reported although it succeeded.
pub const SLOW: Duration = Duration::from_millis(250);
/// Asks the apiserver itself whether it is ready.
const READY: &str = "/readyz";
/// RBAC allows this to every authenticated user.
const ALLOWED: &str = "/api";
/// The user of that request, who has no other rights.
const USER: &str = "bootkube-probe";

/// Where requests go, and as which user.
#[derive(Clone)]
pub struct Target {
    access: Access,
    endpoint: SocketAddr,
}

/// One request.
struct Sample {
    path: &'static str,
    began: Instant,
    took: Duration,
    /// Why it failed, if it did.
    error: Option<String>,
}

impl Target {
    /// This machine's API at its clients' address if `local` has that, else at `local`'s first.
    pub fn of(plan: &Plan, local: &[IpAddr]) -> Option<Self> {
        let host = connect::server_name(&plan.access).parse().ok();
        let named = host.filter(|host| local.contains(host));
        let address = named.or(local.first().copied())?;
        Some(Self { access: plan.access.clone(), endpoint: SocketAddr::new(address, plan.api_port()) })
    }

    async fn ask(self, turn: u64) -> Sample {
        let began = Instant::now();
        let (access, endpoint) = (&self.access, Some(self.endpoint));
        let (path, answer) = match turn.is_multiple_of(2) {
            true => (READY, probe::ask(access, endpoint, READY, Patience::USUAL).await),
            false => (ALLOWED, probe::ask_as(USER, access, endpoint, ALLOWED, Patience::USUAL).await),
        };
        let error = match answer {
            Ok(Readyz::Ready) => None,
            Ok(Readyz::NotReady { status, lines }) => Some(format!("{status}: {}", lines.join("; "))),
            Ok(Readyz::Silent(late)) => Some(late.to_string()),
            Ok(Readyz::Unreachable(why)) => Some(why),
            Err(error) => Some(error.to_string()),
        };
        Sample { path, began, took: began.elapsed(), error }
    }
}

/// Sends requests until `over`. Reports each that failed or was slow, and at the end the sum.
pub async fn run(target: Target, mut over: watch::Receiver<bool>, events: UnboundedSender<Event>) {
    let mut tally = Tally::default();
    let mut asked = JoinSet::new();
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut turn = 0;
    loop {
        tokio::select! {
            _ = ticks.tick(), if asked.len() < MOST => {
                asked.spawn(target.clone().ask(turn));
                turn += 1;
            }
            Some(Ok(sample)) = asked.join_next() => tally.add(sample, &events),
            _ = over.changed() => break,
        }
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok(sample) = answer {
            tally.add(sample, &events);
        }
    }
    events.send(Event::Probed(tally.sum(Instant::now()))).ok(); // the receiver ends with the pivot
}

/// What was seen since the API first said that it is ready; before, failures are expected.
#[derive(Default)]
struct Tally {
    sum: Probed,
    /// When it was first ready, and the last success.
    answered: Option<(Instant, Instant)>,
}

impl Tally {
    fn add(&mut self, sample: Sample, events: &UnboundedSender<Event>) {
        let Sample { path, began, took, error } = sample;
        let end = began + took;
        if self.answered.is_none() && path == READY && error.is_none() {
            self.answered = Some((end, end));
        }
        let Some((first, last)) = self.answered else { return };
        match &error {
            Some(_) if began < first => return,
            Some(_) => self.sum.failed += 1,
            None => {
                self.sum.ok += 1;
                self.sum.slowest = self.sum.slowest.max(took);
                self.sum.longest_gap = self.sum.longest_gap.max(end.saturating_duration_since(last));
                self.answered = Some((first, last.max(end)));
            }
        }
        if error.is_some() || took >= SLOW {
            events.send(Event::Request { path: path.to_owned(), error, took }).ok(); // the receiver ends with the pivot
        }
    }

    /// A silence at the end is a gap too.
    fn sum(mut self, end: Instant) -> Probed {
        let last = self.answered.map_or(end, |(_, last)| last);
        self.sum.longest_gap = self.sum.longest_gap.max(end.saturating_duration_since(last));
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Samples as (path, began, took, failed), in milliseconds, in the order in which they end.
    fn tally(samples: &[(&'static str, u64, u64, bool)], end: u64) -> (Probed, usize) {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut tally = Tally::default();
        for &(path, began, took, failed) in samples {
            let error = failed.then(|| "403".to_owned());
            let took = Duration::from_millis(took);
            tally.add(Sample { path, began: at(began), took, error }, &sender);
        }
        let events = std::iter::from_fn(|| receiver.try_recv().ok()).count();
        (tally.sum(at(end)), events)
    }

    #[test]
    fn what_happens_before_it_is_ready_is_neither_counted_nor_told() {
        let samples = [
            (READY, 0, 5, true),
            (ALLOWED, 20, 5, false),
            (READY, 50, 10, false),
            (ALLOWED, 55, 10, true),
            (ALLOWED, 100, 10, true),
        ];
        let (sum, events) = tally(&samples, 110);
        assert_eq!((sum.ok, sum.failed, events), (1, 1, 1), "the second failure began before it was ready");
    }

    #[test]
    fn gaps_lie_between_answers_and_reach_to_the_end() {
        let samples = [(READY, 0, 10, false), (ALLOWED, 50, 300, false), (READY, 100, 10, true)];
        let (sum, events) = tally(&samples, 900);
        assert_eq!((sum.slowest.as_millis(), sum.longest_gap.as_millis(), events), (300, 550, 2));
        let never = tally(&[(READY, 0, 10, true)], 900).0;
        assert_eq!(never, Probed::default(), "without an answer there is no gap");
    }
}
