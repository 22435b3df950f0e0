//! Why bootkube could not remove what it had placed.

use crate::phase::{self, from_phase};
use crate::{host, journal};

/// Such an error. What is left stays in the journal, so the same command goes on with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of a pod was removed, but the pod did not end.
    #[error("{pod} still runs a minute after its file was removed")]
    StillRuns {
        /// Its `namespace/name`.
        pod: String,
    },
    /// An error that every command may have.
    #[error(transparent)]
    Phase(#[from] phase::Error),
}

from_phase!(Error: host::static_pods::Error, journal::Error);

impl Error {
    /// What the user can do, beyond running the command again.
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
