//! Machines of a lab and the cluster that a test makes on them, and the figures that tests leave
//! behind.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use lab::image::Image;
use lab::{Cache, Cluster, Guard, Lab, Machine};
use serde_json::Value;

/// The binary under test, static as it is shipped.
pub const BOOTKUBE: &str = env!("CARGO_BIN_EXE_bootkube");

/// Machines, and what a user does on them. They are removed when this is dropped, after a dump if
/// the test has failed.
pub struct World {
    /// The cluster, not rendered yet.
    pub cluster: Cluster,
    /// Its machines.
    pub lab: Guard,
    /// The lock on [`turns`], held until the machines are gone: fields are dropped in their order.
    _turn: Turn,
}

/// A lock, and what it was taken for.
struct Turn {
    _lock: File,
    name: String,
    begun: Instant,
}

/// A `start` that has ended.
pub struct Started {
    /// Its output and status.
    pub output: Output,
    /// How long it took.
    pub took: Duration,
}

impl World {
    /// New machines with bootkube, and with the lab's configuration as `changes` has it. Other
    /// worlds may be up at the same time.
    pub fn up(name: &str, machines: usize, changes: impl FnOnce(&Lab) -> Value) -> Self {
        let lock = turns();
        lock.lock_shared().unwrap();
        Self::make(lock, name, machines, changes)
    }

    /// The same, for a test that measures times or counts failed requests: no other world may be
    /// up.
    pub fn alone(name: &str, machines: usize, changes: impl FnOnce(&Lab) -> Value) -> Self {
        let lock = turns();
        lock.lock().unwrap();
        Self::make(lock, name, machines, changes)
    }

    /// One machine on which nothing was configured: a reader of the documents does it by hand.
    pub fn bare(name: &str) -> Self {
        let lock = turns();
        lock.lock_shared().unwrap();
        let turn = Turn { _lock: lock, name: name.to_owned(), begun: Instant::now() };
        let lab = Guard::up(name, 1).unwrap();
        let cluster = Cluster::of(&lab);
        cluster.controller().unwrap().make_bare().unwrap();
        Self { cluster, lab, _turn: turn }
    }

    fn make(lock: File, name: &str, machines: usize, changes: impl FnOnce(&Lab) -> Value) -> Self {
        let turn = Turn { _lock: lock, name: name.to_owned(), begun: Instant::now() };
        let lab = Guard::up(name, machines).unwrap();
        let cluster = Cluster::prepare(&lab, Path::new(BOOTKUBE), &changes(&lab)).unwrap();
        Self { cluster, lab, _turn: turn }
    }

    /// The same, rendered and started.
    pub fn started(self) -> Self {
        self.render_and_join();
        self.start().must_succeed();
        self
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

    /// Puts tools onto the first controller, such as crictl or helm.
    pub fn install(&self, tools: &[&str]) {
        let cache = Cache::open().unwrap();
        for name in tools {
            let program = fs::read(lab::tool(&cache, name).unwrap()).unwrap();
            self.n1().write(&format!("/usr/local/bin/{name}"), &program, 0o755).unwrap();
        }
    }

    /// Makes programs of the lab known to the first controller's containerd, each as an image of its
    /// name.
    pub fn import(&self, programs: &[&str]) {
        let cache = Cache::open().unwrap();
        let images = programs.iter().map(|name| {
            Image::with_shell(&format!("lab.bootkube.dev/{name}:1"), &lab::tool(&cache, name).unwrap())
        });
        self.n1().import(&images.collect::<Vec<_>>()).unwrap();
    }

    /// Runs a script on the first controller, which must succeed; its output.
    pub fn shell(&self, script: &str) -> String {
        self.n1().run(&["bash", "-c", script]).unwrap()
    }
}

impl Started {
    /// Fails with the whole output, unless the command succeeded.
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

/// Writes past the capture of the test harness, because `tests/run.sh` makes a table of these
/// lines.
impl Drop for Turn {
    fn drop(&mut self) {
        let line = format!("e2e: world {} {:.1} s\n", self.name, self.begun.elapsed().as_secs_f64());
        if let Err(error) = std::io::stderr().write_all(line.as_bytes()) {
            eprintln!("e2e: {error}");
        }
    }
}

/// The lock of a world that must be alone, for all test programs of this checkout.
fn turns() -> File {
    let folder = lab::workspace().join("target/lab");
    fs::create_dir_all(&folder).unwrap();
    File::create(folder.join("e2e.lock")).unwrap()
}

/// Writes figures to `target/e2e/` and to standard error.
pub fn record(name: &str, figures: &Value) {
    let folder = lab::workspace().join("target/e2e");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.json")), format!("{figures:#}\n")).unwrap();
    eprintln!("e2e: {name}: {figures}");
}
