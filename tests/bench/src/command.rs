//! Runs other programs to their end, and keeps each line of their output with its time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::{Error, Result};

/// A line of standard output, and its time.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it came.
    pub at: Instant,
    /// The line.
    pub text: String,
}

/// Runs a command that must succeed, and returns its standard output.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|source| Error::Start { command: describe(command), source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => {
            let said = text(&[output.stdout, output.stderr].concat());
            Err(Error::Command { command: describe(command), status: output.status, said: tail(&said) })
        }
    }
}

/// Runs a command that must succeed, with its standard error going to `log`. Returns the lines of
/// its standard output.
pub fn listen(command: &mut Command, log: &Path) -> Result<Vec<Line>> {
    let errors = File::create(log).map_err(Error::file("make", log))?;
    let failed = |command: &Command, source| Error::Start { command: describe(command), source };
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
    let mut child = spawned.map_err(|source| failed(command, source))?;
    let output = child.stdout.take().map(BufReader::new);
    let lines = output.into_iter().flat_map(BufRead::lines);
    let lines =
        lines.map(|text| Ok(Line { at: Instant::now(), text: text? })).collect::<std::io::Result<Vec<_>>>();
    let status = child.wait().map_err(|source| failed(command, source))?;
    let lines = lines.map_err(|source| failed(command, source))?;
    if status.success() {
        return Ok(lines);
    }
    let mut said: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
    said += &std::fs::read_to_string(log).map_err(Error::file("read", log))?;
    Err(Error::Command { command: describe(command), status, said: tail(&said) })
}

/// The end of the output usually has the cause.
fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
