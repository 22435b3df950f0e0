//! Restarts kubelet, if the user allows it.
//!
//! A kubelet that found no API, or whose token the API did not know yet, retries after half a
//! minute or more. After a restart it retries at once, and its pods keep running.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use super::error::Error;
use super::machine;
use super::plan::Plan;
use crate::host::command;
use crate::phase::{Act, Progress, Verb};

/// Type of the Secret of a bootstrap token.
pub const BOOTSTRAP_TOKEN: &str = "bootstrap.kubernetes.io/token";

/// How long the restart may take. systemd gives a service a minute and a half to end.
const LONGEST: Duration = Duration::from_secs(120);

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
    let restarted = command::run(command, LONGEST).await;
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
