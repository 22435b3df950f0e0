//! Asks a cluster from outside of its machines: kubectl, and a watch until a condition holds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use lab::{Lab, Machine};
use serde_json::{Deserializer, Value};

use crate::command;
use crate::error::{Error, Result};

/// How long a watch is silent between two bursts of events.
const SILENCE: Duration = Duration::from_millis(30);
/// Time until a watch that ended is started again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long any wait may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// kubectl as administrator, on the host's side of the machines' network.
#[derive(Clone, Debug)]
pub struct Kubectl {
    lab: Lab,
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// What a watch has shown, by name.
pub type Seen = BTreeMap<String, Value>;

impl Kubectl {
    /// Uses the kubeconfig at a path of `machine`.
    pub fn of(lab: &Lab, machine: &Machine, inside: &str) -> Result<Self> {
        let kubeconfig = lab.folder().join("bench.kubeconfig");
        let text = machine.read(inside)?;
        std::fs::write(&kubeconfig, text).map_err(Error::file("write", &kubeconfig))?;
        Ok(Self { lab: lab.clone(), program: machine.path("/usr/bin/kubectl"), kubeconfig })
    }

    fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = self.lab.command_outside(&self.program.to_string_lossy())?;
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(words);
        Ok(command)
    }

    /// Runs it to its end; its standard output.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        command::run(&mut self.command(words)?)
    }

    /// The objects that `get` finds.
    pub fn get(&self, words: &[&str]) -> Result<Value> {
        let text = self.run(&[&["get", "-o", "json"], words].concat())?;
        serde_json::from_str(&text).map_err(|error| Error::parse(words.join(" "), error))
    }

    /// Watches the objects that `get` finds until `is_done`. Returns when that became true; `None`
    /// if it was true at the first look. Restarts a watch that an apiserver's end has ended.
    pub fn wait(&self, words: &[&str], is_done: impl Fn(&Seen) -> bool) -> Result<Option<Instant>> {
        let deadline = Instant::now() + PATIENCE;
        let log = self.lab.folder().join(format!("watch-{}.log", words[0]));
        let mut first = true;
        while Instant::now() < deadline {
            let mut watch = Watch::start(
                self.command(&[&["get", "-w", "--output-watch-events", "-o", "json"], words].concat())?,
                &log,
            )?;
            while let Some(at) = watch.burst(deadline) {
                if is_done(&watch.seen) {
                    return Ok((!first).then_some(at));
                }
                first = false;
            }
            std::thread::sleep(AGAIN);
        }
        let said = std::fs::read_to_string(&log).map_err(Error::file("read", &log))?;
        Err(Error::Timeout {
            what: format!("what is waited for of {} (the watch said {:?})", words.join(" "), said.trim()),
            seconds: PATIENCE.as_secs(),
        })
    }
}

/// One run of `kubectl get --watch`.
struct Watch {
    child: Child,
    events: Receiver<Value>,
    seen: Seen,
}

impl Watch {
    /// Its standard error goes to `log`.
    fn start(mut command: Command, log: &Path) -> Result<Self> {
        let errors = File::create(log).map_err(Error::file("make", log))?;
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
        let mut child =
            spawned.map_err(|source| Error::Start { command: "kubectl get --watch".into(), source })?;
        let (sender, events) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || forward(output, &sender));
        }
        Ok(Self { child, events, seen: Seen::new() })
    }

    /// Takes events until the watch is silent, and returns when the last one came. `None` if the
    /// watch has ended or the time is over.
    fn burst(&mut self, deadline: Instant) -> Option<Instant> {
        let first = self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        let mut at = Instant::now();
        self.take(first);
        loop {
            match self.events.recv_timeout(SILENCE) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => return Some(at),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            at = Instant::now();
        }
    }

    fn take(&mut self, mut event: Value) {
        let object = event["object"].take();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match event["type"] == "DELETED" {
            true => self.seen.remove(&name),
            false => self.seen.insert(name, object),
        };
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended already
        self.child.wait().ok();
    }
}

/// Reads until the output ends, which may be inside an event.
fn forward(output: ChildStdout, sender: &mpsc::Sender<Value>) {
    let events = Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>();
    for event in events.map_while(Result::ok) {
        if sender.send(event).is_err() {
            return;
        }
    }
}

/// Whether an object's condition `Ready` is True.
pub fn is_ready(object: &Value) -> bool {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
