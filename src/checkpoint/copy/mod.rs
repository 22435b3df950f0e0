//! Makes a static pod, which kubelet runs without the API, from a pod of the API and the objects
//! that it names.
//!
//! Only what must change is changed. Kubelet refuses a static pod that names an object of the API,
//! so:
//!
//! - Secrets, ConfigMaps and projected volumes become folders of this machine, mounted read-only.
//!   Their files are 0600 and belong to the user that reads them (see `folder.rs`).
//! - `env` and `envFrom` become literal values. **These stand in the manifest, which is 0600 root.
//!   While the copy is active and the API answers, they are also in its mirror pod, for every user
//!   that may read pods.** A [`Note`] names them. A static pod can have such a value in no other
//!   way; a Secret that is mounted has no such leak.
//! - What a pod reads of itself (`metadata.name`, `metadata.uid`, annotations, the service account)
//!   becomes the value of the pod that was copied. What it reads of the machine (`status.hostIP`,
//!   `spec.nodeName`, limits) is left to kubelet.
//! - The service account and the token that the API mounts by itself are dropped. A pod that asks
//!   for a token is refused, because only the API can issue it, and it expires.
//! - Image pull secrets are dropped, and `imagePullPolicy: Always` becomes `IfNotPresent`: the
//!   image is on this machine, and the registry may be down like the API.
//! - `nodeSelector`, affinity, topology, gates and `nodeName` are dropped, because kubelet without
//!   an API knows no labels of its node, and would refuse the pod.
//! - On the host network ports are not declared, because kubelet would not admit the pod beside its
//!   copy. Probes get port numbers.
//! - Hooks stay as they are: `preStop: sleep` of the apiserver delays SIGTERM until new connections
//!   go to the other one.
//!
//! What the control plane needs beyond that is in `control_plane.rs`. What cannot be made static (a
//! claim, a driver, a runtime class, a device) is refused, every reason at once.

mod control_plane;
mod draft;
mod env;
mod folder;
mod needs;
mod spec;
mod volumes;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use sha2::{Digest as _, Sha256};

use super::{CHECKPOINT_OF, COPY, Id, Revision, Role};
use draft::Draft;
pub use draft::{Note, Sources};
pub use folder::{File, Folder};
pub use needs::{Needs, needs};

/// Name of the workload, on a copy.
pub const WORKLOAD: &str = "bootkube.dev/checkpoint-workload";
/// The revision, on a copy.
pub const REVISION: &str = "bootkube.dev/checkpoint-revision";

/// A static pod and the files that it mounts.
pub struct Copy {
    /// The workload.
    pub id: Id,
    /// The revision: a digest of the pod template and the files. It is part of the files' path.
    pub revision: Revision,
    /// The static pod.
    pub pod: Pod,
    /// Folder of files for each volume that has one.
    pub folders: BTreeMap<String, Folder>,
    /// What a user should know.
    pub notes: Vec<Note>,
}

/// Shows names only, because content may be secret.
impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let volumes: Vec<&String> = self.folders.keys().collect();
        f.debug_struct("Copy")
            .field("id", &self.id)
            .field("revision", &self.revision)
            .field("volumes", &volumes)
            .finish_non_exhaustive()
    }
}

/// Why a pod cannot be made static.
#[derive(Debug, thiserror::Error)]
#[error("pod {pod} of {id} cannot be kept: {}", problems.join("; "))]
pub struct Unfit {
    /// The workload.
    pub id: Id,
    /// The pod.
    pub pod: String,
    /// Every reason.
    pub problems: Vec<String>,
}

/// Makes a copy of `pod`. The files go below `files`, the folder of this workload, into a folder
/// named by the revision.
pub fn make(pod: &Pod, id: &Id, role: Role, sources: &Sources, files: &str) -> Result<Copy, Unfit> {
    let mut draft = Draft { pod, sources, folders: BTreeMap::new(), notes: Vec::new(), problems: Vec::new() };
    let mut spec = pod.spec.clone().unwrap_or_default();
    spec::detach(&mut draft, &mut spec);
    env::literal(&mut draft, &mut spec);
    volumes::local(&mut draft, &mut spec);
    control_plane::adapt(&mut spec, role);
    let Draft { folders, mut notes, problems, .. } = draft;
    if !problems.is_empty() {
        return Err(Unfit { id: id.clone(), pod: pod.name_any(), problems });
    }
    notes.sort();
    let revision = revision(pod, &spec, &folders);
    volumes::place(&mut spec, &folders, &format!("{files}/{revision}"));
    let metadata = metadata(pod, id, &revision);
    Ok(Copy {
        id: id.clone(),
        revision,
        pod: Pod { metadata, spec: Some(spec), status: None },
        folders,
        notes,
    })
}

/// Name and labels stay, so that Services and policies select the copy too while it runs instead of
/// the pod. One more label lets rules exclude copies.
fn metadata(pod: &Pod, id: &Id, revision: &Revision) -> ObjectMeta {
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.insert(COPY.to_owned(), "true".to_owned());
    let annotations =
        [(CHECKPOINT_OF, pod.name_any()), (WORKLOAD, id.name.clone()), (REVISION, revision.to_string())];
    ObjectMeta {
        name: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()),
        ..ObjectMeta::default()
    }
}

/// The revision. It is the same for pods of one template with the same files, whatever their names.
fn revision(pod: &Pod, spec: &PodSpec, folders: &BTreeMap<String, Folder>) -> Revision {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    let described = serde_json::to_vec(&(&pod.metadata.namespace, &pod.metadata.labels, spec));
    add(&described.expect("invariant: Kubernetes objects have string keys"));
    for (volume, folder) in folders {
        add(volume.as_bytes());
        folder.describe(&mut add);
    }
    let digest = digest.finalize();
    Revision(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests;
