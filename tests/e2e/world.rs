//! A lab with a cluster to be, and the figures that tests leave behind.

use std::fs::{self, File};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use lab::{Cluster, Guard, Lab, Machine};
use serde_json::Value;

/// The binary under test, static as it is shipped.
const BOOTKUBE: &str = env!("CARGO_BIN_EXE_bootkube");

/// Machines, and what a user does on them. Taken away at the end, after a dump if the test failed.
pub struct World {
    /// The cluster, not rendered yet.
    pub cluster: Cluster,
    /// Its machines.
    pub lab: Guard,
    /// Held until the machines are gone.
    _turn: File,
}

/// How `start` went.
pub struct Started {
    /// What it said and how it ended.
    pub output: Output,
    /// How long it took.
    pub took: Duration,
}

impl World {
    /// New machines with bootkube, and a configuration that `changes` the lab's. Others may be up at the same time.
    pub fn up(name: &str, machines: usize, changes: impl FnOnce(&Lab) -> Value) -> Self {
        let turn = turns();
        turn.lock_shared().unwrap();
        Self::make(turn, name, machines, changes)
    }

    /// The same, for a test that looks at times or counts failed requests: nobody else is up.
    pub fn alone(name: &str, machines: usize, changes: impl FnOnce(&Lab) -> Value) -> Self {
        let turn = turns();
        turn.lock().unwrap();
        Self::make(turn, name, machines, changes)
    }

    fn make(turn: File, name: &str, machines: usize, changes: impl FnOnce(&Lab) -> Value) -> Self {
        let lab = Guard::up(name, machines).unwrap();
        let cluster = Cluster::prepare(&lab, Path::new(BOOTKUBE), &changes(&lab)).unwrap();
        Self { cluster, lab, _turn: turn }
    }

    /// The first controller.
    pub fn n1(&self) -> Machine {
        self.cluster.controller().unwrap()
    }

    /// Renders, and lets the first controller's kubelet join.
    pub fn render_and_join(&self) {
        self.cluster.render().unwrap();
        self.cluster.join(&self.n1()).unwrap();
    }

    /// `start` by `words` on the first controller.
    pub fn start_by(&self, words: &[&str]) -> Started {
        let begun = Instant::now();
        let output = self.cluster.start_by(words).unwrap();
        Started { output, took: begun.elapsed() }
    }

    /// `bootkube start` on the first controller.
    pub fn start(&self) -> Started {
        self.start_by(&[&["bootkube"], &lab::cluster::START[..]].concat())
    }

    /// What a shell on the first controller says.
    pub fn shell(&self, script: &str) -> String {
        self.n1().run(&["bash", "-c", script]).unwrap()
    }
}

impl Started {
    /// Without a success there is nothing to look at.
    pub fn must_succeed(&self) {
        let Self { output, took } = self;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "start: {} after {:.1} s\n{}{}",
            output.status,
            took.as_secs_f64(),
            said(&output.stdout),
            said(&output.stderr)
        );
    }

    /// Its standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }
}

/// What whoever looks at times locks for itself, whichever test or test run of this checkout asks.
fn turns() -> File {
    let folder = lab::workspace().join("target/lab");
    fs::create_dir_all(&folder).unwrap();
    File::create(folder.join("e2e.lock")).unwrap()
}

/// Keeps figures, and says them.
pub fn record(name: &str, figures: &Value) {
    let folder = lab::workspace().join("target/e2e");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.json")), format!("{figures:#}\n")).unwrap();
    eprintln!("e2e: {name}: {figures}");
}
