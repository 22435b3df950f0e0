//! Which failures are worth a retry, and how requests are retried. Both are decided here and nowhere else.
//!
//! While a cluster starts, most refusals are a matter of time: a namespace comes from the same folder, the
//! controller manager has not created the service account yet, one apiserver hands over to the next.
//! [`classify`] is a pure function from a failure to a verdict. A failure that is known to pass is retried until
//! the caller's deadline. One that only may pass is retried for [`SHORT`], so that a typing error is reported
//! soon.
//!
//! A caller chooses by what it needs:
//!
//! - [`retrying`]: until success or a verdict, with each reason to a callback;
//! - [`persist`]: the same for one named act, with an error for the user;
//! - [`poll`]: an observation that cannot be watched, until it succeeds;
//! - [`within`]: once, with a time limit.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use kube::core::Status;

use super::error::{Error, message_of};
use crate::patience;

pub use super::error::describe;

/// How long to retry what may never work.
pub const SHORT: Duration = Duration::from_secs(10);
/// The same where attempts are slow: as long as so many of them take, up to [`LONG`].
const ATTEMPTS: u32 = 20;
const LONG: Duration = Duration::from_secs(60);

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How a request failed.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The API answered with an error.
    Api {
        /// Its answer.
        status: Box<Status>,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// No answer, or an incomplete one.
    Transport(String),
    /// The server's certificate does not verify.
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

/// What the objects that are applied together will create, and so is worth waiting for.
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
    /// [`SHORT`], or longer where attempts are slow.
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
        /// The `Retry-After` of the API.
        after: Option<Duration>,
    },
    /// Do not.
    Fatal {
        /// Why.
        reason: String,
    },
}

/// Whether `failure` is worth a retry, given what the other objects will create.
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
        401 => verdict(Some(Patience::Short)), // authenticators get their keys from informers
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
        "error looking up service account", // the controller manager creates them
        "not yet ready to handle request",  // admission waits for its informers
        "because it is being terminated",   // a namespace that is terminating, to be created again
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
        Some(name) if name.starts_with("kube-") || name == "default" => Patience::Deadline, // the apiserver creates these
        Some(name) if expected.namespaces.contains(name) => Patience::Deadline,
        _ => Patience::Short,
    }
}

fn invalid(reason: &str) -> Option<Patience> {
    // The allocator of service addresses reads its ranges from the API.
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

/// A field owned by another manager needs a decision of the user. Any other 409 is two writes at the same time.
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

fn transient(reason: &str, patience: Patience, after: Option<Duration>) -> Verdict {
    Verdict::Transient { reason: reason.to_owned(), patience, after }
}

fn fatal(reason: &str) -> Verdict {
    Verdict::Fatal { reason: reason.to_owned() }
}

/// Attempts until one succeeds, one fails for good, or patience ends. `report` gets the reason before each retry.
///
/// # Errors
/// The reason of the last failure.
pub async fn retrying<T, F>(
    expected: &Expected,
    mut attempt: impl FnMut() -> F,
    mut report: impl FnMut(&str),
) -> Result<T, String>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut delays = backoff().build();
    let mut impatient_since = None;
    loop {
        let begun = Instant::now();
        let failure = match attempt().await {
            Ok(done) => return Ok(done),
            Err(failure) => failure,
        };
        let short = (begun.elapsed() * ATTEMPTS).clamp(SHORT, LONG);
        let (reason, patience, after) = match classify(&failure, expected) {
            Verdict::Transient { reason, patience, after } => (reason, patience, after),
            Verdict::Fatal { reason } => return Err(reason),
        };
        if is_spent(patience, short, &mut impatient_since) {
            return Err(reason);
        }
        report(&reason);
        tokio::time::sleep(after.or(delays.next()).unwrap_or(LONGEST_DELAY)).await;
    }
}

/// Retries `attempt`, which is to `act` on `object`, and expects no help from other objects.
///
/// # Errors
/// The API refuses for good; the error names the act and the object.
pub async fn persist<T, F>(act: &'static str, object: &str, attempt: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>>,
{
    let report = |reason: &str| tracing::debug!(act, object, reason, "to be retried");
    let done = retrying(&Expected::default(), attempt, report).await;
    done.map_err(|reason| Error::Refused { act, object: object.to_owned(), reason })
}

/// Repeats `attempt` every `interval` until it succeeds, for what cannot be watched. `report` gets each new reason.
pub async fn poll<T, F>(interval: Duration, mut attempt: impl FnMut() -> F, mut report: impl FnMut(&str)) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let mut last = String::new();
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(reason) if reason != last => {
                report(&reason);
                last = reason;
            }
            Err(_) => {}
        }
        tokio::time::sleep(interval).await;
    }
}

/// One request, within `limit`.
///
/// # Errors
/// Why there is no answer, in one line.
pub async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, String> {
    let answer = patience::within(limit, request).await.map_err(|late| late.to_string())?;
    answer.map_err(|error| describe(&error))
}

/// Delays from 50 ms to 2 s, without an end.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .with_factor(2.0)
        .without_max_times()
}

fn is_spent(patience: Patience, short: Duration, since: &mut Option<Instant>) -> bool {
    match patience {
        Patience::Deadline => {
            *since = None;
            false
        }
        Patience::Short => since.get_or_insert_with(Instant::now).elapsed() > short,
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
