//! Build results, found by the digest of their sources. An entry is complete or absent: one process
//! at a time makes it under another name, and renames it. No entry is ever deleted, because a
//! running machine may use it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::files;

/// A folder of entries.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// `LAB_CACHE`, or `target/lab/cache` of the workspace.
    pub fn open() -> Result<Self> {
        let folder = std::env::var_os("LAB_CACHE")
            .map_or_else(|| crate::workspace().join("target/lab/cache"), PathBuf::from);
        Self::at(&folder)
    }

    /// A cache in `folder`.
    pub fn at(folder: &Path) -> Result<Self> {
        files::make_dir(folder)?;
        let folder = folder.canonicalize().map_err(Error::file("find", folder))?;
        Ok(Self { folder })
    }

    /// Where `programs.sh` leaves what it has compiled, here and when the Makefile calls it.
    pub(crate) fn compiled(&self) -> PathBuf {
        self.folder.join("go")
    }

    /// The entry of this name and digest; `make` fills an empty folder when there is none.
    pub fn entry(&self, name: &str, digest: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let entry = self.folder.join(format!("{name}-{digest}"));
        if entry.exists() {
            return Ok(entry);
        }
        let _one_at_a_time = lock(&self.folder.join(format!("{name}.lock")))?;
        if entry.exists() {
            return Ok(entry);
        }
        let partial = self.folder.join(format!(".{name}.partial"));
        files::remove(&partial)?;
        files::make_dir(&partial)?;
        make(&partial)?;
        fs::rename(&partial, &entry).map_err(Error::file("keep", &entry))?;
        Ok(entry)
    }
}

/// Holds an exclusive lock on a file until dropped, or until the process ends.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path).map_err(Error::file("open", path))?;
    file.lock().map_err(Error::file("lock", path))?;
    Ok(file)
}

/// A digest of named parts. It changes if content moves from one part to the next.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Adds one part.
    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds the name and content of a file.
    pub fn file(self, path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(self.part(name.as_bytes()).part(&files::read(path)?))
    }

    /// Sixteen hexadecimal digits.
    pub fn finish(self) -> String {
        let mut digest = hex(&self.0.finalize());
        digest.truncate(16);
        digest
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_cut_elsewhere_have_another_digest() {
        let one = Fingerprint::default().part(b"ab").part(b"c").finish();
        let other = Fingerprint::default().part(b"a").part(b"bc").finish();
        assert_ne!(one, other);
        assert_eq!(one, Fingerprint::default().part(b"ab").part(b"c").finish());
        assert_eq!(one.len(), 16);
    }

    #[test]
    fn an_entry_is_made_once_and_a_failed_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let failed = cache.entry("thing", "1", |_| Err(Error::MachineCount(0)));
        assert!(failed.is_err());
        let made = cache.entry("thing", "1", |at| files::write(&at.join("file"), b"x", 0o644)).unwrap();
        let again = cache.entry("thing", "1", |_| panic!("made twice")).unwrap();
        assert_eq!(made, again);
        assert_eq!(files::read(&made.join("file")).unwrap(), b"x");
    }
}
