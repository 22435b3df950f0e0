//! What the journal says, all lines together. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::digest;
use super::record::{Line, Record, Role, Run, Thing};

/// In the folder of etcd's keys: the CA that its server's certificate is of.
pub const ETCD_AUTHORITY: &str = "server-ca.crt";

/// What is ours on this machine, and how the last command went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// What was placed, or was about to be, and was not removed since.
    pub things: BTreeMap<PathBuf, Held>,
    /// Digest of the CA of the etcd that was started on this machine.
    pub etcd_authority: Option<String>,
    /// Whether a bootstrap came to its hand-over: from then on the cluster is its own, also where
    /// its control plane is brought back by another bootstrap. Until etcd is another one.
    pub handed_over: bool,
    /// The last command.
    pub last: Option<Last>,
}

/// Something that was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What for.
    pub role: Role,
    /// `namespace/name` of a pod.
    pub pod: Option<String>,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// Path to digest of a folder's files.
    pub files: BTreeMap<String, String>,
    /// Everything that may be there: several while one replaces another.
    pub digests: BTreeSet<String>,
}

/// How a command went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// Which.
    pub run: Run,
    /// When it began.
    pub began: String,
    /// The phase that it entered last.
    pub phase: Option<String>,
    /// Its exit code; none if it was cut off.
    pub exit_code: Option<u8>,
}

impl State {
    /// All `lines`, one after the other.
    pub fn of(lines: &[Line]) -> Self {
        let mut state = Self::default();
        lines.iter().for_each(|line| state.note(line));
        state
    }

    /// One more line.
    pub fn note(&mut self, Line { at, record }: &Line) {
        match record {
            Record::Begun(run) => {
                self.last = Some(Last { run: run.clone(), began: at.clone(), phase: None, exit_code: None });
            }
            Record::Known(thing) | Record::Placing(thing) => self.hold(thing),
            Record::Placed { path, sha256 } => {
                if let Some(held) = self.things.get_mut(path) {
                    held.digests = BTreeSet::from([sha256.clone()]);
                }
            }
            Record::Removed { path } => self.things.retain(|held, _| !held.starts_with(path)),
            Record::EtcdAuthority { sha256 } => self.etcd_authority = Some(sha256.clone()),
            Record::HandedOver => self.handed_over = true,
            Record::PhaseStarted { phase } => self.last_mut(|last| last.phase = Some(phase.clone())),
            Record::Ended { exit_code } => self.last_mut(|last| last.exit_code = Some(*exit_code)),
            Record::Removing { .. }
            | Record::PhaseFinished { .. }
            | Record::PhaseFailed { .. }
            | Record::Interrupted { .. }
            | Record::Unknown => {}
        }
    }

    fn hold(&mut self, thing: &Thing) {
        let Thing { path, role, sha256, pod, port, files } = thing;
        if let (Role::EtcdKeys, Some(authority)) = (role, files.get(ETCD_AUTHORITY)) {
            let is_another = self.etcd_authority.as_ref().is_some_and(|earlier| earlier != authority);
            self.handed_over &= !is_another;
            self.etcd_authority = Some(authority.clone());
        }
        let digests = self.things.remove(path).map(|held| held.digests).unwrap_or_default();
        let held = Held { role: *role, pod: pod.clone(), port: *port, files: files.clone(), digests };
        self.things.entry(path.clone()).or_insert(held).digests.insert(sha256.clone());
    }

    fn last_mut(&mut self, change: impl FnOnce(&mut Last)) {
        if let Some(last) = &mut self.last {
            change(last);
        }
    }

    /// Records from which all of this but the last command can be had again.
    pub fn carried(&self) -> Vec<Record> {
        let known = self.things.iter().flat_map(|(path, held)| {
            let Held { role, pod, port, files, digests } = held;
            digests.iter().map(|sha256| {
                let (path, sha256, pod) = (path.clone(), sha256.clone(), pod.clone());
                Record::Known(Thing { path, role: *role, sha256, pod, port: *port, files: files.clone() })
            })
        });
        let authority = self.etcd_authority.clone().map(|sha256| Record::EtcdAuthority { sha256 });
        known.chain(authority).chain(self.handed_over.then_some(Record::HandedOver)).collect()
    }

    /// Whether a file at `path` that holds `content` was placed by us.
    pub fn has_placed(&self, path: &Path, content: &[u8]) -> bool {
        self.things.get(path).is_some_and(|held| held.digests.contains(&digest(content)))
    }

    /// Static pods of ours.
    pub fn pods(&self) -> impl Iterator<Item = (&PathBuf, &Held)> {
        self.things.iter().filter(|(_, held)| held.role.is_pod())
    }
}
