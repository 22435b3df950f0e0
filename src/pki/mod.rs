//! Certificates, keys and tokens as PEM: a catalogue of what a cluster needs, issued anew or
//! reused.
//!
//! [`issue()`] is a pure function of the configuration, what the user supplied, what an earlier
//! render left behind and the time. It keeps whatever is still valid and reports it. It never
//! replaces an authority, because that would cut off every kubelet and client of a running cluster.
//! It reads no file ([`Supplied::read`] does) and shows no key material.

mod authority;
mod catalogue;
mod certificate;
pub mod descent;
mod ending;
mod error;
mod examine;
mod issue;
mod key;
mod leaf;
mod note;
mod plan;
mod previous;
mod problem;
mod refused;
pub mod renew;
mod service_account;
mod sign;
mod signer;
mod supplied;
mod supplied_check;
mod supplied_etcd;
mod supplied_files;
mod term;
mod token;
mod verify;

use std::collections::BTreeMap;
use std::fmt;

use time::OffsetDateTime;

pub use catalogue::{Role, Spec, Usage, catalogue};
pub use ending::{KUBELET_CERTIFICATES, is_cut_short, is_short, warnings};
pub use error::Error;
pub use examine::{Examined, examine};
pub use issue::issue;
pub use note::{Action, Note};
pub use previous::Previous;
pub(crate) use problem::rfc3339;
pub use supplied::{Supplied, check_supplied};
pub use supplied_check::{NamedFile, SuppliedFiles};
pub use supplied_files::validate;

/// Every secret of a cluster.
#[derive(Clone)]
pub struct Bundle {
    /// Path under `tls/` (such as `apiserver.crt` or `etcd/server.key`) to PEM. See
    /// [`Bundle::get`].
    pub files: BTreeMap<String, Vec<u8>>,
    /// The credential of any kubelet that joins.
    pub bootstrap_token: BootstrapToken,
    /// Those of single machines of the list, by name.
    pub node_tokens: BTreeMap<String, BootstrapToken>,
}

/// A bootstrap token: `id.secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    /// Six characters of `[a-z0-9]`.
    pub id: String,
    /// Sixteen characters of `[a-z0-9]`.
    pub secret: String,
    /// When it expires; `None`: never.
    pub expires: Option<OffsetDateTime>,
}

impl Bundle {
    /// The PEM of `path`. Empty if the configuration does not need that file.
    pub fn get(&self, path: &str) -> &[u8] {
        self.files.get(path).map_or(&[], Vec::as_slice)
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, bootstrap_token, node_tokens } = self;
        let paths: Vec<&String> = files.keys().collect();
        f.debug_struct("Bundle")
            .field("files", &paths)
            .field("bootstrap_token", bootstrap_token)
            .field("node_tokens", node_tokens)
            .finish()
    }
}

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, secret: _, expires } = self;
        f.debug_struct("BootstrapToken").field("id", id).field("expires", expires).finish_non_exhaustive()
    }
}
