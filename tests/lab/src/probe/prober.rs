//! A prober beside a test: `lab probe` in a process of its own, because a test must not enter a
//! namespace itself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::ValueEnum as _;

use super::{Options, Sample, Summary, parse};
use crate::error::{Error, Result};
use crate::files;

/// Asks until it is stopped or dropped.
#[derive(Debug)]
pub struct Prober {
    child: Child,
    output: PathBuf,
}

impl Prober {
    /// Starts in the namespaces that `enter` makes a command for; `output` gets what it writes.
    pub(crate) fn start(
        enter: impl FnOnce(&str) -> Result<Command>,
        options: &Options,
        output: PathBuf,
    ) -> Result<Self> {
        let Options { kubeconfig, rate, path, seconds, server, connections, patience } = options;
        let program = binary()?;
        let mut command = enter(&program.to_string_lossy())?;
        command.arg("probe").arg("--kubeconfig").arg(kubeconfig);
        command.args(["--rate", &rate.to_string(), "--path", path]);
        command.args(["--patience", &patience.to_string()]);
        command.args(seconds.iter().flat_map(|seconds| ["--seconds".to_owned(), seconds.to_string()]));
        command.args(server.iter().flat_map(|server| ["--server", server.as_str()]));
        let connections = connections.to_possible_value();
        command.args(connections.iter().flat_map(|value| ["--connections", value.get_name()]));
        let file = File::create(&output).map_err(Error::file("make", &output))?;
        let spawned = command.stdin(Stdio::piped()).stdout(file).spawn();
        let child = spawned.map_err(|source| Error::Start { command: "lab probe".into(), source })?;
        Ok(Self { child, output })
    }

    /// What has happened so far.
    pub fn samples(&self) -> Result<Vec<Sample>> {
        Ok(parse(&files::read_text(&self.output)?).0)
    }

    /// Ends it, after the requests that are under way.
    pub fn finish(mut self) -> Result<(Vec<Sample>, Summary)> {
        drop(self.child.stdin.take());
        let ended =
            self.child.wait().map_err(|source| Error::Start { command: "lab probe".into(), source })?;
        let (samples, summary) = parse(&files::read_text(&self.output)?);
        let missing =
            || Error::Probe(format!("it ended with {ended} and no summary; see {}", self.output.display()));
        Ok((samples, summary.ok_or_else(missing)?))
    }
}

/// The lab's binary lies where tests do, or one folder above.
pub(crate) fn binary() -> Result<PathBuf> {
    let ours = std::env::current_exe().map_err(Error::file("find", "our own program"))?;
    let mut candidates = ours.ancestors().skip(1).take(2).map(|folder| folder.join("lab"));
    let missing = || Error::Probe(format!("no `lab` beside {}; run `cargo build -p lab`", ours.display()));
    candidates.find(|path: &PathBuf| Path::is_file(path)).ok_or_else(missing)
}
