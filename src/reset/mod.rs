//! `bootkube reset` undoes a bootstrap on this machine that did not come to its end. It shows what
//! it will remove before it removes anything.
//!
//! It does not undo a bootstrap that has come to its end: then the control plane is self-hosted,
//! and needs etcd's pod and keys. It only removes what the bootstrap left behind. If the journal is
//! lost, it removes only what can be recognised as bootkube's without it.

mod error;
mod without_journal;

use std::path::{Path, PathBuf};

pub use error::Error;
pub use without_journal::Doubt;

use crate::assets;
use crate::error::ExitClass;
use crate::host::cri;
use crate::host::lock::{self, Lock};
use crate::journal::{self, Command, Record, State};
use crate::phase::{check_root, session};
use crate::start::plan::Plan;
use crate::undo::{self, Left, Removal};
use crate::{JOURNAL, KUBERNETES};
use without_journal::Places;

/// How files of bootkube are recognised if the journal is lost.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Assets whose static pods are compared.
    pub asset_dir: Option<PathBuf>,
    /// Kubelet's folder of static pods.
    pub pod_manifest_path: PathBuf,
}

/// What `reset` will undo. It holds the lock of the machine, so no other command changes anything
/// meanwhile.
#[derive(Debug)]
pub struct Reset {
    before: State,
    /// What is removed, in this order.
    pub removals: Vec<Removal>,
    /// Whether the control plane is self-hosted, so that only leftovers go.
    pub is_complete: bool,
    /// What `reset` does not know, if the journal is lost.
    pub doubts: Option<Vec<Doubt>>,
    _lock: Lock,
}

/// Works out what to undo, from the journal or, if that is lost, by `marks`.
pub fn look(marks: &Marks) -> Result<Reset, Error> {
    check_root()?;
    let lock = lock::take(Path::new(KUBERNETES), &session::holder("reset")?)?;
    let noted = journal::read(Path::new(JOURNAL))?;
    let (before, doubts) = match noted.last {
        Some(_) => (noted, None),
        None => find_without_journal(marks).map(|(found, doubts)| (found, Some(doubts)))?,
    };
    let removals = undo::removals(&before);
    let is_complete = before.handed_over;
    match is_complete && removals.is_empty() {
        true => Err(Error::Complete),
        false => Ok(Reset { before, removals, is_complete, doubts, _lock: lock }),
    }
}

fn find_without_journal(marks: &Marks) -> Result<(State, Vec<Doubt>), Error> {
    let Marks { asset_dir, pod_manifest_path } = marks;
    let plan = |asset_dir: &PathBuf| {
        let layout = assets::load::load(asset_dir).map_err(Error::Assets)?;
        Ok::<_, Error>(Plan::new(layout, asset_dir, pod_manifest_path, None)?)
    };
    without_journal::find(asset_dir.as_ref().map(plan).transpose()?, &Places::with(pod_manifest_path))
}

impl Reset {
    /// Removes it, and returns what stays.
    ///
    /// # Errors
    /// Something could not be removed. It stays in the journal, and the next reset goes on with it.
    pub async fn run(self, waiting: &dyn Fn(String)) -> Result<Vec<Left>, undo::Error> {
        let journal = session::begin(Command::Reset, &self.before, None)?;
        let result = undo::undo(&journal, &self.removals, cri::usual_socket(), waiting).await;
        let exit_code = result.as_ref().map_or(ExitClass::General as u8, |_| 0);
        let ended = journal.record(Record::Ended { exit_code });
        let left = result?; // the first failure is the one to report
        ended?;
        Ok(left)
    }
}
