//! What `start` is asked to do, and what it returns.

use std::path::PathBuf;
use std::time::Duration;

use super::error::Refused;
use super::required::RequiredPod;
use crate::phase::Timeouts;
use crate::{journal, preflight};

/// How long checks may wait for services that have had their time to come up.
pub const SETTLED: Duration = Duration::ZERO;

/// What `start` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where assets and machine are, and how they are looked at.
    pub lookup: Lookup,
    /// How objects are applied.
    pub apply: Apply,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// How long `start` waits for another command that changes this machine.
    pub wait_lock: Duration,
    /// What `start` does with what it placed if the pivot fails.
    pub on_failure: OnFailure,
    /// Whether to ask the API all the time, to report what its clients see.
    pub probe: bool,
}

/// Where assets and machine are, and how they are looked at.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The asset directory.
    pub asset_dir: PathBuf,
    /// Kubelet's folder of static pods.
    pub pod_manifest_path: PathBuf,
    /// Pods that must be Ready, in place of the default ones.
    pub required_pods: Option<Vec<RequiredPod>>,
    /// Checks that do not stop `start` if they fail.
    pub ignored: preflight::Ignored,
}

/// How objects are applied.
#[derive(Clone, Debug)]
pub struct Apply {
    /// Whether the first refused object ends the work.
    pub strict: bool,
    /// Whether to take over fields of other managers.
    pub force_conflicts: bool,
    /// The command that restarts kubelet, if the user allows it.
    pub restart_kubelet: Option<String>,
}

/// What `start` does with what it placed if the pivot fails. A signal is no failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It leaves everything in place to be looked at. The same command goes on.
    #[default]
    Keep,
    /// It removes everything; after the hand-over, only what was there for the bootstrap.
    TearDown,
}

impl Lookup {
    /// What preflight looks for, given what the journal said `before`.
    pub fn checks(&self, before: &journal::State, patience: Duration) -> preflight::CheckOptions {
        preflight::CheckOptions {
            asset_dir: self.asset_dir.clone(),
            pod_manifest_path: self.pod_manifest_path.clone(),
            ignored: self.ignored.clone(),
            placed: journal::intact(before),
            etcd_authority: before.etcd_authority.clone(),
            now: time::OffsetDateTime::now_utc(),
            asks_cluster: true,
            patience,
        }
    }
}

/// The outcome.
#[derive(Debug)]
pub struct Report {
    /// Phases and how long each took.
    pub times: Vec<(&'static str, Duration)>,
    /// How many objects were applied.
    pub applied: usize,
    /// How many of those this run created or changed.
    pub changed: usize,
    /// Objects that the API refused, or that conflict with another manager.
    pub refused: Vec<Refused>,
    /// The node of this machine.
    pub node: String,
}
