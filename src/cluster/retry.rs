//! Which failures are worth another try, decided here and nowhere else.
//!
//! While a cluster is born most refusals are a matter of time: the namespace comes in the same folder, the controller
//! manager has not made the service account yet, one apiserver hands over to the next. [`classify`] is a pure function
//! from a failure to a verdict. A wait that something announced is as long as the caller's deadline; one that only might end
//! well is short, so that a typing error is told soon.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use kube::core::Status;

use crate::error::chain;

/// How long to try what may never work.
pub const SHORT: Duration = Duration::from_secs(10);

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How a request failed.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The API answered with an error.
    Api {
        /// Its answer.
        status: Box<Status>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No answer, or half of one.
    Transport(String),
    /// Somebody answered whose certificate we do not trust.
    Untrusted(String),
    /// The API does not serve this kind.
    UnknownKind {
        /// Such as `apps/v1`.
        api_version: String,
        /// Such as `Deployment`.
        kind: String,
    },
    /// The object or the answer makes no sense.
    Malformed(String),
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                let retry_after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                Self::Api { status, retry_after }
            }
            kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) | kube::Error::HttpError(_) => {
                Self::Malformed(describe(&error))
            }
            _ => match describe(&error) {
                text if text.contains("invalid peer certificate") => Self::Untrusted(text),
                text => Self::Transport(text),
            },
        }
    }
}

/// An error of the client, in one line without the client's own jargon.
pub fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => message_of(status),
        _ => chain(error)
            .trim_start_matches("ServiceError: ")
            .trim_start_matches("HyperError: ")
            .trim_start_matches("client error (Connect): ")
            .to_owned(),
    }
}

/// What the objects at hand will bring: to wait for it is no mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Names of namespaces.
    pub namespaces: BTreeSet<String>,
    /// Group and kind of custom resources.
    pub kinds: BTreeSet<(String, String)>,
}

/// How long a transient failure may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as the caller waits.
    Deadline,
    /// [`SHORT`].
    Short,
}

/// What to do about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try again.
    Transient {
        /// Why it failed.
        reason: String,
        /// For how long.
        patience: Patience,
        /// When the API wants to be asked again.
        after: Option<Duration>,
    },
    /// Do not.
    Fatal {
        /// Why.
        reason: String,
    },
}

/// Whether `failure` is worth another try, given what the other objects will bring.
pub fn classify(failure: &Failure, expected: &Expected) -> Verdict {
    match failure {
        Failure::Api { status, retry_after } => classify_status(status, *retry_after, expected),
        Failure::Transport(reason) => transient(reason, Patience::Deadline, None),
        Failure::Untrusted(reason) | Failure::Malformed(reason) => fatal(reason),
        Failure::UnknownKind { api_version, kind } => {
            let group = api_version.split_once('/').map_or("", |(group, _)| group);
            let known = expected.kinds.contains(&(group.to_owned(), kind.clone()));
            let patience = if known { Patience::Deadline } else { Patience::Short };
            transient(&format!("the API serves no {kind} in {api_version}"), patience, None)
        }
    }
}

fn classify_status(status: &Status, after: Option<Duration>, expected: &Expected) -> Verdict {
    let reason = message_of(status);
    let verdict = |patience: Option<Patience>| match patience {
        Some(patience) => transient(&reason, patience, after),
        None => fatal(&reason),
    };
    match status.code {
        401 => verdict(Some(Patience::Short)), // authenticators learn their keys from informers
        403 => verdict(forbidden(&reason)),
        404 => verdict(Some(missing(status, expected))),
        409 => conflict(status, &reason, after),
        422 => verdict(invalid(&reason)),
        500 => verdict(internal(&reason)),
        408 | 410 | 429 | 502 | 503 | 504 => verdict(Some(Patience::Deadline)),
        _ => verdict(None),
    }
}

fn forbidden(reason: &str) -> Option<Patience> {
    const COMING: [&str; 4] = [
        "error looking up service account", // the controller manager makes them
        "not yet ready to handle request",  // admission waits for its informers
        "because it is being terminated",   // a namespace on its way out, to be made again
        "no API token found for service account",
    ];
    match reason {
        _ if COMING.iter().any(|text| reason.contains(text)) => Some(Patience::Deadline),
        _ if reason.contains("User \"") && reason.contains(" cannot ") => Some(Patience::Short), // RBAC is filled after the API listens
        _ => None,
    }
}

fn missing(status: &Status, expected: &Expected) -> Patience {
    let details = status.details.as_ref();
    let namespace = details.filter(|details| details.kind == "namespaces").map(|details| &details.name);
    match namespace {
        Some(name) if name.starts_with("kube-") || name == "default" => Patience::Deadline, // the apiserver makes these
        Some(name) if expected.namespaces.contains(name) => Patience::Deadline,
        _ => Patience::Short,
    }
}

fn invalid(reason: &str) -> Option<Patience> {
    // The allocator of service addresses learns its ranges from the API.
    reason.contains("failed to allocate IP").then_some(Patience::Short)
}

fn internal(reason: &str) -> Option<Patience> {
    const FATAL: [&str; 3] = [
        "failed to create typed patch object",
        "failed to create manager for existing fields",
        "denied the request",
    ];
    const COMING: [&str; 3] =
        ["failed calling webhook", "failed to allocate a serviceIP", "conversion webhook for"];
    match reason {
        _ if FATAL.iter().any(|text| reason.contains(text)) => None,
        _ if COMING.iter().any(|text| reason.contains(text)) => Some(Patience::Deadline),
        _ if reason.contains("etcdserver:") || reason.contains("context deadline exceeded") => {
            Some(Patience::Deadline)
        }
        _ => Some(Patience::Short),
    }
}

/// A field owned by somebody else is a matter for people; everything else under 409 is two writers at one moment.
fn conflict(status: &Status, reason: &str, after: Option<Duration>) -> Verdict {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let owned: Vec<_> = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| format!("{} is owned by {}", cause.field, owner(&cause.message)))
        .collect();
    match owned.as_slice() {
        [] => transient(reason, Patience::Short, after),
        _ => fatal(&format!("conflict: {} (--force-conflicts takes over)", owned.join(", "))),
    }
}

/// `conflict with "kubectl" using apps/v1` names `kubectl`.
fn owner(message: &str) -> String {
    message.split('"').nth(1).map_or_else(|| message.to_owned(), |name| format!("manager \"{name}\""))
}

fn message_of(status: &Status) -> String {
    let message = status.message.split_whitespace().collect::<Vec<_>>().join(" ");
    match message.is_empty() {
        true => format!("HTTP status {} {}", status.code, status.reason).trim().to_owned(),
        false => message,
    }
}

fn transient(reason: &str, patience: Patience, after: Option<Duration>) -> Verdict {
    Verdict::Transient { reason: reason.to_owned(), patience, after }
}

fn fatal(reason: &str) -> Verdict {
    Verdict::Fatal { reason: reason.to_owned() }
}

/// Attempts until one succeeds, one fails for good, or patience ends; the reason is told before each further try.
pub async fn retrying<T, F>(
    expected: &Expected,
    mut attempt: impl FnMut() -> F,
    mut told: impl FnMut(&str),
) -> Result<T, String>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut delays = backoff().build();
    let mut impatient_since = None;
    loop {
        let failure = match attempt().await {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        let (reason, patience, after) = match classify(&failure, expected) {
            Verdict::Transient { reason, patience, after } => (reason, patience, after),
            Verdict::Fatal { reason } => return Err(reason),
        };
        if is_spent(patience, &mut impatient_since) {
            return Err(reason);
        }
        told(&reason);
        tokio::time::sleep(after.or(delays.next()).unwrap_or(LONGEST_DELAY)).await;
    }
}

/// 50 ms to 2 s, without an end.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_factor(2.0)
        .without_max_times()
}

fn is_spent(patience: Patience, since: &mut Option<Instant>) -> bool {
    match patience {
        Patience::Deadline => {
            *since = None;
            false
        }
        Patience::Short => since.get_or_insert_with(Instant::now).elapsed() > SHORT,
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
