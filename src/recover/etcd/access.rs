//! Where etcd is, how to authenticate to it, and why that fails.

use std::path::PathBuf;

use url::Url;

/// How to reach etcd.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Client URLs. The first server that answers is used.
    pub servers: Vec<Url>,
    /// CA of the servers' certificates (PEM).
    pub ca: Option<PathBuf>,
    /// Client certificate (PEM).
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
}

/// Why etcd cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("failed to read {what} {}", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no certificate or no key, or the key does not belong to the certificate.
    #[error("etcd's {what} cannot be used: {why}")]
    Credentials {
        /// What it is for.
        what: &'static str,
        /// As the TLS library says it.
        why: String,
    },
    /// A server uses TLS, and no CA is named to verify it with.
    #[error("--etcd-servers: {0} uses TLS; name the CA of etcd with --etcd-ca-path")]
    NoAuthority(Url),
    /// No server answers.
    #[error("no etcd server answers: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// The server refuses the request.
    #[error("etcd at {server} refused to be read: {reason}")]
    Refused {
        /// Its URL.
        server: Url,
        /// As the server says it.
        reason: String,
    },
}
