//! What bootkube placed on this machine, so that after a run that was cut off its files can be told
//! from foreign ones.
//!
//! ```text
//! placing etcd.yaml ─► (the file appears) ─► placed etcd.yaml      one JSON object a line, on disk before and after each act
//! journal ─ read, fold ─► State: what is ours, by digest           a torn last line is one that was never written
//! ```
//!
//! # Guarantees
//! - A record of an act is on disk before the act begins, and another one after it has ended.
//! - A line is there whole or does not count.
//! - It holds digests, never contents.
//!
//! The journal does not say whether the control plane runs; bootkube asks the cluster each time. It
//! says only what the machine does not show: that an earlier run placed a file that differs from
//! today's assets, so that the file may be replaced or removed. `docs/journal.md` describes it for
//! users.

mod file;
mod record;
mod state;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

pub use file::{Journal, intact, read};
pub use record::{Command, Line, Record, Role, Run, SCHEMA, Thing};
pub use state::{ETCD_AUTHORITY, State};

use crate::host::files;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A line in its middle says nothing.
    #[error("{}:{line}: is not a record of bootkube's journal: {reason}", path.display())]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// A later bootkube wrote it.
    #[error(
        "{} was written by bootkube {bootkube} in schema {schema}, and this version knows up to {SCHEMA}; use that version",
        path.display()
    )]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its schema.
        schema: u64,
        /// The version that wrote it.
        bootkube: String,
    },
}

/// SHA-256 in hexadecimal.
pub fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
