//! Warnings of a cluster: which of them still hold, and for how long they have. Pure.
//!
//! # Clocks
//! A component dates its reports by its own clock, and the apiserver dates the object of an event
//! by its own. Machines' clocks differ, so only times of one clock are compared: the first report
//! with the last one, and the creation of the event with the apiserver's present moment.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use time::{Duration, OffsetDateTime};

use super::evidence::Cluster;

/// What has been reported for less time than this usually passes by itself.
pub const LASTING: Duration = Duration::seconds(5);
/// Components try again after ten seconds at the latest, and later more and more rarely.
const GAP: Duration = Duration::seconds(20);

/// What was reported about an object.
pub struct Trouble<'a> {
    /// The newest event.
    pub event: &'a Event,
    /// How often something was reported.
    reports: i32,
    /// From the first report to the last.
    lasted: Duration,
    /// Since the first report.
    age: Duration,
}

impl<'a> Trouble<'a> {
    /// What was reported for one of `reasons` about the object called `name`.
    pub fn about(name: &str, reasons: &[&str], cluster: &'a Cluster) -> Option<Self> {
        Self::of(|about| about == name, reasons, cluster)
    }

    /// The same about objects whose name begins with `prefix`: what a workload has made.
    pub fn among(prefix: &str, reasons: &[&str], cluster: &'a Cluster) -> Option<Self> {
        Self::of(|about| about.starts_with(prefix), reasons, cluster)
    }

    fn of(is_meant: impl Fn(&str) -> bool, reasons: &[&str], cluster: &'a Cluster) -> Option<Self> {
        let is_it = |event: &&Event| {
            let about = event.involved_object.name.as_deref().unwrap_or_default();
            is_meant(about) && reasons.contains(&event.reason.as_deref().unwrap_or_default())
        };
        let all = || cluster.events.iter().filter(is_it);
        let first = all().filter_map(first).min()?;
        let (last, event) =
            all().filter_map(|event| Some((last(event)?, event))).max_by_key(|(at, _)| *at)?;
        let age = all().filter_map(|event| age(&event.metadata, cluster.now)).max()?;
        Some(Self { event, reports: all().map(count).sum(), lasted: last - first, age })
    }

    /// Whether it is reported again and again, the last time recently. The pauses between attempts
    /// grow with their number, so a longer silence than all the time before means that it passed.
    pub fn goes_on(&self) -> bool {
        self.reports > 1 && self.lasted >= LASTING && self.silence() <= self.lasted + GAP
    }

    /// Whether it was first reported long enough ago.
    pub fn has_lasted(&self) -> bool {
        self.age >= LASTING
    }

    /// Since the last report.
    pub fn silence(&self) -> Duration {
        self.age - self.lasted
    }

    /// What was said last.
    pub fn said(&self) -> String {
        self.event.message.clone().unwrap_or_default()
    }
}

/// How long an object has existed, on the apiserver's clock.
pub fn age(metadata: &ObjectMeta, now: OffsetDateTime) -> Option<Duration> {
    Some(now - moment(metadata.creation_timestamp.as_ref()?)?)
}

/// When an event was last reported, on the clock of the component that reports.
pub fn last(event: &Event) -> Option<OffsetDateTime> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    event.last_timestamp.as_ref().and_then(moment).or_else(|| series.and_then(micro)).or_else(|| first(event))
}

fn first(event: &Event) -> Option<OffsetDateTime> {
    event.first_timestamp.as_ref().and_then(moment).or_else(|| event.event_time.as_ref().and_then(micro))
}

fn count(event: &Event) -> i32 {
    let series = event.series.as_ref().and_then(|series| series.count);
    series.or(event.count).unwrap_or(1)
}

/// A timestamp of the API.
pub fn moment(time: &Time) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.0.as_second()).ok()
}

fn micro(time: &MicroTime) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.0.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:10 UTC);

    /// A cluster with one event, which kubelet, whose clock is an hour behind, reported `count`
    /// times from `first` to `last` seconds ago.
    fn cluster(first: i64, last: i64, count: i32) -> Cluster {
        let at = |ago: i64, clock: Duration| crate::pki::rfc3339(NOW - Duration::seconds(ago) + clock);
        let behind = -Duration::HOUR;
        let event = json!({
            "metadata": {"name": "e", "creationTimestamp": at(first, Duration::ZERO)}, "type": "Warning",
            "reason": "FailedMount", "message": "m", "involvedObject": {"name": "web-1"}, "count": count,
            "firstTimestamp": at(first, behind), "lastTimestamp": at(last, behind),
        });
        Cluster { events: vec![serde_json::from_value(event).unwrap()], ..Cluster::at(NOW) }
    }

    fn goes_on(first: i64, last: i64, count: i32) -> bool {
        Trouble::among("web-", &["FailedMount"], &cluster(first, last, count)).unwrap().goes_on()
    }

    #[test]
    fn what_is_reported_again_and_again_goes_on_whatever_the_clock_of_its_machine_says() {
        assert!(goes_on(8, 1, 4));
        assert!(goes_on(300, 100, 9), "attempts are two minutes apart by now");
    }

    #[test]
    fn what_was_reported_once_or_for_a_moment_or_long_ago_has_passed() {
        assert!(!goes_on(8, 8, 1), "once");
        assert!(!goes_on(3, 1, 3), "for two seconds");
        assert!(!goes_on(60, 50, 5), "no report for longer than it had lasted");
    }

    #[test]
    fn an_event_of_the_newer_api_has_a_series() {
        let event = json!({
            "metadata": {"name": "e", "creationTimestamp": "2026-01-01T00:09:40Z"}, "type": "Warning",
            "reason": "FailedScheduling", "message": "m", "involvedObject": {"name": "web-1"},
            "eventTime": "2026-01-01T00:09:40.000000Z",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:09:55.000000Z"},
        });
        let events = vec![serde_json::from_value(event).unwrap()];
        let cluster = Cluster { events, ..Cluster::at(NOW) };
        assert!(Trouble::about("web-1", &["FailedScheduling"], &cluster).unwrap().goes_on());
        assert!(Trouble::about("other", &["FailedScheduling"], &cluster).is_none());
    }
}
