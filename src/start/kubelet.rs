//! Restarts kubelet, if the user allows it.
//!
//! A kubelet that found no API, or whose token the API did not know yet, retries after half a
//! minute or more. After a restart it retries at once, and its pods keep running.

use std::io;

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Notify;

use super::error::Error;
use super::machine;
use super::plan::Plan;
use crate::phase::{Act, Progress, Verb};

/// Type of the Secret of a bootstrap token.
pub const BOOTSTRAP_TOKEN: &str = "bootstrap.kubernetes.io/token";

/// Runs `command` once the API is ready and has the token. A failure is a warning.
pub async fn restart(
    plan: &Plan,
    command: &str,
    token_is_there: &Notify,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let is_token = |value: &Value| value["type"] == BOOTSTRAP_TOKEN;
    if plan.stages.iter().flatten().any(|item| is_token(&item.value)) {
        token_is_there.notified().await;
    }
    machine::wait_api(plan, machine::READY, progress).await?;
    progress.acts("restart kubelet");
    progress.restarts_kubelet();
    let restarted = run(command).await;
    progress.restarted_kubelet(restarted.is_ok());
    match restarted {
        Ok(()) => {
            progress.info("kubelet was restarted");
            progress.did(act(command));
        }
        Err(error) => progress.warn(format!("kubelet was not restarted by `{command}`: {error}")),
    }
    Ok(())
}

/// The act of restarting kubelet by `command`.
pub fn act(command: &str) -> Act {
    Act::new(Verb::Restart, "kubelet").because(command)
}

async fn run(command: &str) -> io::Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
    let output = Command::new(program).args(words).kill_on_drop(true).output().await?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("{}: {}", output.status, said.trim())))
        }
    }
}
