//! What the lab's folder remembers of what runs: enough for another process, or the next `lab up`,
//! to find and end it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cgroup::Group;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::{cache, files};

const FILE: &str = "lab.json";
/// Held while the state changes, and while a whole lab comes or goes.
const LOCKS: [&str; 2] = ["state.lock", "lab.lock"];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) group: Group,
    /// Debian, as `base.sh` made it. Labs of before this was kept can still be ended.
    #[serde(default)]
    pub(crate) base: PathBuf,
    /// What machines have above Debian's /usr.
    pub(crate) usr: PathBuf,
    /// How many machines there are, on or off.
    pub(crate) machines: u8,
    pub(crate) switch: Option<Process>,
    pub(crate) running: BTreeMap<u8, Process>,
}

impl State {
    /// Whether the folder is a lab's.
    pub(crate) fn exists(lab: &Path) -> bool {
        lab.join(FILE).exists()
    }

    pub(crate) fn load(lab: &Path) -> Result<Self> {
        if !Self::exists(lab) {
            return Err(Error::NoLab { path: lab.to_path_buf() });
        }
        let path = lab.join(FILE);
        serde_json::from_slice(&files::read(&path)?).map_err(Error::parse(path))
    }

    pub(crate) fn save(&self, lab: &Path) -> Result<()> {
        let path = lab.join(FILE);
        let bytes = serde_json::to_vec_pretty(self).map_err(Error::parse(&path))?;
        files::write(&path, &bytes, 0o644)
    }

    /// Changes the state under its lock.
    pub(crate) fn update(lab: &Path, change: impl FnOnce(&mut Self)) -> Result<()> {
        let _alone = cache::lock(&lab.join(LOCKS[0]))?;
        let mut state = Self::load(lab)?;
        change(&mut state);
        state.save(lab)
    }

    /// Remembers the systemd-nspawn of a machine, or that it has none.
    pub(crate) fn set_running(lab: &Path, machine: u8, process: Option<Process>) -> Result<()> {
        Self::update(lab, |state| {
            state.running.remove(&machine);
            state.running.extend(process.map(|process| (machine, process)));
        })
    }

    /// The switch, which runs as long as the lab is up.
    pub(crate) fn switch(&self) -> Result<Process> {
        self.switch.filter(Process::alive).ok_or_else(|| Error::Off { name: "the switch".into() })
    }
}

/// Keeps others from bringing this lab up or down meanwhile.
pub(crate) fn lock_lab(lab: &Path) -> Result<std::fs::File> {
    cache::lock(&lab.join(LOCKS[1]))
}

/// Whether a file in the lab's folder stays when the lab goes: the locks, for which another process
/// may be waiting.
pub(crate) fn outlives(name: &str) -> bool {
    LOCKS.contains(&name)
}
