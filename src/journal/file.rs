//! The journal on disk: readable by root alone, each record there before the call returns.
//!
//! A run begins with a new file, put in place whole, that carries over what earlier ones left: so
//! the journal does not grow from run to run, and nothing is ever appended to a line that was cut
//! off. Only the holder of the machine's lock writes.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::Error;
use super::record::{Line, Record, Run, Thing, parse};
use super::state::State;
use crate::host::files::{self, failed};
use crate::timestamp::rfc3339;

/// What the journal at `path` says; nothing if the file is missing.
///
/// # Errors
/// If the file cannot be read, is damaged before its last line, or is of a later version.
pub fn read(path: &Path) -> Result<State, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(State::of(&parse(&bytes, path)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
        Err(error) => Err(failed("read", path)(error).into()),
    }
}

/// Static pods that are still as bootkube placed them. Preflight must not take them for foreign
/// ones.
pub fn intact(state: &State) -> BTreeSet<PathBuf> {
    let is_intact = |path: &&PathBuf| fs::read(path).is_ok_and(|found| state.has_placed(path, &found));
    state.pods().map(|(path, _)| path).filter(is_intact).cloned().collect()
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// Gone when a line was cut off and could not be taken back: nothing may follow it.
    file: Option<File>,
    /// Up to here every line is whole.
    length: u64,
    state: State,
}

impl Journal {
    /// Begins `run`, with what is known from before.
    pub fn begin(path: &Path, before: &State, run: Run) -> Result<Self, Error> {
        let records = std::iter::once(Record::Begun(run)).chain(before.carried());
        let lines: Vec<Line> = records.map(now).collect();
        let bytes = lines.iter().map(|line| to_bytes(line, path)).collect::<Result<Vec<_>, _>>()?.concat();
        files::sweep(path)?;
        files::write_atomic(path, &bytes, files::PRIVATE_FILE)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed("open", path))?;
        let open = Open { file: Some(file), length: bytes.len() as u64, state: State::of(&lines) };
        Ok(Self { path: path.to_owned(), open: Mutex::new(open) })
    }

    /// Adds a record, which is on disk when this returns.
    ///
    /// # Errors
    /// Nothing of the record stays then. If a part of it cannot be taken back, every later record
    /// is refused too.
    pub fn record(&self, record: Record) -> Result<(), Error> {
        let line = now(record);
        let bytes = to_bytes(&line, &self.path)?;
        let mut open = self.open();
        let Open { file, length, state } = &mut *open;
        let written = match file {
            Some(file) => file.write_all(&bytes).and_then(|()| file.sync_data()),
            None => Err(io::Error::other("an earlier line was cut off")),
        };
        if let Err(error) = written {
            file.take_if(|file| file.set_len(*length).is_err());
            return Err(failed("write to", &self.path)(error).into());
        }
        *length += bytes.len() as u64;
        state.note(&line);
        Ok(())
    }

    /// Places `thing` by `act`, with a record before and one after it.
    ///
    /// # Errors
    /// `act` fails, or a record cannot be written. Without the first record `act` does not begin.
    pub fn place<E, F>(&self, thing: Thing, act: impl FnOnce() -> Result<(), F>) -> Result<(), E>
    where
        E: From<Error> + From<F>,
    {
        let Thing { path, sha256, .. } = thing.clone();
        self.record(Record::Placing(thing))?;
        act()?;
        Ok(self.record(Record::Placed { path, sha256 })?)
    }

    /// Notes that `thing` was found in place, if that is not known yet, or known in another role.
    pub fn adopt(&self, thing: Thing) -> Result<(), Error> {
        let held = self.state().things.remove(&thing.path).filter(|held| held.role == thing.role);
        let Thing { path, sha256, .. } = &thing;
        match held.map(|held| held.digests) {
            Some(digests) if digests.len() == 1 && digests.contains(sha256) => Ok(()),
            Some(digests) if digests.contains(sha256) => {
                self.record(Record::Placed { path: path.clone(), sha256: sha256.clone() })
            }
            _ => self.record(Record::Known(thing)),
        }
    }

    /// What it says by now.
    pub fn state(&self) -> State {
        self.open().state.clone()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now(record: Record) -> Line {
    Line { at: rfc3339(OffsetDateTime::now_utc()), record }
}

fn to_bytes(line: &Line, journal: &Path) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_string(line)
        .map_err(|error| failed("note a path that is no UTF-8 in", journal)(error.into()))?;
    text.push('\n');
    Ok(text.into_bytes())
}
