//! Why a figure could not be measured: the act, the object, and what was said last.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Shorthand of this program's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Lab(#[from] lab::Error),
    #[error("cannot {act} {}: {source}", path.display())]
    File { act: &'static str, path: PathBuf, source: std::io::Error },
    #[error("cannot start `{command}`: {source} (`make tools` installs what is needed)")]
    Start { command: String, source: std::io::Error },
    #[error("`{command}` ended with {status}: {said}")]
    Command { command: String, status: ExitStatus, said: String },
    #[error("cannot understand {what}: {reason}")]
    Parse { what: String, reason: String },
    #[error("{what} did not happen within {seconds} s")]
    Timeout { what: String, seconds: u64 },
    #[error("the probers made {made:.0} requests a second, fewer than {wanted}")]
    Slow { made: f64, wanted: u32 },
    #[error("cannot plot: {0}")]
    Plot(String),
}

impl Error {
    /// For `map_err` on anything done to a path.
    pub fn file(act: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::File { act, path, source }
    }

    /// A state that the measurement does not expect.
    pub fn parse(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Parse { what: what.into(), reason: reason.to_string() }
    }
}
