//! Why the asset directory was not written.

use crate::assets::tree;
use crate::finding::Findings;
use crate::host::files;

/// Why a tree was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// bootkube did not write the directory, or files in it were edited. Nothing was touched.
    #[error("{0}")]
    Refused(Findings),
    /// The directory cannot be read. Nothing was touched.
    #[error(transparent)]
    Read(tree::Error),
    /// A change of the file system failed. Either the old tree or the new one is in place.
    #[error(transparent)]
    Write(files::Error),
}
