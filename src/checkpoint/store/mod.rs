//! Copies on disk, under v0.14's names: kept ones in `inactive-manifests`, the files that they
//! mount in `checkpoint-secrets`, active ones in kubelet's folder.
//!
//! ```text
//! inactive-manifests/NAMESPACE-WORKLOAD.json             the copy to use
//! manifests/NAMESPACE-WORKLOAD.json                      the same, where kubelet sees it
//! checkpoint-secrets/NAMESPACE/WORKLOAD/REVISION/VOLUME/ its files
//! ```
//!
//! # Guarantees
//! A copy is there whole or not at all: its files are written beside their place, synced and
//! renamed, and the manifest that names them comes last, by rename. A full disk or a power cut
//! leaves the copy before. Nothing here writes a file that others may read, but for pods whose own
//! users do (see `copy::folder`), and those lie below folders that only root may enter. What is not
//! a copy is never written over nor removed.

mod list;
mod manifest;
mod sweep;
mod write;

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use self::manifest::{REASON, TIME, read};
use super::copy::Copy;
use super::{Id, Revision};
use crate::CHECKPOINT_SECRETS;
use crate::host::files::{self, PRIVATE_FILE};
pub use list::{Entry, Kept, Listing};

/// Why the store cannot do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is no copy has the name.
    #[error("{} is not a copy made by the checkpointer; move it away", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Two workloads have one file name.
    #[error("{} holds the copy of {id}; rename one of the two workloads", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        id: Id,
    },
    /// There is no complete copy.
    #[error("no complete copy of {id} is kept")]
    NotKept {
        /// The workload.
        id: Id,
    },
    /// The system refused.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// The folders of a machine.
#[derive(Clone, Debug)]
pub struct Store {
    /// Kubelet's static pods.
    pub manifests: PathBuf,
    /// Copies that are kept.
    pub inactive: PathBuf,
    /// Files of copies.
    pub secrets: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            manifests: "/etc/kubernetes/manifests".into(),
            inactive: "/etc/kubernetes/inactive-manifests".into(),
            secrets: CHECKPOINT_SECRETS.into(),
        }
    }
}

impl Store {
    /// The folder for the files of one workload: the argument of `copy::make`.
    pub fn files(&self, id: &Id) -> PathBuf {
        self.secrets.join(&id.namespace).join(&id.name)
    }

    fn kept(&self, id: &Id) -> PathBuf {
        self.inactive.join(file_name(id))
    }

    fn active(&self, id: &Id) -> PathBuf {
        self.manifests.join(file_name(id))
    }

    /// Makes `copy` the one to use. An active one stays as it is.
    ///
    /// # Errors
    /// The copy before is kept then.
    pub fn save(&self, copy: &Copy, reason: &str, now: OffsetDateTime) -> Result<(), Error> {
        let path = self.kept(&copy.id);
        match check(&path, &copy.id) {
            Err(Error::Foreign { .. }) if is_damaged(&path)? => {}
            checked => checked?,
        }
        let mut pod = copy.pod.clone();
        let stamp = now.format(&Rfc3339).expect("invariant: a year of four digits, no sub-minute offset");
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(TIME.to_owned(), stamp);
        annotations.insert(REASON.to_owned(), reason.to_owned());
        let manifest =
            serde_json::to_vec_pretty(&pod).expect("invariant: Kubernetes objects have string keys");

        write::private_dir(&self.secrets)?;
        write::folders(&self.files(&copy.id).join(&copy.revision.0), &copy.folders)?;
        files::ensure_dir(&self.inactive)?;
        files::write_atomic(&path, &manifest, PRIVATE_FILE)?;
        self.prune(&copy.id)
    }

    /// Gives the kept copy to kubelet, in place of an active one.
    ///
    /// # Errors
    /// [`Error::NotKept`] if no copy is kept, or some of its files are missing.
    pub fn activate(&self, id: &Id) -> Result<(), Error> {
        let not_kept = || Error::NotKept { id: id.clone() };
        let path = self.kept(id);
        let bytes = read(&path)?.ok_or_else(not_kept)?;
        let pod = manifest::parse(&bytes).filter(|pod| manifest::id(pod) == *id && self.is_complete(pod));
        pod.ok_or_else(not_kept)?;
        check(&self.active(id), id)?;
        files::ensure_dir(&self.manifests)?;
        Ok(files::write_atomic(&self.active(id), &bytes, PRIVATE_FILE)?)
    }

    /// Takes the active copy from kubelet. Its files stay: it may need them until it has ended.
    pub fn deactivate(&self, id: &Id) -> Result<(), Error> {
        self.remove_manifest(&self.active(id), id)
    }

    /// Removes everything that is kept of a workload.
    pub fn remove(&self, id: &Id) -> Result<(), Error> {
        self.deactivate(id)?;
        self.remove_manifest(&self.kept(id), id)?;
        write::remove_tree(&self.files(id))?;
        Ok(write::remove_empty(files::parent(&self.files(id)))?)
    }

    /// Removes the files of every revision of a workload that is neither kept nor active.
    fn prune(&self, id: &Id) -> Result<(), Error> {
        let used = [self.revision(&self.kept(id))?, self.revision(&self.active(id))?];
        for path in write::entries(&self.files(id))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !used.contains(&Some(Revision(name))) {
                write::remove_tree(&path)?;
            }
        }
        Ok(())
    }

    fn revision(&self, path: &Path) -> Result<Option<Revision>, Error> {
        Ok(read(path)?.and_then(|bytes| manifest::parse(&bytes)).map(|pod| manifest::revision(&pod)))
    }

    /// Whether every folder of ours that `pod` mounts is there.
    fn is_complete(&self, pod: &Pod) -> bool {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let ours = volumes.filter_map(|volume| volume.host_path.as_ref()).map(|path| Path::new(&path.path));
        manifest::is_current(pod) && ours.filter(|path| path.starts_with(&self.secrets)).all(Path::is_dir)
    }

    fn remove_manifest(&self, path: &Path, id: &Id) -> Result<(), Error> {
        check(path, id)?;
        Ok(write::remove_file(path)?)
    }
}

fn file_name(id: &Id) -> String {
    format!("{}-{}.json", id.namespace, id.name)
}

/// Whether `path` is free, or holds a copy of `id`.
fn check(path: &Path, id: &Id) -> Result<(), Error> {
    let Some(bytes) = read(path)? else { return Ok(()) };
    match manifest::parse(&bytes).map(|pod| manifest::id(&pod)) {
        Some(found) if found == *id => Ok(()),
        Some(found) => Err(Error::Taken { path: path.to_owned(), id: found }),
        None => Err(Error::Foreign { path: path.to_owned() }),
    }
}

/// Whether a file is not even JSON. Among the kept copies that is one that the file system has
/// damaged, and no file of another program.
fn is_damaged(path: &Path) -> Result<bool, Error> {
    Ok(read(path)?.is_some_and(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).is_err()))
}

#[cfg(test)]
mod tests;
