//! What to check, and how.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use time::OffsetDateTime;

use super::ignored::Ignored;

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The asset directory that the layout was read from.
    pub asset_dir: PathBuf,
    /// Kubelet's folder of static pods.
    pub pod_manifest_path: PathBuf,
    /// Checks that stop nothing.
    pub ignored: Ignored,
    /// Files in kubelet's folder that an earlier run placed. They are not foreign, whatever they
    /// hold.
    pub placed: BTreeSet<PathBuf>,
    /// Digest of the CA of the etcd that an earlier run started here. Data of that etcd is this
    /// cluster's, even if its keys are gone.
    pub etcd_authority: Option<String>,
    /// The present moment.
    pub now: OffsetDateTime,
    /// Whether the cluster that runs here is asked what it keeps. A wait looks often, and its assets were compared
    /// before.
    pub asks_cluster: bool,
    /// How long to wait for services that may still be starting.
    pub patience: Duration,
}
