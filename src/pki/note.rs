//! What `render` reports about each certificate, key and token.

use std::fmt;

/// What happened to a file of the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It did not exist before.
    Created,
    /// It is unchanged.
    Kept,
    /// It existed and was replaced.
    Renewed,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Kept => "kept",
            Self::Renewed => "renewed",
        })
    }
}

/// What happened to one certificate and its key, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Path under `tls/` of the certificate, or `bootstrap token`.
    pub path: String,
    /// What happened to it.
    pub action: Action,
    /// Why. Empty for a new cluster.
    pub reason: String,
}
