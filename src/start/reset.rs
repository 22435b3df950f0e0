//! `bootkube reset`: a bootstrap that did not come to its end is undone on this machine. What would go is known, and shown, before
//! anything does.
//!
//! A bootstrap that has come to its end is not undone: the control plane runs itself then, and etcd's pod and keys are its own. Only what
//! the bootstrap left behind goes.

use std::path::Path;

use super::begin::{begin, holder};
use super::undo::{self, Left, Removal};
use super::{Error, machine};
use crate::host::cri;
use crate::host::lock::{self, Lock};
use crate::journal::{self, Command, Record, State};
use crate::{JOURNAL, KUBERNETES};

/// What there is to undo. Nobody else changes the machine as long as this is held.
#[derive(Debug)]
pub struct Reset {
    before: State,
    /// What will go, in this order.
    pub removals: Vec<Removal>,
    /// Whether the control plane runs itself, so that only leftovers go.
    pub is_complete: bool,
    _lock: Lock,
}

/// Looks what there is to undo.
pub fn look() -> Result<Reset, Error> {
    let unready = |error: Error| Error::Unready(Box::new(error));
    machine::check_root().map_err(unready)?;
    let lock = lock::take(Path::new(KUBERNETES), &holder("reset")?)?;
    let before = journal::read(Path::new(JOURNAL)).map_err(|error| unready(error.into()))?;
    let removals = undo::removals(&before);
    let is_complete = before.handed_over;
    match is_complete && removals.is_empty() {
        true => Err(Error::Complete),
        false => Ok(Reset { before, removals, is_complete, _lock: lock }),
    }
}

impl Reset {
    /// Takes it away. Returns what stays.
    pub async fn run(self, waiting: &dyn Fn(String)) -> Result<Vec<Left>, Error> {
        let journal = begin(Command::Reset, &self.before, None)?;
        let result = undo::undo(&journal, &self.removals, cri::usual_socket(), waiting).await;
        let exit_code = result.as_ref().map_or_else(|error| error.class() as u8, |_| 0);
        journal.record(Record::Ended { exit_code })?;
        result
    }
}
