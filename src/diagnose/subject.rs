//! What a wait is for, worked out from the assets.

use super::underway::Brought;
use crate::assets::load::Layout;
use crate::cluster::kubeconfig::Access;
use crate::preflight::CheckOptions;

/// What `start` waits for.
pub struct Subject {
    /// The assets.
    pub layout: Layout,
    /// What the checks of the machine need to know.
    pub checks: CheckOptions,
    /// The administrator's access to the API.
    pub access: Access,
    /// The port of this machine's apiservers.
    pub api_port: u16,
    /// Workloads that must come up.
    pub required: Vec<Workload>,
    /// The objects of the assets, none of them applied yet.
    pub objects: Vec<Brought>,
}

/// A workload by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its name, which is the prefix of the names of its pods.
    pub name: String,
}
