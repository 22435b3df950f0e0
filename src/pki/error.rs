//! Why issuing fails.

use crate::finding::Findings;

/// A failure to make the PKI.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files that were supplied or left by an earlier render cannot be used as they are. A
    /// configuration error.
    #[error("{0}")]
    Findings(Findings),
    /// A key could not be generated.
    #[error("failed to generate a private key")]
    Generate(#[source] rcgen::Error),
    /// A certificate could not be built.
    #[error("failed to build certificate tls/{path}")]
    Build {
        /// Path under `tls/`.
        path: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// The authority or its key is missing. `Plan` reports that earlier, as a
    /// finding.
    #[error("failed to sign certificate tls/{path}: its CA or the CA's key is not there")]
    Unsignable {
        /// Path under `tls/`.
        path: String,
    },
    /// The operating system gave no random bytes.
    #[error("failed to get random bytes from the operating system")]
    Random,
}
