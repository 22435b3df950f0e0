//! The events. Names and fields here are those of the events file (`docs/events.md`): renaming or
//! removing one changes its version, adding one does not.

use std::time::Duration;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use crate::timestamp::rfc3339;

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The command began.
    Begun {
        /// Version of this program.
        bootkube: &'static str,
    },
    /// A phase began.
    PhaseStarted {
        /// Its name.
        phase: &'static str,
    },
    /// A phase succeeded.
    PhaseFinished {
        /// Its name.
        phase: &'static str,
        /// How long it took.
        #[serde(rename = "took_ms", serialize_with = "as_ms")]
        elapsed: Duration,
    },
    /// A phase failed, and the command ends with it.
    PhaseFailed {
        /// Its name.
        phase: &'static str,
        /// How long it took.
        #[serde(rename = "took_ms", serialize_with = "as_ms")]
        elapsed: Duration,
    },
    /// What the phase is waiting for changed: the first thing not yet ready, and why.
    Waiting {
        /// Its name.
        phase: &'static str,
        /// What is not ready and why, as a sentence without its full stop.
        on: String,
    },
    /// What was found to be in the way of a phase that lasts; reported when it changes.
    Blocked {
        /// Its name.
        phase: &'static str,
        /// What is wrong, as a sentence without its full stop.
        what: String,
        /// How that is known.
        why: String,
        /// What to do about it.
        #[serde(rename = "do")]
        cure: String,
    },
    /// What was in the way is resolved, and nothing else was found.
    Unblocked {
        /// Its name.
        phase: &'static str,
    },
    /// An object of the manifests was applied, or finally refused.
    ObjectApplied {
        /// The manifest's file.
        file: String,
        /// `Kind namespace/name`.
        object: String,
        /// created, configured, unchanged, failed or skipped.
        outcome: &'static str,
        /// Why, where it failed or was skipped.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// From the start of its stage to the outcome, retries included.
        #[serde(rename = "took_ms", serialize_with = "as_ms")]
        took: Duration,
    },
    /// A pod that is waited for progressed.
    Pod(PodLife),
    /// The number of listeners on the API's port of this machine changed.
    Listeners {
        /// The port.
        port: u16,
        /// How many.
        count: usize,
    },
    /// A request of the probe failed or was slow; reported when it ended.
    Request {
        /// Its path.
        path: String,
        /// Why it failed; `None` for one that was only slow.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// How long it took.
        #[serde(rename = "took_ms", serialize_with = "as_ms")]
        took: Duration,
    },
    /// A summary of the probe, reported once, when it has ended.
    Probed(Probed),
    /// A wait ended, and the next act began.
    Transition {
        /// The change that ended the wait.
        change: String,
        /// The act that followed.
        act: String,
        /// Where the time is counted from.
        basis: Basis,
        /// From there to the beginning of the act.
        #[serde(rename = "took_ms", serialize_with = "as_ms")]
        took: Duration,
    },
    /// Something was done to the machine or to the API, or was found to be as it should be. Objects
    /// have [`Event::ObjectApplied`] instead.
    Act {
        /// In which phase.
        phase: &'static str,
        /// A word of docs/dry-run.md.
        act: &'static str,
        /// To what: a path or `Kind namespace/name`.
        what: String,
        /// Why, or with which values.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something was done; one line.
    Info(#[serde(serialize_with = "as_text")] String),
    /// Something unexpected, or refused, that does not stop the work.
    Warning(#[serde(serialize_with = "as_text")] String),
    /// The command ends. Always the last event: a file without it was cut off.
    Ended(End),
}

/// The progress of a pod, by the timestamps in its own object, which are whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodLife {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// When its controller created it.
    #[serde(serialize_with = "as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub created: Option<OffsetDateTime>,
    /// When it was scheduled.
    #[serde(serialize_with = "as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<OffsetDateTime>,
    /// When the last of its containers started.
    #[serde(serialize_with = "as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub running: Option<OffsetDateTime>,
    /// Ready for the last time.
    #[serde(serialize_with = "as_rfc3339", skip_serializing_if = "Option::is_none")]
    pub ready: Option<OffsetDateTime>,
}

/// What a probe saw from the moment on when the API first said that it is ready: before, nothing
/// was promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Probed {
    /// Answered with success.
    pub ok: u64,
    /// Not answered with success.
    pub failed: u64,
    /// The slowest success.
    #[serde(rename = "slowest_ms", serialize_with = "as_ms")]
    pub slowest: Duration,
    /// Longest time between two successes, or between the last one and the end.
    #[serde(rename = "longest_gap_ms", serialize_with = "as_ms")]
    pub longest_gap: Duration,
}

/// From when the time to the next act is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// From the arrival of the watch event with the change. The time that the API took to send it
    /// is not included, because timestamps of objects are whole seconds.
    Arrival,
    /// From the last look that found it otherwise: the change came after that, so the time is an
    /// upper bound.
    LastLook,
}

/// How the command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct End {
    /// The program's exit code.
    pub exit_code: u8,
    /// The node of this machine, after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What went wrong, after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// What the report of a failure says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Name of the exit code: general, configuration or preflight.
    pub class: &'static str,
    /// What failed, on what, and why.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Milliseconds, to the microsecond.
pub fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn as_ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(ms(*duration))
}

fn as_rfc3339<S: Serializer>(at: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

/// An event that is one text, as an object like all others.
fn as_text<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Text<'a> {
        text: &'a str,
    }
    Text { text }.serialize(serializer)
}
