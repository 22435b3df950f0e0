//! Questions to a cluster from outside of its machines: kubectl, and its watch until something is
//! so.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use lab::{Lab, Machine};
use serde_json::{Deserializer, Value};

use crate::command;
use crate::error::{Error, Result};

/// A watch is silent for so long between two bursts of events.
const SILENCE: Duration = Duration::from_millis(30);
/// Until a watch that ended is made again.
const AGAIN: Duration = Duration::from_millis(100);
/// For whatever is waited for.
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
    /// With the kubeconfig at a path of `machine`, which must be there.
    pub fn of(lab: &Lab, machine: &Machine, inside: &str) -> Result<Self> {
        let kubeconfig = lab.folder().join("bench.kubeconfig");
        let text = machine.read(inside)?;
        std::fs::write(&kubeconfig, text).map_err(Error::file("write", &kubeconfig))?;
        Ok(Self { lab: lab.clone(), program: machine.path("/usr/local/bin/kubectl"), kubeconfig })
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

    /// What `get` finds.
    pub fn get(&self, words: &[&str]) -> Result<Value> {
        let text = self.run(&[&["get", "-o", "json"], words].concat())?;
        serde_json::from_str(&text).map_err(|error| Error::parse(words.join(" "), error))
    }

    /// Watches what `get` finds until `is_done` with it. When that became so; `None` if it was so
    /// at the first look. A watch that ends, because an apiserver does, is made again.
    pub fn wait(&self, words: &[&str], is_done: impl Fn(&Seen) -> bool) -> Result<Option<Instant>> {
        let deadline = Instant::now() + PATIENCE;
        let mut first = true;
        while Instant::now() < deadline {
            let mut watch = Watch::start(
                self.command(&[&["get", "-w", "--output-watch-events", "-o", "json"], words].concat())?,
            )?;
            while let Some(at) = watch.burst(deadline) {
                if is_done(&watch.seen) {
                    return Ok((!first).then_some(at));
                }
                first = false;
            }
            std::thread::sleep(AGAIN);
        }
        Err(Error::Timeout {
            what: format!("what is waited for of {}", words.join(" ")),
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
    fn start(mut command: Command) -> Result<Self> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child =
            spawned.map_err(|source| Error::Start { command: "kubectl get --watch".into(), source })?;
        let (sender, events) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            std::thread::spawn(move || forward(output, &sender));
        }
        Ok(Self { child, events, seen: Seen::new() })
    }

    /// Takes events until there is a silence; when the last one came. `None` when the watch or the
    /// time is over.
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
        self.child.kill().ok(); // one that has ended is as good as killed
        self.child.wait().ok();
    }
}

/// Until the output ends, in the middle of an event or not.
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
