//! Why a value of etcd cannot be decoded.

/// Why a value cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither JSON nor an envelope.
    #[error("it is neither JSON nor a protocol buffer of Kubernetes")]
    Unknown,
    /// JSON, but broken.
    #[error("it is broken JSON: {0}")]
    Json(String),
    /// A kind that the table does not have.
    #[error("its kind {kind} of {api_version} is not known here")]
    Kind {
        /// Group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// A protocol buffer, but broken.
    #[error("it is a broken protocol buffer: {0}")]
    Malformed(&'static str),
}
