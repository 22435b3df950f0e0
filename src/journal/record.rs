//! The lines of the journal. A new kind of record or a new field does not change the schema: an
//! older version ignores it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, digest};

/// Version of what a record means. One that is higher is not read.
pub const SCHEMA: u32 = 1;

/// A record, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// RFC 3339, UTC.
    pub at: String,
    /// What.
    #[serde(flatten)]
    pub record: Record,
}

/// Something that is about to be done, or has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A command began: the first line.
    Begun(Run),
    /// Something of ours is in place: an earlier run placed it, or it was found to be ours to the
    /// byte.
    Known(Thing),
    /// Something will be placed now. Until [`Record::Placed`] it may be there or not.
    Placing(Thing),
    /// It is there.
    Placed {
        /// Where.
        path: PathBuf,
        /// What of it.
        sha256: String,
    },
    /// Something of ours will be removed now.
    Removing {
        /// Where.
        path: PathBuf,
    },
    /// It is gone, with everything below it.
    Removed {
        /// Where.
        path: PathBuf,
    },
    /// etcd was started on this machine with keys of this CA: data that is found is that cluster's.
    EtcdAuthority {
        /// Digest of the CA's certificate file.
        sha256: String,
    },
    /// The bootstrap control plane has made way for the self-hosted one.
    HandedOver,
    /// A phase began.
    PhaseStarted {
        /// Its name.
        phase: String,
    },
    /// It ended well.
    PhaseFinished {
        /// Its name.
        phase: String,
    },
    /// It did not.
    PhaseFailed {
        /// Its name.
        phase: String,
    },
    /// A signal ended the command.
    Interrupted {
        /// Its name.
        signal: String,
    },
    /// The command ended: always the last line, unless it was cut off.
    Ended {
        /// The exit code.
        exit_code: u8,
    },
    /// Written by a later version.
    #[serde(other)]
    Unknown,
}

/// The command that writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// What was begun.
    pub command: Command,
    /// Version of bootkube.
    pub bootkube: String,
    /// The machine's name, as far as bootkube knows it: in a container it may be the container's.
    pub host: String,
    /// The kernel's name for the time since the machine was switched on.
    pub boot: String,
    /// Digest of all assets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<String>,
}

/// A command that changes the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// `bootkube start`
    Start,
    /// `bootkube reset`
    Reset,
    /// `bootkube unpivot`
    Unpivot,
}

/// A file or a folder of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// Where.
    pub path: PathBuf,
    /// What for.
    pub role: Role,
    /// Of its content; of a folder, of the list of its files.
    pub sha256: String,
    /// `namespace/name` of a pod, as its file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The port that it listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Path to digest of a folder's files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// What something is for. In this order things are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A static pod of the bootstrap control plane that is no apiserver.
    BootstrapPod,
    /// The bootstrap apiserver.
    BootstrapApiserver,
    /// What those read, or a part of it.
    BootstrapSecrets,
    /// A static pod that stays: etcd.
    StayingPod,
    /// What that reads.
    EtcdKeys,
    /// A static pod of the control plane that `unpivot` placed. `start` removes it in its
    /// hand-over, `reset` never.
    ControlPlanePod,
    /// What those read.
    ControlPlaneKeys,
}

impl Role {
    /// Whether it goes with the hand-over.
    pub fn is_temporary(self) -> bool {
        self <= Self::BootstrapSecrets
    }

    /// Whether it is a static pod.
    pub fn is_pod(self) -> bool {
        !matches!(self, Self::BootstrapSecrets | Self::EtcdKeys | Self::ControlPlaneKeys)
    }
}

impl Thing {
    /// A file.
    pub fn file(path: &Path, role: Role, content: &[u8]) -> Self {
        let (path, files) = (path.to_owned(), BTreeMap::new());
        Self { path, role, sha256: digest(content), pod: None, port: None, files }
    }

    /// A folder of keys.
    pub fn folder(path: &Path, role: Role, content: &BTreeMap<String, Vec<u8>>) -> Self {
        let files: BTreeMap<_, _> =
            content.iter().map(|(name, bytes)| (name.clone(), digest(bytes))).collect();
        let list: String = files.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
        Self { path: path.to_owned(), role, sha256: digest(list.as_bytes()), pod: None, port: None, files }
    }
}

/// Reads a journal. A last line without an end was cut off while it was written, so the act that it
/// names has not begun.
///
/// # Errors
/// If any other line is no record, or the journal is of a later schema.
pub fn parse(bytes: &[u8], path: &Path) -> Result<Vec<Line>, Error> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate();
    lines
        .map(|(index, line)| {
            let corrupt = |error: serde_json::Error| Error::Corrupt {
                path: path.to_owned(),
                line: index + 1,
                reason: error.to_string(),
            };
            if index == 0 {
                check_schema(&serde_json::from_slice(line).map_err(corrupt)?, path)?;
            }
            serde_json::from_slice(line).map_err(corrupt)
        })
        .collect()
}

fn check_schema(first: &Value, path: &Path) -> Result<(), Error> {
    match first["schema"].as_u64() {
        Some(schema) if schema > u64::from(SCHEMA) => {
            let bootkube = first["bootkube"].as_str().unwrap_or("of another version").to_owned();
            Err(Error::Newer { path: path.to_owned(), schema, bootkube })
        }
        _ => Ok(()),
    }
}
