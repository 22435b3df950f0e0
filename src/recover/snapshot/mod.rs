//! Reads an etcd snapshot: the output of `etcdctl snapshot save`, or `member/snap/db` of a stopped
//! etcd.
//!
//! It is a bbolt database (`bolt`). Its bucket `key` holds every change since the last compaction,
//! by revision. Replaying them gives the current state. Keys that were deleted since the compaction
//! are still in it and are kept separately, because a component may need them. A saved snapshot
//! ends in a SHA-256 of everything before it, which is verified. Nothing is written.

mod bolt;
mod format;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use prost::Message;
use sha2::{Digest as _, Sha256};

use super::store::{Entry, KeyValue};
pub use bolt::{Pages, Problem};

/// The bucket of etcd's data.
const BUCKET: &[u8] = b"key";
/// Length of the checksum at the end. Without it, the length of a database is a multiple of
/// [`SECTOR`].
const CHECKSUM: u64 = 32;
const SECTOR: u64 = 512;
/// Length of the key of a change: main revision, `_`, sub revision. A deletion has a mark behind
/// it.
const REVISION: usize = 17;
const DELETION: u8 = b't';

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("failed to read snapshot {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else is there.
    #[error("--etcd-snapshot: {} is {what}; {cure}", path.display())]
    Other {
        /// The file or folder.
        path: PathBuf,
        /// What it is.
        what: String,
        /// The cure, as an instruction.
        cure: String,
    },
    /// The checksum does not match.
    #[error("snapshot {} is damaged: its SHA-256 is not the one at its end; copy it again, or use an earlier one", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a database, or is damaged.
    #[error("snapshot {} cannot be read: {problem}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Problem,
    },
}

/// The wanted entries of a snapshot.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The newest revision.
    pub revision: u64,
    /// Whether it has a checksum, which matched.
    pub is_verified: bool,
    /// The current state.
    pub present: Vec<Entry>,
    /// Entries that were deleted since the last compaction, as they were before.
    pub deleted: Vec<Entry>,
}

/// Reads the snapshot at `path`. `is_wanted` selects the keys.
///
/// # Errors
/// If the file cannot be read, its checksum does not match, or it is damaged.
pub fn read(path: &Path, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Snapshot, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    if let Some((what, cure)) = format::other(path).map_err(failed)? {
        return Err(Error::Other { path: path.to_owned(), what, cure });
    }
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let is_verified = length % SECTOR == CHECKSUM;
    if is_verified && !is_intact(&file, length - CHECKSUM).map_err(failed)? {
        return Err(Error::Checksum { path: path.to_owned() });
    }
    let pages = if is_verified { length - CHECKSUM } else { length };
    let mut snapshot = replay(&(file, pages), is_wanted)
        .map_err(|problem| Error::Database { path: path.to_owned(), problem })?;
    snapshot.is_verified = is_verified;
    Ok(snapshot)
}

/// Whether the first `length` bytes have the checksum that follows them.
fn is_intact(file: &File, length: u64) -> io::Result<bool> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut content = file.take(length);
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            read => digest.update(&buffer[..read]),
        }
    }
    let mut expected = Vec::new();
    content.into_inner().take(CHECKSUM).read_to_end(&mut expected)?;
    Ok(digest.finalize()[..] == expected[..])
}

/// Replays every change.
pub fn replay(pages: &impl Pages, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Snapshot, Problem> {
    let mut snapshot = Snapshot::default();
    let mut states: BTreeMap<Vec<u8>, (Vec<u8>, bool)> = BTreeMap::new();
    bolt::each(pages, BUCKET, |revision, change| {
        let main = revision.first_chunk().map(|main| u64::from_be_bytes(*main));
        let main = main.filter(|_| revision.len() >= REVISION).ok_or(Problem::Revision)?;
        let change = KeyValue::decode(change).map_err(|_| Problem::Change)?;
        snapshot.revision = snapshot.revision.max(main);
        if !is_wanted(&change.key) {
            return Ok(());
        }
        match (revision.get(REVISION) == Some(&DELETION), states.get_mut(&change.key)) {
            (true, Some(state)) => state.1 = true,
            (true, None) => {} // the value before the deletion has been compacted
            (false, _) => drop(states.insert(change.key, (change.value, false))),
        }
        Ok(())
    })?;
    for (key, (value, is_deleted)) in states {
        let entries = if is_deleted { &mut snapshot.deleted } else { &mut snapshot.present };
        entries.push(Entry { key, value });
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests;
