//! Figures of a story: flat for programs, and a few lines for the terminal.

use std::time::Duration;

use serde::Serialize;

use super::story::{Listeners, Story, Transition};
use crate::ui::{PodLife, Probed, ms};

/// The percentile that stands for the transitions.
const PERCENTILE: usize = 95;

/// Figures, by the names under which runs are compared. Those of the probe exist only if it ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Duration of the command.
    pub total_ms: f64,
    /// Objects that are now as in their manifests.
    pub objects_applied: usize,
    /// Objects that the API refused, or that were skipped.
    pub objects_refused: usize,
    /// Delay from a change that `start` waited for to its next act: the 95th percentile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition_overhead_ms: Option<f64>,
    /// The longest such delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition_overhead_max_ms: Option<f64>,
    /// Requests of the probe that were answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ok_requests: Option<u64>,
    /// Requests of the probe that failed after the first success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_requests: Option<u64>,
    /// The slowest answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest_request_ms: Option<f64>,
    /// Longest time between two answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_gap_ms: Option<f64>,
}

impl Figures {
    /// The figures of `story`.
    pub fn new(story: &Story) -> Self {
        let refused = story.objects.iter().filter(|object| is_refusal(object.outcome)).count();
        let overheads = sorted(&story.transitions);
        let probe = story.probe.as_ref();
        Self {
            total_ms: ms(story.total()),
            objects_applied: story.objects.len() - refused,
            objects_refused: refused,
            transition_overhead_ms: percentile(&overheads).map(ms),
            transition_overhead_max_ms: overheads.last().copied().map(ms),
            ok_requests: probe.map(|probe| probe.ok),
            failed_requests: probe.map(|probe| probe.failed),
            slowest_request_ms: probe.map(|probe| ms(probe.slowest)),
            longest_gap_ms: probe.map(|probe| ms(probe.longest_gap)),
        }
    }
}

/// Whether an object with this outcome differs from its manifest.
pub(super) fn is_refusal(outcome: &str) -> bool {
    matches!(outcome, "failed" | "skipped")
}

fn sorted(transitions: &[Transition]) -> Vec<Duration> {
    let mut overheads: Vec<Duration> = transitions.iter().map(|transition| transition.took).collect();
    overheads.sort();
    overheads
}

/// The percentile by nearest rank: always a measured value, never a mean.
fn percentile(sorted: &[Duration]) -> Option<Duration> {
    let rank = (sorted.len() * PERCENTILE).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

impl Story {
    /// The figures for the terminal, one kind per line. Kinds without a figure are left out.
    pub fn lines(&self) -> Vec<String> {
        [self.phase_line(), self.pod_line(), self.listener_line(), self.overhead_line(), self.probe_line()]
            .into_iter()
            .flatten()
            .collect()
    }

    fn phase_line(&self) -> Option<String> {
        join(self.phases.iter().map(|phase| format!("{} {}", phase.name, seconds(phase.took))))
    }

    /// Pods of an earlier run are left out: they became Ready before this one.
    fn pod_line(&self) -> Option<String> {
        let own = self.pods.iter().filter(|pod| pod.created.is_some_and(|at| at >= self.began));
        let took =
            |pod: &PodLife| Some(format!("{} {} s", pod.name, (pod.ready? - pod.created?).whole_seconds()));
        join(own.filter_map(took)).map(|pods| format!("pods, from created to ready: {pods}"))
    }

    fn listener_line(&self) -> Option<String> {
        let port = self.listeners.last()?.port;
        let one = |Listeners { start, count, .. }: &Listeners| format!("{count} at {}", seconds(*start));
        join(self.listeners.iter().map(one)).map(|counts| format!("listeners on port {port}: {counts}"))
    }

    fn overhead_line(&self) -> Option<String> {
        let p95 = percentile(&sorted(&self.transitions))?;
        let slowest = self.transitions.iter().max_by_key(|transition| transition.took)?;
        Some(format!(
            "from a change to the next act: {} at most for {PERCENTILE} % of {}; the slowest {}: {}",
            millis(p95),
            self.transitions.len(),
            millis(slowest.took),
            slowest.change,
        ))
    }

    fn probe_line(&self) -> Option<String> {
        let Probed { ok, failed, slowest, longest_gap } = self.probe?;
        let (slowest, gap) = (millis(slowest), millis(longest_gap));
        Some(format!("probe: {ok} requests answered, {failed} failed; slowest {slowest}, longest gap {gap}"))
    }
}

fn join(parts: impl Iterator<Item = String>) -> Option<String> {
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Seconds, for display.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Milliseconds, for display.
pub(super) fn millis(duration: Duration) -> String {
    match ms(duration) {
        small if small < 10.0 => format!("{small:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_those_measured() {
        let of = |count: u64| percentile(&(1..=count).map(Duration::from_millis).collect::<Vec<_>>());
        assert_eq!(of(0), None);
        assert_eq!(of(1), Some(Duration::from_millis(1)));
        assert_eq!(of(19), Some(Duration::from_millis(19)));
        assert_eq!(of(20), Some(Duration::from_millis(19)));
        assert_eq!(of(100), Some(Duration::from_millis(95)));
    }
}
