//! What keeps a wait from ending.

use std::fmt;
use std::time::Duration;

use crate::preflight;

/// What is in the way: a sentence what, a sentence why, a line what to do.
pub type Blocker = preflight::Problem;

/// The lines of a blocker below its first: why, and what to do.
pub struct Below<'a>(pub &'a Blocker);

impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocker { what: _, why, cure } = self.0;
        write!(f, "  why: {why}\n  do:  {cure}")
    }
}

/// What a diagnosis says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Something is in the way.
    Blocked {
        /// What it is.
        blocker: Blocker,
        /// How long it must be seen before it counts: what is only starting passes by itself.
        least: Duration,
    },
    /// Nothing is seen to be in the way.
    Unexplained {
        /// What could not be observed, and why.
        unseen: Vec<String>,
    },
}

impl Verdict {
    /// How long it must be seen before it counts.
    pub fn least(&self) -> Duration {
        match self {
            Self::Blocked { least, .. } => *least,
            Self::Unexplained { .. } => Duration::ZERO,
        }
    }
}

#[cfg(test)]
impl Verdict {
    /// What is in the way, if anything is.
    pub fn blocker(self) -> Option<Blocker> {
        match self {
            Self::Blocked { blocker, .. } => Some(blocker),
            Self::Unexplained { .. } => None,
        }
    }
}
