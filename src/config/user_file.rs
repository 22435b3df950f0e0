//! A file that the user names, and where the user named it.

use super::{CaFiles, ClusterConfig, Etcd, EtcdClientFiles};
use crate::values::mistakes::Given;

/// A path, and the flag or field that holds it.
#[derive(Clone, Debug)]
pub struct UserFile {
    /// The path, relative to the working folder.
    pub path: String,
    /// For messages: `--ca-certificate-path`, or `cluster.yaml: ca.certificateFile`.
    pub field: String,
}

/// The same path is the same file, wherever it was written.
impl PartialEq for UserFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for UserFile {}

impl UserFile {
    /// Names the configuration file `name` as the place, unless a flag was the place.
    pub(super) fn name_file(&mut self, name: &str) {
        if !self.field.starts_with("--") {
            self.field = format!("{name}: {}", self.field);
        }
    }
}

impl ClusterConfig {
    /// Every file that the configuration names and bootkube reads.
    pub(super) fn user_files_mut(&mut self) -> impl Iterator<Item = &mut UserFile> {
        let ca =
            self.ca.iter_mut().flat_map(|CaFiles { certificate, private_key }| [certificate, private_key]);
        let client = match &mut self.etcd {
            Etcd::External { client, .. } => client.as_mut(),
            Etcd::StaticPod => None,
        };
        ca.chain(
            client
                .into_iter()
                .flat_map(|EtcdClientFiles { ca, certificate, private_key }| [ca, certificate, private_key]),
        )
    }
}

impl From<&Given<String>> for UserFile {
    fn from(given: &Given<String>) -> Self {
        Self { path: given.value.clone(), field: given.at.clone() }
    }
}
