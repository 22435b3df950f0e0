//! What can fail in every command that changes this machine. Each command wraps this in an error
//! type of its own, which says what the user can do: that depends on what the command has already
//! done.

use std::io;
use std::time::Duration;

use crate::diagnose::{self, Blocker};
use crate::{cluster, host, journal};

/// Why a phase failed, or the lock or the journal around the phases.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused something, or could not be reached.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// A static pod or key could not be placed or removed.
    #[error(transparent)]
    Place(#[from] host::static_pods::Error),
    /// Another command changes this machine.
    #[error(transparent)]
    Lock(#[from] host::lock::Error),
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// A signal came. bootkube finished the write that was under way.
    #[error("ended by {signal} in phase: {phase}")]
    Interrupted {
        /// Name of the signal.
        signal: &'static str,
        /// The phase that it interrupted, or the wait for the lock.
        phase: &'static str,
    },
    /// This machine refused something else.
    #[error("failed to {act}")]
    Host {
        /// What was tried.
        act: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// Only root may write to kubelet's folder of static pods.
    #[error("not run as root; run it with sudo")]
    NotRoot,
    /// A phase took too long.
    #[error("{phase}: not done after {} s: {}{}", after.as_secs(), if last.is_empty() { "nothing answered" } else { last }, in_the_way(blocker.as_deref()))]
    Timeout {
        /// Name of the phase.
        phase: &'static str,
        /// How long the phase may take.
        after: Duration,
        /// What it waited for last.
        last: String,
        /// What kept it waiting, if that was seen.
        blocker: Option<Box<Blocker>>,
    },
}

fn in_the_way(blocker: Option<&Blocker>) -> String {
    blocker.map(|blocker| format!("\n{}\n{}", blocker.what, diagnose::Below(blocker))).unwrap_or_default()
}

impl Error {
    /// This machine refused `act`.
    pub fn host(act: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Host { act, source }
    }

    /// Whether the error means that the machine is not ready, if nothing was done before it. A
    /// signal, a phase that timed out and a refusal of this machine do not.
    pub fn is_unready(&self) -> bool {
        !matches!(self, Self::Interrupted { .. } | Self::Timeout { .. } | Self::Host { .. })
    }
}

/// Makes `?` turn the error of a command's parts into the error of the command, by its variant
/// `Phase`.
macro_rules! from_phase {
    ($error:ty: $($part:ty),+) => {
        $(impl From<$part> for $error {
            fn from(error: $part) -> Self {
                Self::Phase(error.into())
            }
        })+
    };
}
pub(crate) use from_phase;
