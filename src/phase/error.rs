//! What can fail in every command that changes this machine. Each command has an error type of its own that wraps this one, and says
//! itself what the user can do: that depends on what the command has already done.

use std::io;
use std::time::Duration;

use crate::diagnose::{self, Blocker};
use crate::{cluster, host, journal};

/// Why a phase failed, or what surrounds the phases: the lock, the journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API refused something, or the way to it is wrong or lost.
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
    /// A signal came. The write that was under way was finished.
    #[error("ended by {signal} in phase: {phase}")]
    Interrupted {
        /// Its name.
        signal: &'static str,
        /// Where it came.
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
        /// Its name.
        phase: &'static str,
        /// How long it was given.
        after: Duration,
        /// What it waited for last.
        last: String,
        /// What kept it waiting, as far as that was seen.
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

    /// Whether it says that the machine is not ready, so long as nothing was done yet: a signal or a slow machine does not.
    pub fn is_unready(&self) -> bool {
        !matches!(self, Self::Interrupted { .. } | Self::Timeout { .. } | Self::Host { .. })
    }
}

/// Lets `?` turn what a command's parts fail with into the error of the command, which has a variant `Phase`.
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
