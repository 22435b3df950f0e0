//! Why a step of a smoke test failed.

use std::io;

/// What was done, to what, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {act}: {why}")]
    Api { act: String, why: String },
    #[error("cannot find the addresses of {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("cannot connect to {to}: {source}")]
    Connect { to: String, source: io::Error },
    #[error("cannot ask {to}: {source}")]
    Http { to: String, source: hyper::Error },
    #[error("cannot read the answer of {to}: {source}")]
    Body { to: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{what} has not answered within {seconds} s")]
    Late { what: String, seconds: u64 },
    #[error("{what} is {found:?} instead of {wanted:?}")]
    Different { what: String, found: String, wanted: String },
    #[error("{0}")]
    Not(String),
}

impl Error {
    /// For `map_err` on a request to the API.
    pub fn api(act: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let act = act.into();
        move |error| Self::Api { act, why: crate::cluster::retry::describe(&error) }
    }
}
