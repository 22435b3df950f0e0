//! Times that only hold together: of leases, and of etcd's elections.

use std::time::Duration;

use super::input::{Input, only};
use crate::config::Component;
use crate::config::resolve::Argument;
use crate::values::go_duration;
use crate::values::mistakes::Mistakes;

/// What Kubernetes takes if no flag says otherwise
/// (component-base/config/v1alpha1/defaults.go), and the period that bootkube sets.
const LEASE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(750);
/// A retry is late by a fifth at most (client-go, JitterFactor).
const JITTER: f64 = 1.2;
/// etcd's, in milliseconds.
const HEARTBEAT: u64 = 100;
const ELECTION: u64 = 1000;

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    for part in [Component::ControllerManager, Component::Scheduler] {
        leases(input, part, mistakes);
    }
    elections(input, mistakes);
}

/// The process ends unless the lease outlasts the deadline, and the deadline a retry.
fn leases(input: &Input<'_>, part: Component, mistakes: &mut Mistakes) {
    let time = |name, default| read(input.argument(part, name), default, duration);
    let lease = time("leader-elect-lease-duration", LEASE);
    let deadline = time("leader-elect-renew-deadline", DEADLINE);
    let retry = time("leader-elect-retry-period", RETRY);
    let (Some(lease), Some(deadline), Some(retry)) = (lease, deadline, retry) else { return };
    if let Some(at) = lease.at.or(deadline.at).filter(|_| lease.value <= deadline.value) {
        let problem = format!(
            "makes the lease ({}) no longer than the deadline for its renewal ({})",
            shown(lease.value),
            shown(deadline.value)
        );
        let cure = "make leader-elect-lease-duration longer than leader-elect-renew-deadline";
        mistakes.refuse(&at.at, only(at).unwrap_or_default(), problem, cure);
    }
    let late = retry.value.mul_f64(JITTER);
    if let Some(at) = deadline.at.or(retry.at).filter(|_| deadline.value <= late) {
        let problem = format!(
            "leaves no time for a retry: the deadline ({}) must be longer than 1.2 times the period ({})",
            shown(deadline.value),
            shown(retry.value)
        );
        let cure = "make leader-elect-renew-deadline longer, or leader-elect-retry-period shorter";
        mistakes.refuse(&at.at, only(at).unwrap_or_default(), problem, cure);
    }
}

/// etcd ends unless five heartbeats fit into an election.
fn elections(input: &Input<'_>, mistakes: &mut Mistakes) {
    let time =
        |name, default| read(input.argument(Component::Etcd, name), default, |text| text.parse::<u64>().ok());
    let (Some(heartbeat), Some(election)) =
        (time("heartbeat-interval", HEARTBEAT), time("election-timeout", ELECTION))
    else {
        return;
    };
    let least = heartbeat.value.saturating_mul(5);
    if let Some(at) = election.at.or(heartbeat.at).filter(|_| least > election.value) {
        let (election, heartbeat) = (election.value, heartbeat.value);
        let problem = format!(
            "makes election-timeout ({election} ms) shorter than five times heartbeat-interval ({heartbeat} ms)"
        );
        mistakes.refuse(
            &at.at,
            only(at).unwrap_or_default(),
            problem,
            format!("set election-timeout to at least \"{least}\""),
        );
    }
}

/// A time, and the flag that sets it.
struct Time<'i, T> {
    value: T,
    at: Option<&'i Argument>,
}

/// `None` if the flag is wrong, which is reported elsewhere.
fn read<T>(
    argument: Option<&Argument>,
    default: T,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<Time<'_, T>> {
    match argument.filter(|argument| !argument.values.is_empty()) {
        None => Some(Time { value: default, at: None }),
        Some(argument) => Some(Time { value: parse(only(argument)?)?, at: Some(argument) }),
    }
}

fn duration(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(go_duration::seconds(text)?).ok()
}

fn shown(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}
