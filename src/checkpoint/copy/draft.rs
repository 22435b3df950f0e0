//! What the steps of making a copy share: their input and what they have gathered.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

use super::folder::Folder;

/// The objects that the pod names, in its namespace. What is missing here does not exist.
#[derive(Clone, Default)]
pub struct Sources {
    /// Secrets.
    pub secrets: BTreeMap<String, Secret>,
    /// ConfigMaps.
    pub config_maps: BTreeMap<String, ConfigMap>,
}

/// A difference between copy and pod that the user should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// A value of a Secret stands in the manifest, and in the mirror pod while the copy is active.
    SecretInEnvironment {
        /// The Secret.
        secret: String,
        /// The container.
        container: String,
    },
    /// The token that the API mounts by itself is missing.
    NoToken,
    /// The image was pulled with a Secret of the API. Kubelet may want to see it again
    /// (`imagePullCredentialsVerificationPolicy`).
    NoPullSecrets,
    /// Which user reads this volume is unknown: its files have the modes that the pod asks for, in
    /// a folder for root only.
    UnknownReader {
        /// The volume.
        volume: String,
    },
}

/// What is gathered while a copy is made.
pub(super) struct Draft<'a> {
    pub pod: &'a Pod,
    pub sources: &'a Sources,
    pub folders: BTreeMap<String, Folder>,
    pub notes: Vec<Note>,
    pub problems: Vec<String>,
}

impl Draft<'_> {
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    pub fn note(&mut self, note: Note) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}
