//! What `start` is asked to do, and what it reports.

use std::path::PathBuf;
use std::time::Duration;

use super::error::Refused;
use super::required::RequiredPod;
use crate::phase::Timeouts;
use crate::{journal, preflight};

/// Patience of the checks with services that have had their time to come up.
pub const SETTLED: Duration = Duration::ZERO;

/// What `start` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where assets and machine are, and how they are looked at.
    pub lookup: Lookup,
    /// How objects are applied.
    pub apply: Apply,
    /// How long phases may take.
    pub timeouts: Timeouts,
    /// How long another command that changes this machine is waited for.
    pub wait_lock: Duration,
    /// What becomes of what was placed when the pivot fails.
    pub on_failure: OnFailure,
    /// Whether the API is asked all the time, to see what its clients see.
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
    /// Checks of the machine that stop nothing.
    pub ignored: preflight::Ignored,
}

/// How objects are applied.
#[derive(Clone, Debug)]
pub struct Apply {
    /// Whether the first refused object ends the work.
    pub strict: bool,
    /// Whether fields of other managers are taken over.
    pub force_conflicts: bool,
    /// What restarts kubelet, if that may be done.
    pub restart_kubelet: Option<String>,
}

/// What becomes of what was placed when a pivot fails. One that a signal ends has not failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It stays, so that it can be looked at, and the same command goes on.
    #[default]
    Keep,
    /// It is removed; on a machine past its hand-over only what was there for the bootstrap.
    TearDown,
}

impl Lookup {
    /// What the machine is looked at for, if the journal says `before`.
    pub fn checks(&self, before: &journal::State, patience: Duration) -> preflight::CheckOptions {
        preflight::CheckOptions {
            asset_dir: self.asset_dir.clone(),
            pod_manifest_path: self.pod_manifest_path.clone(),
            ignored: self.ignored.clone(),
            placed: journal::intact(before),
            etcd_authority: before.etcd_authority.clone(),
            now: time::OffsetDateTime::now_utc(),
            patience,
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Phases and how long each took.
    pub times: Vec<(&'static str, Duration)>,
    /// How many objects were applied.
    pub applied: usize,
    /// How many of those this run made or changed.
    pub changed: usize,
    /// Objects that the API refused, or that were in conflict with another manager's.
    pub refused: Vec<Refused>,
    /// The node of this machine.
    pub node: String,
}
