//! The files of one volume, and the user that may read them.
//!
//! All are below a folder that only root may enter. A container sees only its own folder, because
//! only that is mounted. Kubelet does not change the owner of a folder of the host as it does for a
//! Secret (`fsGroup`), so the files belong to the user that reads them:
//!
//! - All containers that mount the volume run as root: 0600 root.
//! - All run as one other user: 0600 of that user, and so is the folder.
//! - They differ, or the user is unknown (it is the image's, and the runtime does not report it):
//!   root, with the mode that the pod asks for and the group of `fsGroup`, as kubelet would have
//!   it.
//!
//! If the pod wants a file to be executable, its owner may execute it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

/// The files of one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Owner and group of the folder and everything in it.
    pub owner: (u32, u32),
    /// Mode of the folder, and of folders in it.
    pub mode: u32,
    /// Files, by path below the folder.
    pub files: BTreeMap<String, File>,
}

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its mode.
    pub mode: u32,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Leaves out the content, which is secret.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:o}", self.bytes.len(), self.mode)
    }
}

impl Folder {
    /// Everything by which this folder differs from another, for the revision.
    pub(super) fn describe(&self, add: &mut impl FnMut(&[u8])) {
        let Self { owner, mode, files } = self;
        add(format!("{owner:?} {mode:o}").as_bytes());
        for (path, file) in files {
            add(path.as_bytes());
            add(&file.mode.to_be_bytes());
            add(&file.bytes);
        }
    }
}

/// The user that reads a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    User(u32),
    /// Several users, or an unknown one. `fsGroup` is the group.
    Unknown {
        group: u32,
    },
}

impl Reader {
    /// The containers that mount `volume`.
    pub(super) fn of(pod: &Pod, spec: &PodSpec, volume: &str) -> Self {
        let mounts = |container: &&Container| {
            container.volume_mounts.iter().flatten().any(|mount| mount.name == volume)
        };
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten()).filter(mounts);
        let users: BTreeSet<Option<i64>> = containers.map(|container| user(pod, spec, container)).collect();
        let one = match users.first() {
            None => Some(0),
            Some(user) if users.len() == 1 => *user,
            Some(_) => None,
        };
        let group = spec.security_context.as_ref().and_then(|context| context.fs_group);
        let unknown = Self::Unknown { group: group.and_then(|group| u32::try_from(group).ok()).unwrap_or(0) };
        one.and_then(|user| u32::try_from(user).ok()).map_or(unknown, Self::User)
    }

    /// A folder of `files`, each of which has the mode that the pod asks for.
    pub(super) fn folder(self, files: BTreeMap<String, (u32, Vec<u8>)>) -> Folder {
        let (owner, mode) = match self {
            Self::User(user) => ((user, user), 0o700),
            Self::Unknown { group } => ((0, group), 0o755),
        };
        let file = |asked: u32| match self {
            Self::User(_) => 0o600 | (asked & 0o100),
            Self::Unknown { group: 0 } => asked,
            Self::Unknown { .. } => asked | 0o440,
        };
        let files = files
            .into_iter()
            .map(|(path, (asked, bytes))| (path, File { mode: file(asked), bytes }))
            .collect();
        Folder { owner, mode, files }
    }
}

/// The user that a container runs as, by the pod or else by the runtime.
fn user(pod: &Pod, spec: &PodSpec, container: &Container) -> Option<i64> {
    let own = container.security_context.as_ref().and_then(|context| context.run_as_user);
    let pods = || spec.security_context.as_ref().and_then(|context| context.run_as_user);
    own.or_else(pods).or_else(|| reported(pod, &container.name))
}

fn reported(pod: &Pod, container: &str) -> Option<i64> {
    let status = pod.status.as_ref()?;
    let mut all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    let found = all.find(|status| status.name == container)?;
    found.user.as_ref()?.linux.as_ref().map(|user| user.uid)
}
