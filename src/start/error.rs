//! Why a pivot or its dry run failed, and what the user can do, which depends on what was placed.

use std::fmt;
use std::time::Duration;

use super::plan;
use crate::cluster::apply::{Item, Outcome};
use crate::error::{ExitClass, Failure};
use crate::finding::Findings;
use crate::phase::{self, from_phase};
use crate::{cluster, diagnose, handover, host, journal, preflight, undo, yaml};

/// The reason.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The asset directory cannot be used.
    #[error("{0}")]
    Assets(Findings),
    /// No pivot can be made from the assets.
    #[error(transparent)]
    Plan(#[from] plan::Error),
    /// The kubeconfig for the bootstrap pods could not be made.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// A static pod carries the mark of `unpivot`, and the journal does not know its content.
    #[error(
        "{} carries the mark of `bootkube unpivot`, but is not what the journal says unpivot placed: it was changed since, or the journal is \
         lost. Run `bootkube unpivot` again, which records it as it is, and then start",
        path.display()
    )]
    NotRecorded {
        /// Its file.
        path: std::path::PathBuf,
    },
    /// Checks of the machine failed.
    #[error(transparent)]
    Preflight(#[from] preflight::Failed),
    /// The task that steers connections ended, although it should go on for the whole hand-over.
    #[error(
        "the steering task ended unexpectedly: new connections may reach either apiserver; run the same command again"
    )]
    Unsteered,
    /// The port of the API cannot be handed over.
    #[error(transparent)]
    Handover(#[from] handover::Error),
    /// No apiserver served on the port after the bootstrap apiserver had ended.
    #[error("the self-hosted apiserver did not serve within {} s after the bootstrap one had gone: {last}", after.as_secs())]
    NotTakenOver {
        /// How long `start` waited.
        after: Duration,
        /// What was seen last.
        last: String,
    },
    /// The API refused objects that the control plane needs, or under `--strict` any object.
    #[error("refused by the API:\n{}", lines(.0))]
    Refused(Vec<Refused>),
    /// An error that every command may have.
    #[error(transparent)]
    Phase(#[from] phase::Error),
}

impl From<cluster::kubeconfig::Error> for Error {
    fn from(error: cluster::kubeconfig::Error) -> Self {
        plan::Error::from(error).into()
    }
}

from_phase!(Error: cluster::Error, host::static_pods::Error, host::lock::Error, journal::Error);

/// An object that is not as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The manifest's file.
    pub file: String,
    /// `Kind namespace/name`.
    pub object: String,
    /// The API's message.
    pub reason: String,
}

impl Refused {
    /// The problem with `item`, if the API refused it.
    pub fn of(item: &Item, outcome: &Outcome) -> Option<Self> {
        let reason = match outcome {
            Outcome::Created | Outcome::Configured | Outcome::Unchanged => return None,
            Outcome::Failed { reason } => reason.clone(),
            Outcome::Skipped => "not tried, because an earlier one was refused".to_owned(),
        };
        Some(Self { file: item.file.clone(), object: item.label(), reason })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.object, self.reason)
    }
}

fn lines(refused: &[Refused]) -> String {
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// What `start` leaves on the machine when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It failed before it touched anything.
    Untouched,
    /// Nothing of a bootstrap is on the machine; objects may have been applied.
    NothingPlaced,
    /// Static pods or keys of a bootstrap are on the machine.
    Placed,
    /// What was placed was removed again.
    TornDown,
}

/// An error, and what `start` left on the machine.
#[derive(Debug)]
pub struct Failed {
    /// The error.
    pub error: Error,
    /// What is on the machine now.
    pub left: Left,
}

impl Failed {
    /// Its exit code.
    pub fn class(&self) -> ExitClass {
        self.error.class(self.left == Left::Untouched)
    }
}

impl Error {
    /// The exit code, which depends on whether anything was touched before.
    pub fn class(&self, is_untouched: bool) -> ExitClass {
        match self {
            Self::Assets(_) | Self::Plan(_) | Self::Yaml(_) => ExitClass::Configuration,
            Self::Preflight(_) | Self::NotRecorded { .. } => ExitClass::Preflight,
            Self::Phase(error) if is_untouched && error.is_unready() => ExitClass::Preflight,
            _ => ExitClass::General,
        }
    }

    /// What the user can do after a dry run, which never touches anything.
    pub fn of_dry_run(self) -> Failure {
        let class = match &self {
            Self::Phase(phase::Error::Journal(_)) => ExitClass::Preflight,
            Self::Phase(_) => ExitClass::General,
            error => error.class(true),
        };
        Failure::new(class, &self).hint("nothing was touched: a dry run changes nothing")
    }
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        let Failed { error, left } = &failed;
        let failure = Self::new(failed.class(), error);
        failure.hint(match (error, left) {
            (_, Left::TornDown) => {
                "what was placed is gone again, but for etcd's data; when the cause is gone, run the same command again"
            }
            (_, Left::Untouched) => "nothing was touched",
            (Error::Phase(phase::Error::Interrupted { .. }), Left::Placed) => {
                "what was placed stays; to go on, run the same command again; to undo it, run `bootkube reset`"
            }
            (Error::Refused(refused), _) if !refused.is_empty() => diagnose::objects::cure(&refused[0].reason),
            (_, Left::Placed) => {
                "what was placed stays, so that it can be looked at; when the cause is gone, run the same command again"
            }
            (_, Left::NothingPlaced) => {
                "no static pod of a bootstrap is on this machine, and objects that were applied stay; when the cause is gone, run the same \
                 command again"
            }
        })
    }
}

/// A failure to tear down is only a warning, because the failure before it is the cause.
pub fn not_torn_down(error: &undo::Error) -> String {
    let cure = error.cure().map(|cure| format!("; {cure}")).unwrap_or_default();
    format!("not torn down: {}{cure}", crate::error::chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(left: Left) -> String {
        let error = Error::Phase(phase::Error::Interrupted { signal: "SIGTERM", phase: "x" });
        Failure::from(Failed { error, left }).hint.unwrap()
    }

    #[test]
    fn a_hint_says_that_something_stays_only_where_something_was_placed() {
        assert!(hint(Left::Placed).contains("what was placed stays"));
        for left in [Left::Untouched, Left::NothingPlaced, Left::TornDown] {
            assert!(!hint(left).contains("what was placed stays"), "{left:?}: {}", hint(left));
        }
        assert!(
            hint(Left::TornDown).contains("gone again")
                && hint(Left::Untouched).contains("nothing was touched")
        );
    }

    #[test]
    fn only_what_fails_before_anything_was_touched_is_a_machine_that_is_not_ready() {
        let not_root = |left| Failed { error: phase::Error::NotRoot.into(), left }.class();
        assert_eq!(not_root(Left::Untouched), ExitClass::Preflight);
        assert_eq!(not_root(Left::Placed), ExitClass::General);
        assert_eq!(Error::Phase(phase::Error::NotRoot).of_dry_run().class, ExitClass::General);
    }
}
