//! A `start` that is under way: the test follows its journal from outside, and ends it at a chosen
//! point.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Output};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::World;

/// On a machine.
pub const JOURNAL: &str = "/etc/kubernetes/bootkube-journal.jsonl";
/// How often the journal is read: acts between two records take longer.
const LOOK: Duration = Duration::from_micros(200);

/// A point in the course of a start.
#[derive(Clone, Debug)]
pub enum Moment {
    /// So long after it was called.
    After(Duration),
    /// The journal has so many lines.
    Record(usize),
    /// So long after a phase began.
    Within(String, Duration),
}

/// A running `start`.
pub struct Running {
    child: Child,
    journal: PathBuf,
    /// First line of the journal of an earlier run.
    earlier: Option<String>,
}

impl Running {
    /// Runs `words` on the first controller.
    pub fn begin(world: &World, words: &[&str]) -> Self {
        let journal = world.n1().path(JOURNAL);
        let earlier =
            fs::read_to_string(&journal).ok().and_then(|text| text.lines().next().map(str::to_owned));
        Self { child: world.n1().spawn(words).unwrap(), journal, earlier }
    }

    /// `bootkube start`, with `more` flags.
    pub fn start(world: &World, more: &[&str]) -> Self {
        Self::begin(world, &[&["bootkube"], &lab::cluster::START[..], more].concat())
    }

    /// Waits for `moment`. Returns whether it came before the end.
    pub fn reach(&mut self, moment: &Moment) -> bool {
        let delay = match moment {
            Moment::After(delay) | Moment::Within(_, delay) => *delay,
            Moment::Record(_) => Duration::ZERO,
        };
        let began = |lines: &str| match moment {
            Moment::After(_) => true,
            Moment::Record(count) => lines.matches('\n').count() >= *count,
            Moment::Within(phase, _) => lines.lines().any(|line| is_start(line, phase)),
        };
        while !began(&self.lines()) {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(delay);
        self.child.try_wait().unwrap().is_none()
    }

    /// The lines of this run's journal; none while the journal is still that of an earlier run.
    fn lines(&self) -> String {
        let text = fs::read_to_string(&self.journal).unwrap_or_default();
        let is_earlier = text.lines().next() == self.earlier.as_deref();
        if is_earlier { String::new() } else { text }
    }

    /// Sends it a signal. A process that has ended takes none.
    pub fn signal(&self, signal: Signal) {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let own = fs::read_to_string(children).unwrap_or_default(); // the child itself is nsenter, which waits for the command
        if let Some(pid) = own.trim().parse().ok().and_then(Pid::from_raw) {
            kill_process(pid, signal).ok();
        }
    }

    /// Waits for its end.
    pub fn finish(self) -> Output {
        self.child.wait_with_output().unwrap()
    }
}

fn is_start(line: &str, phase: &str) -> bool {
    let record: Value = serde_json::from_str(line).unwrap_or_default();
    record["record"] == "phase_started" && record["phase"] == phase
}
