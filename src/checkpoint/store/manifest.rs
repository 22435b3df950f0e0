//! The manifest of a copy: what its annotations say.

use std::path::Path;
use std::{fs, io};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::checkpoint::copy::{REVISION, WORKLOAD};
use crate::checkpoint::{Id, Revision, parent};
use crate::host::files::{Error, failed};

/// When the copy was made, on a copy.
pub const TIME: &str = "bootkube.dev/checkpoint-time";
/// Why it was made, on a copy.
pub const REASON: &str = "bootkube.dev/checkpoint-reason";

/// A copy, or nothing.
pub fn parse(bytes: &[u8]) -> Option<Pod> {
    let any: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    serde_json::from_value(any).ok().filter(parent::is_copy)
}

/// Which workload a copy is of; v0.14 kept pods.
pub fn id(pod: &Pod) -> Id {
    let name = pod.annotations().get(WORKLOAD).cloned().unwrap_or_else(|| pod.name_any());
    Id::new(pod.namespace().unwrap_or_default(), name)
}

/// The revision of a copy; an empty one if another program made it.
pub fn revision(pod: &Pod) -> Revision {
    Revision(pod.annotations().get(REVISION).cloned().unwrap_or_default())
}

/// Whether this program made the copy.
pub fn is_current(pod: &Pod) -> bool {
    pod.annotations().contains_key(REVISION)
}

/// The content of a file; `None` if it is missing.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}
