//! Why something that was placed could not be removed.

use crate::phase::{self, from_phase};
use crate::{host, journal};

/// What was not removed yet stays, and running the same command again goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of a pod is gone, and the pod is not.
    #[error("{pod} still runs a minute after its file was removed")]
    StillRuns {
        /// Its `namespace/name`.
        pod: String,
    },
    /// What can fail in every command.
    #[error(transparent)]
    Phase(#[from] phase::Error),
}

from_phase!(Error: host::static_pods::Error, journal::Error);

impl Error {
    /// What the user can do about it, where that is something special.
    pub fn cure(&self) -> Option<&'static str> {
        match self {
            Self::StillRuns { .. } => Some(
                "kubelet ends a pod only while it runs and has once reached an API: stop the pod (crictl stopp) or restart the machine, \
                 then run the same command again",
            ),
            Self::Phase(_) => None,
        }
    }
}
