//! Why the API cannot be used, in words.

use kube::core::Status;

use crate::error::chain;

/// What went wrong between this program and the API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials make no connection: a key that does not belong to its certificate, a name
    /// that is none.
    #[error("cannot set up a connection to {server} with the given credentials")]
    Setup {
        /// URL of the API.
        server: String,
        /// What the TLS stack says.
        #[source]
        source: Box<kube::Error>,
    },
    /// The CA is not PEM.
    #[error("the CA certificate for {server} is not PEM")]
    Ca {
        /// URL of the API.
        server: String,
        /// What the parser says.
        #[source]
        source: pem::PemError,
    },
    /// The API refused, for good.
    #[error("failed to {act} {object}: {reason}")]
    Refused {
        /// What was tried, as an infinitive.
        act: &'static str,
        /// On what.
        object: String,
        /// What the API says.
        reason: String,
    },
}

impl Error {
    /// That the API answered `error` to `act` on `object`.
    pub fn refused(act: &'static str, object: impl Into<String>, error: &kube::Error) -> Self {
        Self::Refused { act, object: object.into(), reason: describe(error) }
    }
}

/// An error of the client, in one line and without the client's own prefixes.
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

/// How the API ends its words on a field that can only be set when an object is made.
const SET_ONCE: [&str; 4] = [
    "field is immutable",
    "field is immutable when `immutable` is set",
    "may not change once set",
    "cannot change roleRef",
];

/// The fields of a refused change that no change can have. The API quotes their whole values, such
/// as a pod template.
fn set_once(status: &Status) -> Option<String> {
    let causes = &status.details.as_ref()?.causes;
    let is_set_once = |message: &str| SET_ONCE.iter().any(|end| message.ends_with(end));
    let all = !causes.is_empty() && causes.iter().all(|cause| is_set_once(&cause.message));
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    all.then(|| format!("{} cannot be changed in an object that exists", fields.join(", ")))
}

/// The message of a refusal, in one line.
pub(super) fn message_of(status: &Status) -> String {
    if let Some(message) = set_once(status) {
        return message;
    }
    let message = status.message.split_whitespace().collect::<Vec<_>>().join(" ");
    match message.is_empty() {
        true => format!("HTTP status {} {}", status.code, status.reason).trim().to_owned(),
        false => message,
    }
}
