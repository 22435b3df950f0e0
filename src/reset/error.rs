//! Why `reset` refuses to begin. It has touched nothing then.

use crate::error::{ExitClass, Failure};
use crate::finding::Findings;
use crate::phase::{self, from_phase};
use crate::start::plan;
use crate::{host, journal, undo};

/// What keeps `reset` from beginning.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The asset directory cannot be used.
    #[error("{0}")]
    Assets(Findings),
    /// No pivot can be planned from the assets.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// There is nothing to undo.
    #[error(
        "the bootstrap on this machine is complete: its control plane runs itself, and nothing of the bootstrap is left"
    )]
    Complete,
    /// An error that every command may have.
    #[error(transparent)]
    Phase(#[from] phase::Error),
}

from_phase!(Error: host::static_pods::Error, host::lock::Error, journal::Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let class = match &error {
            Error::Assets(_) | Error::Plan(_) => ExitClass::Configuration,
            Error::Phase(error) if !error.is_unready() => ExitClass::General,
            Error::Complete | Error::Phase(_) => ExitClass::Preflight,
        };
        Self::new(class, &error).hint("nothing was touched")
    }
}

/// The error of a reset that has begun.
impl From<undo::Error> for Failure {
    fn from(error: undo::Error) -> Self {
        let cure = "what was not removed yet stays; when the cause is gone, run `bootkube reset` again";
        Self::new(ExitClass::General, &error).hint(error.cure().unwrap_or(cure))
    }
}
