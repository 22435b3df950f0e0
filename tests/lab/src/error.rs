//! What can go wrong in the lab: the act, the object, the path, and the message of the tool.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Shorthand of the lab's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the lab, never of what is tested in it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("cannot {act} {}: {source}", path.display())]
    File { act: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot start `{command}`: {source} (`make tools` installs what the lab needs)")]
    Start { command: String, source: std::io::Error },
    #[error("`{command}` ended with {status}: {stderr}")]
    Command { command: String, status: ExitStatus, stderr: String },
    #[error("{} cannot be understood: {reason}", path.display())]
    Parse { path: PathBuf, reason: String },
    #[error("there is no lab in {}; `lab up` makes one", path.display())]
    NoLab { path: PathBuf },
    #[error("the lab in {} has no machine {name}", path.display())]
    NoMachine { path: PathBuf, name: String },
    #[error("{name} is not running")]
    Off { name: String },
    #[error("a lab has 1 to 99 machines, not {0}")]
    MachineCount(usize),
    #[error("{} holds files that are no lab's; name another folder", path.display())]
    NotALab { path: PathBuf },
    #[error("{what} did not happen within {seconds} s; {evidence}")]
    Timeout { what: String, seconds: u64, evidence: String },
    #[error("the paths of a machine's root are mount options and may hold neither ':' nor ',': {}", path.display())]
    UnmountablePath { path: PathBuf },
    #[error("cannot send requests: {0}")]
    Probe(String),
}

impl Error {
    /// For `map_err` on anything done to a path.
    pub(crate) fn file(act: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::File { act, path, source }
    }

    /// For `map_err` on anything parsed from a path.
    pub(crate) fn parse<E: std::fmt::Display>(path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_path_buf();
        move |reason| Self::Parse { path, reason: reason.to_string() }
    }
}
