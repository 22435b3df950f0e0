//! Certificates, keys and tokens: a catalogue of named records, issued or reused, as PEM.

use std::collections::BTreeMap;

use time::OffsetDateTime;

/// Every secret of a cluster.
#[derive(Clone)]
pub struct Bundle {
    /// Path under `tls/` (such as `apiserver.crt` or `etcd/server.key`) to PEM. See [`Bundle::get`].
    pub files: BTreeMap<String, Vec<u8>>,
    /// What a joining kubelet shows.
    pub bootstrap_token: BootstrapToken,
}

/// A bootstrap token: `id.secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    /// Six characters of `[a-z0-9]`.
    pub id: String,
    /// Sixteen characters of `[a-z0-9]`.
    pub secret: String,
    /// When it stops being good.
    pub expires: Option<OffsetDateTime>,
}

impl Bundle {
    /// The PEM of `path`, which the catalogue promises. Empty if the configuration does without it.
    pub fn get(&self, path: &str) -> &[u8] {
        self.files.get(path).map_or(&[], Vec::as_slice)
    }
}
