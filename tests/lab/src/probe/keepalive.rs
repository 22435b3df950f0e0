//! Requests over kept connections. The program in `tests/lab/keepalive` sends them by client-go
//! itself, so that retries need no imitation. This module starts it, passes its samples on and ends
//! it.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::{Connections, End, Options, Sample};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::programs::tool;

/// Time between two looks at the clock and at the program.
const PROBE: Duration = Duration::from_millis(50);

/// Asks until the end comes; every sample goes to `sender`.
pub(super) fn ask(options: &Options, end: &End, sender: Sender<Sample>) -> Result<()> {
    let failed = |source| Error::Start { command: "keepalive".into(), source };
    let mut child = start(options)?;
    let output = child.stdout.take();
    let reader = std::thread::spawn(move || output.map_or(Ok(()), |output| forward(output, &sender)));
    while !end.has_come() && !reader.is_finished() {
        std::thread::sleep(PROBE);
    }
    drop(child.stdin.take()); // it ends when its standard input ends
    let read = reader.join().map_err(|_| Error::Probe("the reader panicked".into()))?;
    let status = child.wait().map_err(failed)?;
    read.map_err(failed)?;
    status.success().then_some(()).ok_or_else(|| Error::Probe(format!("keepalive ended with {status}")))
}

fn start(options: &Options) -> Result<Child> {
    let Options { kubeconfig, rate, path, server, connections, seconds: _, patience: _ } = options;
    if server.is_some() {
        return Err(Error::Probe("kept connections go to the kubeconfig's server alone".into()));
    }
    let mut command = Command::new(tool(&Cache::open()?, "keepalive")?);
    command.arg("-kubeconfig").arg(kubeconfig).args(["-rate", &rate.to_string(), "-path", path]);
    command.args((*connections == Connections::Http1).then_some("-http1"));
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    spawned.map_err(|source| Error::Start { command: "keepalive".into(), source })
}

fn forward(output: ChildStdout, sender: &Sender<Sample>) -> std::io::Result<()> {
    for line in BufReader::new(output).lines() {
        // The writer outlives every sender, so nothing is lost.
        sender.send(serde_json::from_str(&line?)?).ok();
    }
    Ok(())
}
