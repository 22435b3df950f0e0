//! What an earlier render left under `tls/`. A running cluster depends on these files, so nothing
//! unreadable is skipped.

use std::collections::BTreeMap;

use super::BootstrapToken;
use super::certificate::Certificate;
use super::key::PrivateKey;
use super::problem::Problem;
use crate::finding::Finding;

/// The secrets of an earlier render. Empty for a new cluster.
#[derive(Default)]
pub struct Previous {
    /// Path under `tls/` to content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The token with which kubelets of machines that are in no list join.
    pub token: Option<BootstrapToken>,
    /// Those of single machines, by name.
    pub node_tokens: BTreeMap<String, BootstrapToken>,
}

impl Previous {
    /// The certificate at `path`, if there is one.
    pub(super) fn certificate(&self, path: &str) -> Result<Option<Certificate>, Finding> {
        self.read(path, Certificate::read)
    }

    /// The key at `path`, if there is one.
    pub(super) fn key(&self, path: &str) -> Result<Option<PrivateKey>, Finding> {
        self.read(path, PrivateKey::read)
    }

    fn read<T>(&self, path: &str, read: fn(&[u8]) -> Result<T, Problem>) -> Result<Option<T>, Finding> {
        self.files.get(path).map(|pem| read(pem)).transpose().map_err(|problem| broken(path, &problem))
    }
}

/// A finding about a file of the earlier render. Its cures differ from those for supplied files:
/// another file would not do.
pub(super) fn broken(path: &str, problem: &Problem) -> Finding {
    let cure = match problem {
        Problem::Expired(_) => {
            "put a certificate with the same subject and key in its place; a new CA would cut off every kubelet and client"
        }
        Problem::NotYetValid(_) => "check this machine's clock",
        _ => {
            "put the file of the earlier render back, or render into an empty directory to make a new cluster"
        }
    };
    finding(path, problem.to_string(), cure)
}

/// A finding about `tls/PATH`.
pub(super) fn finding(path: &str, problem: impl Into<String>, cure: impl Into<String>) -> Finding {
    Finding { field: format!("tls/{path}"), value: String::new(), problem: problem.into(), cure: cure.into() }
}
