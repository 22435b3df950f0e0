//! The built binary, run as a user runs it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs bootkube in `folder` with `stdin`.
pub fn bootkube(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootkube"));
    command.args(arguments).current_dir(folder);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that does not read its stdin may have ended already.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap_or_default();
    child.wait_with_output().unwrap()
}
