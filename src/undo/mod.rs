//! Removes what the journal says was placed, and nothing else: pods first, and after these have
//! ended the keys that they read.
//!
//! A file that was changed since it was placed stays, and so do the keys that its pod reads. etcd's
//! data is never touched.

mod ending;
mod error;
mod removal;

use std::fmt;
use std::path::PathBuf;

pub use error::Error;
pub use removal::{remove_file, remove_folder};

use crate::host::static_pods;
use crate::journal::{Journal, Record, Role, State};
use ending::{Ending, Pod};

/// Something to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Where it is.
    pub path: PathBuf,
    /// Its role in the journal.
    pub role: Role,
    /// `namespace/name` of a pod, if it is one.
    pod: Option<String>,
    /// The port that it listens on.
    port: Option<u16>,
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.role {
            Role::BootstrapPod => "bootstrap pod",
            Role::BootstrapApiserver => "bootstrap apiserver",
            Role::BootstrapSecrets => "keys of the bootstrap pods",
            Role::StayingPod => "static pod",
            Role::EtcdKeys => "keys of etcd",
            Role::ControlPlanePod => "static pod of the control plane",
            Role::ControlPlaneKeys => "keys of the control plane",
        };
        write!(f, "{} ({what})", self.path.display())
    }
}

/// Something that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// The user or another program changed it since it was placed.
    Changed(PathBuf),
    /// A changed pod reads it.
    Read(PathBuf),
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(path) => {
                write!(f, "{} was changed since bootkube placed it, and stays", path.display())
            }
            Self::Read(path) => write!(f, "{} stays: a pod that was changed may read it", path.display()),
        }
    }
}

/// What must be removed, in order. etcd's pod and keys stay where a self-hosted control plane needs
/// them, or one that `unpivot` has turned into static pods.
pub fn removals(state: &State) -> Vec<Removal> {
    let may_go = |role: Role| match role {
        Role::BootstrapPod | Role::BootstrapApiserver | Role::BootstrapSecrets => true,
        Role::StayingPod | Role::EtcdKeys => !state.handed_over,
        Role::ControlPlanePod | Role::ControlPlaneKeys => false,
    };
    let is_top = |path: &PathBuf| !path.ancestors().skip(1).any(|above| state.things.contains_key(above));
    let things = state.things.iter().filter(|(path, held)| may_go(held.role) && is_top(path));
    let mut removals: Vec<Removal> = things
        .map(|(path, held)| {
            let (path, pod) = (path.clone(), held.pod.clone());
            Removal { path, role: held.role, pod, port: held.port }
        })
        .collect();
    removals.sort_by_key(|removal| removal.role); // the sort is stable: removals of one role stay in the order of their paths
    removals
}

/// Removes `removals`, temporary ones first: of each kind the pods, and when these have ended what
/// they read. Returns what stays. `runtime` is the socket of the container runtime, if there is
/// one.
pub async fn undo(
    journal: &Journal,
    removals: &[Removal],
    runtime: Option<PathBuf>,
    waiting: &dyn Fn(String),
) -> Result<Vec<Left>, Error> {
    let mut left = Vec::new();
    for is_temporary in [true, false] {
        let of_kind: Vec<&Removal> =
            removals.iter().filter(|removal| removal.role.is_temporary() == is_temporary).collect();
        let (pods, folders): (Vec<&Removal>, Vec<&Removal>) =
            of_kind.into_iter().partition(|removal| removal.role.is_pod());
        let changed = remove_pods(journal, &pods, runtime.clone(), waiting).await?;
        for folder in folders {
            match changed.is_empty() {
                true => remove_folder(journal, &folder.path).map(drop)?,
                false => left.push(Left::Read(folder.path.clone())),
            }
        }
        left.extend(changed.into_iter().map(Left::Changed));
    }
    Ok(left)
}

/// Removes the files of pods, and waits until the pods have ended: only then do they count as
/// removed. Returns the files that stay because they were changed.
async fn remove_pods(
    journal: &Journal,
    pods: &[&Removal],
    runtime: Option<PathBuf>,
    waiting: &dyn Fn(String),
) -> Result<Vec<PathBuf>, Error> {
    let state = journal.state();
    let (mut ending, mut removed, mut changed) = (Ending::new(runtime), Vec::new(), Vec::new());
    for Removal { path, pod, port, .. } in pods {
        let one = Pod::now(pod.as_deref(), *port)?;
        journal.record(Record::Removing { path: path.clone() })?;
        match static_pods::remove(path, &[], |found| state.has_placed(path, found)) {
            Err(static_pods::Error::Foreign { path }) => changed.push(path),
            result => {
                result?;
                removed.push(path.clone());
                ending.pods.push(one);
            }
        }
    }
    ending.wait(waiting).await?;
    for path in removed {
        journal.record(Record::Removed { path })?;
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::{Command, Run, SCHEMA, Thing};

    fn run() -> Run {
        let (bootkube, host, boot) = ("1".to_owned(), "n1".to_owned(), "b".to_owned());
        Run { schema: SCHEMA, command: Command::Start, bootkube, host, boot, assets: None }
    }

    /// A machine on which everything was placed.
    fn placed(folder: &Path) -> Journal {
        let journal = Journal::begin(&folder.join("journal"), &State::default(), run()).unwrap();
        let keys = std::collections::BTreeMap::from([("ca.key".to_owned(), b"k".to_vec())]);
        for (name, role) in [("etcd", Role::EtcdKeys), ("bootstrap-secrets", Role::BootstrapSecrets)] {
            let path = folder.join(name);
            static_pods::write_key_folder(&path, &keys).unwrap();
            journal.record(Record::Known(Thing::folder(&path, role, &keys))).unwrap();
        }
        let local = folder.join("bootstrap-secrets/kubeconfig-local");
        static_pods::write_key(&local, b"c").unwrap();
        journal.record(Record::Known(Thing::file(&local, Role::BootstrapSecrets, b"c"))).unwrap();
        for (name, role) in [
            ("etcd.yaml", Role::StayingPod),
            ("bootstrap-apiserver.yaml", Role::BootstrapApiserver),
            ("bootstrap-scheduler.yaml", Role::BootstrapPod),
        ] {
            let path = folder.join("manifests").join(name);
            static_pods::place(&path, name.as_bytes()).unwrap();
            journal.record(Record::Known(Thing::file(&path, role, name.as_bytes()))).unwrap();
        }
        journal
    }

    #[tokio::test]
    async fn what_was_placed_goes_pods_before_their_keys_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let journal = placed(folder.path());
        std::fs::write(folder.path().join("manifests/foreign.yaml"), "f").unwrap();
        let removals = removals(&journal.state());
        let roles: Vec<Role> = removals.iter().map(|removal| removal.role).collect();
        assert!(roles.len() == 5 && roles.is_sorted(), "{roles:?}");
        assert_eq!(undo(&journal, &removals, None, &|_| {}).await.unwrap(), []);
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(std::fs::read_dir(folder.path().join("manifests")).unwrap().count(), 1);
        assert!(journal.state().things.is_empty());
    }

    #[test]
    fn etcd_of_a_control_plane_that_runs_itself_stays() {
        let folder = tempfile::tempdir().unwrap();
        let journal = placed(folder.path());
        journal.record(Record::HandedOver).unwrap();
        let removals = removals(&journal.state());
        assert!(removals.len() == 3 && removals.iter().all(|removal| removal.role.is_temporary()));
    }

    #[test]
    fn a_control_plane_that_unpivot_placed_stays_also_where_the_journal_knows_of_no_hand_over() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::begin(&folder.path().join("journal"), &State::default(), run()).unwrap();
        let path = folder.path().join("kube-apiserver.yaml");
        journal.record(Record::Known(Thing::file(&path, Role::ControlPlanePod, b"p"))).unwrap();
        let keys = Thing::folder(folder.path(), Role::ControlPlaneKeys, &std::collections::BTreeMap::new());
        journal.record(Record::Known(keys)).unwrap();
        assert_eq!(removals(&journal.state()), []);
    }

    #[tokio::test]
    async fn a_pod_that_was_changed_stays_and_keeps_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let journal = placed(folder.path());
        let (etcd, keys) = (folder.path().join("manifests/etcd.yaml"), folder.path().join("etcd"));
        std::fs::write(&etcd, "edited").unwrap();
        let left = undo(&journal, &removals(&journal.state()), None, &|_| {}).await.unwrap();
        assert_eq!(left, [Left::Read(keys.clone()), Left::Changed(etcd.clone())]);
        assert!(keys.join("ca.key").exists() && !folder.path().join("bootstrap-secrets").exists());
        assert_eq!(std::fs::read(etcd).unwrap(), b"edited");
    }
}
