//! Runs other programs to their end. If a command fails, the error has its output.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// Runs to the end and returns what it wrote, whatever its status.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().map_err(|source| Error::Start { command: describe(command), source })
}

/// Runs to the end; returns what it wrote to its standard output, as text.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    check(command, &output)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end with `feed` writing its standard input.
pub(crate) fn run_fed(
    command: &mut Command,
    feed: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let spawned = command.spawn();
    let failed = |source| Error::Start { command: describe(command), source };
    let mut child = spawned.map_err(failed)?;
    let fed = child.stdin.take().map_or(Ok(()), |mut input| feed(&mut input));
    check(command, &child.wait_with_output().map_err(failed)?)?; // its own message explains a broken pipe
    fed.map_err(failed)
}

/// Asks again every 50 ms, for what cannot be watched.
pub(crate) fn wait_for(
    what: &str,
    seconds: u64,
    mut ready: impl FnMut() -> Result<bool>,
    evidence: impl FnOnce() -> String,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !ready()? {
        if Instant::now() > deadline {
            return Err(Error::Timeout { what: what.into(), seconds, evidence: evidence() });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn check(command: &Command, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Command { command: describe(command), status: output.status, stderr })
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
