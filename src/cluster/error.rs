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

/// The message of a refusal, in one line.
pub(super) fn message_of(status: &Status) -> String {
    let message = status.message.split_whitespace().collect::<Vec<_>>().join(" ");
    match message.is_empty() {
        true => format!("HTTP status {} {}", status.code, status.reason).trim().to_owned(),
        false => message,
    }
}
