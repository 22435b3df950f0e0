//! Why a phase, and with it a command, failed; which exit code that has, and what the user can do.

use std::time::Duration;
use std::{fmt, io};

use crate::checkpoint::{copy, store};
use crate::diagnose::{self, Blocker};
use crate::error::{ExitClass, Failure};
use crate::finding::Findings;
use crate::{cluster, handover, host, journal, preflight, yaml};

/// Why a pivot did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The asset directory cannot be used; nothing was touched.
    #[error("{0}")]
    Assets(Findings),
    /// A manifest cannot be read.
    #[error(transparent)]
    Yaml(#[from] yaml::Error),
    /// No bootstrap pod is an apiserver; nothing was touched.
    #[error("bootstrap-manifests/: no pod runs an apiserver; render the assets again")]
    NoApiserver,
    /// Several bootstrap pods are.
    #[error("bootstrap-manifests/: more than one pod runs an apiserver; leave one")]
    ManyApiservers,
    /// The administrator's kubeconfig cannot be used; nothing was touched.
    #[error(transparent)]
    Kubeconfig(#[from] cluster::kubeconfig::Error),
    /// The way to the API is wrong or lost.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// Whoever steers has ended without a word.
    #[error("connections are not steered any more; run the same command again")]
    Unserved,
    /// The port of the API cannot be handed over.
    #[error(transparent)]
    Handover(#[from] handover::Error),
    /// A static pod or key could not be placed or removed.
    #[error(transparent)]
    Place(#[from] host::static_pods::Error),
    /// Somebody else changes this machine; nothing was touched.
    #[error(transparent)]
    Lock(#[from] host::lock::Error),
    /// What was done could not be noted, or what was noted not be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// A signal came. What was being written was written to its end.
    #[error("ended by {signal} in phase: {phase}")]
    Interrupted {
        /// Its name.
        signal: &'static str,
        /// Where it came.
        phase: &'static str,
    },
    /// It failed, and what was placed is gone.
    #[error(transparent)]
    TornDown(Box<Error>),
    /// The file of a pod is gone, and the pod is not.
    #[error("{pod} still runs a minute after its file was removed")]
    StillRuns {
        /// Its `namespace/name`.
        pod: String,
    },
    /// There is nothing to undo.
    #[error(
        "the bootstrap on this machine is complete: its control plane runs itself, and nothing of the bootstrap is left"
    )]
    Complete,
    /// The port that the bootstrap apiserver had left was taken by nobody who serves.
    #[error("the self-hosted apiserver did not serve within {} s after the bootstrap one had gone: {last}", after.as_secs())]
    NotTakenOver {
        /// How long it was given.
        after: Duration,
        /// What was seen last.
        last: String,
    },
    /// This machine refused something else.
    #[error("failed to {act}")]
    Host {
        /// What was tried.
        act: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// Objects were refused that the control plane cannot come up without, or any at all where the user wants none to be (`--strict`).
    #[error("refused by the API:\n{}", lines(.0))]
    Refused(Vec<Refused>),
    /// This machine is not ready; nothing was touched.
    #[error(transparent)]
    Unready(Box<Error>),
    /// Checks of the machine failed; nothing was touched.
    #[error(transparent)]
    Preflight(#[from] preflight::Failed),
    /// There is nothing to unpivot; nothing was touched.
    #[error(
        "no self-hosted apiserver in {}, and no static one of bootkube's on this machine: there is nothing to unpivot",
        crate::NAMESPACE
    )]
    NotSelfHosted,
    /// Others would lose theirs; nothing was touched.
    #[error(
        "the control plane runs on other machines too ({}), and would be taken from them; make node {node} the only controller first:\n  \
         kubectl label node {} {label}-\n  \
         kubectl -n {namespace} delete pods -l tier=control-plane --field-selector spec.nodeName!={node}",
        others.join(", "), others.join(" "), namespace = crate::NAMESPACE
    )]
    OtherControllers {
        /// The node of this machine.
        node: String,
        /// Nodes of the others.
        others: Vec<String>,
        /// Key of the label that makes a controller.
        label: String,
    },
    /// It could not read its keys; nothing was touched.
    #[error("{0} does not run as root, so it could not read keys in {keys}; set runAsUser: 0 in its pods first", keys = crate::CONTROL_PLANE_KEYS)]
    NotRootPod(&'static str),
    /// A component cannot be a static pod; nothing was touched.
    #[error(transparent)]
    Unfit(#[from] copy::Unfit),
    /// Copies that were kept for a time without an API cannot be removed.
    #[error(transparent)]
    Copies(#[from] store::Error),
    /// Only root may write where kubelet reads.
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
        /// What was in its way, as far as that was seen.
        blocker: Option<Box<Blocker>>,
    },
}

/// An object that is not as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The manifest's file.
    pub file: String,
    /// `Kind namespace/name`.
    pub object: String,
    /// In the API's words.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.file, self.object, self.reason)
    }
}

fn lines(refused: &[Refused]) -> String {
    refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn in_the_way(blocker: Option<&Blocker>) -> String {
    blocker.map(|blocker| format!("\n{}\n{}", blocker.what, diagnose::Below(blocker))).unwrap_or_default()
}

impl Error {
    /// Which exit code it has.
    pub fn class(&self) -> ExitClass {
        match self {
            Self::Assets(_)
            | Self::Yaml(_)
            | Self::Kubeconfig(_)
            | Self::NoApiserver
            | Self::ManyApiservers => ExitClass::Configuration,
            Self::Preflight(_)
            | Self::Unready(_)
            | Self::Lock(_)
            | Self::Complete
            | Self::NotSelfHosted
            | Self::OtherControllers { .. }
            | Self::NotRootPod(_)
            | Self::Unfit(_) => ExitClass::Preflight,
            Self::TornDown(failed) => failed.class(),
            _ => ExitClass::General,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::new(error.class(), &error);
        failure.hint(match &error {
            Error::TornDown(_) => {
                "what was placed is gone again, but for etcd's data; when the cause is gone, run the same command again"
            }
            Error::Interrupted { .. } => {
                "what was placed stays; to go on, run the same command again; to undo it, run `bootkube reset`"
            }
            Error::StillRuns { .. } => {
                "a kubelet that does not run, or has not reached an API yet, does not end it: stop it (crictl stopp) or restart the machine, \
                 then run the same command again"
            }
            Error::Refused(refused) if !refused.is_empty() => diagnose::objects::cure(&refused[0].reason),
            error if error.class() == ExitClass::General => {
                "what was placed stays, so that it can be looked at; when the cause is gone, run the same command again"
            }
            _ => "nothing was touched",
        })
    }
}
