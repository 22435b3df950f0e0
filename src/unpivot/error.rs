//! Why `unpivot` failed.

use std::path::PathBuf;

use crate::checkpoint::{copy, store};
use crate::error::{ExitClass, Failure};
use crate::phase::{self, from_phase};
use crate::{cluster, handover, host, journal};

/// Why a phase of `unpivot` failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The administrator's kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] cluster::kubeconfig::Error),
    /// There is nothing to unpivot.
    #[error(
        "no self-hosted apiserver in {}, and no static one of bootkube's on this machine: there is nothing to unpivot",
        crate::NAMESPACE
    )]
    NotSelfHosted,
    /// Other machines run a part of the control plane, which `unpivot` would take from them.
    #[error(
        "the control plane runs on other machines too ({}), and would be taken from them; make node {node} the only controller first:\n  \
         kubectl label node {} {label}-\n  \
         kubectl -n {namespace} delete pods -l tier=control-plane --field-selector spec.nodeName!={node}",
        others.join(", "), others.join(" "), namespace = crate::NAMESPACE
    )]
    OtherControllers {
        /// The node of this machine.
        node: String,
        /// Nodes of the other machines.
        others: Vec<String>,
        /// Key of the label that makes a controller.
        label: String,
    },
    /// A `start` has not come to its end. Its apiserver would be taken for the static one.
    #[error(
        "{} is of a bootstrap that has not come to its end; run `bootkube start` again, which ends it, and then `bootkube unpivot`",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// A static pod would not be able to read its keys.
    #[error("{0} does not run as root, so it could not read keys in {keys}; set runAsUser: 0 in its pods first", keys = crate::CONTROL_PLANE_KEYS)]
    NotRootPod(&'static str),
    /// A component cannot be a static pod.
    #[error(transparent)]
    Unfit(#[from] copy::Unfit),
    /// The agent's copies cannot be read or removed.
    #[error(transparent)]
    Copies(#[from] store::Error),
    /// The port of the API cannot be handed over.
    #[error(transparent)]
    Handover(#[from] handover::Error),
    /// An error that every command may have.
    #[error(transparent)]
    Phase(#[from] phase::Error),
}

from_phase!(Error: cluster::Error, host::static_pods::Error, host::lock::Error, journal::Error);

/// An error, and whether the machine or the cluster was changed before it.
#[derive(Debug)]
pub struct Failed {
    /// The error.
    pub error: Error,
    /// Whether anything was changed before it.
    pub has_begun: bool,
}

impl From<Failed> for Failure {
    fn from(Failed { error, has_begun }: Failed) -> Self {
        let class = match &error {
            Error::Kubeconfig(_) => ExitClass::Configuration,
            Error::NotSelfHosted
            | Error::OtherControllers { .. }
            | Error::Unfinished(_)
            | Error::NotRootPod(_)
            | Error::Unfit(_) => ExitClass::Preflight,
            Error::Phase(phase::Error::Cluster(_)) => ExitClass::General,
            Error::Phase(error) if error.is_unready() && !has_begun => ExitClass::Preflight,
            _ => ExitClass::General,
        };
        Self::new(class, &error).hint(match has_begun {
            false => "nothing was touched",
            true => "what was placed stays, and the API is served; when the cause is gone, run `bootkube unpivot` again",
        })
    }
}
