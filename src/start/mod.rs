//! The pivot: from a kubelet and a folder of assets to a control plane that runs itself.
//!
//! Everything is read, parsed and ordered before the machine is touched. The bootstrap control plane is removed only when the pods
//! that replace it are known to be Ready; on any failure before that it stays, and `start` can be run again.

mod kubelet;
mod lives;
mod machine;
mod newcomer;
mod observe;
mod pivot;
mod plan;
mod probe;
mod required;
mod runner;
mod stale;
mod unpivot;

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

pub use pivot::start;
pub use required::RequiredPod;
pub use unpivot::{Options as UnpivotOptions, Report as Unpivoted, unpivot};

use crate::checkpoint::{copy, store};
use crate::config::Findings;
use crate::error::{ExitClass, Failure};
use crate::{assets, cluster, handover, host, preflight};

/// Elected components, by the name of their lease.
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// What `start` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The asset directory.
    pub asset_dir: PathBuf,
    /// Kubelet's folder of static pods.
    pub pod_manifest_path: PathBuf,
    /// Whether the first refused object ends the work.
    pub strict: bool,
    /// Pods that must be Ready, in place of the default ones.
    pub required_pods: Option<Vec<RequiredPod>>,
    /// Whether fields of other managers are taken over.
    pub force_conflicts: bool,
    /// Checks of the machine that stop nothing.
    pub ignored: preflight::Ignored,
    /// How long a phase may take.
    pub timeout: Duration,
    /// What restarts kubelet, if that may be done.
    pub restart_kubelet: Option<String>,
    /// Whether the API is asked all the time, to see what its clients see.
    pub probe: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Phases and how long each took.
    pub times: Vec<(&'static str, Duration)>,
    /// How many objects were applied.
    pub applied: usize,
    /// Objects that the API refused, or that were in conflict with another manager's.
    pub refused: Vec<Refused>,
    /// The node of this machine.
    pub node: String,
}

/// Why a pivot did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The asset directory cannot be used; nothing was touched.
    #[error("{0}")]
    Assets(Findings),
    /// A manifest cannot be read.
    #[error(transparent)]
    Yaml(#[from] assets::yaml::Error),
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
        "the control plane runs on other machines too ({}), and would be taken from them; take the controllers' label off them first",
        .0.join(", ")
    )]
    OtherControllers(Vec<String>),
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
    #[error("{phase}: not done after {} s: {}", after.as_secs(), if last.is_empty() { "nothing answered" } else { last })]
    Timeout {
        /// Its name.
        phase: &'static str,
        /// How long it was given.
        after: Duration,
        /// What it waited for last.
        last: String,
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let class = match &error {
            Error::Assets(_)
            | Error::Yaml(_)
            | Error::Kubeconfig(_)
            | Error::NoApiserver
            | Error::ManyApiservers => ExitClass::Configuration,
            Error::Preflight(_)
            | Error::Unready(_)
            | Error::NotSelfHosted
            | Error::OtherControllers(_)
            | Error::NotRootPod(_)
            | Error::Unfit(_) => ExitClass::Preflight,
            _ => ExitClass::General,
        };
        let failure = Self::new(class, &error);
        match class {
            ExitClass::General => failure.hint(
                "what was placed stays, so that it can be looked at; when the cause is gone, run the same command again",
            ),
            _ => failure.hint("nothing was touched"),
        }
    }
}
