//! Runs a command that the user gave.

use std::io;
use std::time::Duration;

use tokio::process::Command;

use crate::patience::within;

/// Runs `command`, words between spaces, which must succeed within `limit`. It is killed when this is
/// dropped.
pub async fn run(command: &str, limit: Duration) -> io::Result<()> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
    let output = within(limit, Command::new(program).args(words).kill_on_drop(true).output()).await;
    let output = output.map_err(|_| io::Error::other(format!("it had not ended after {limit:?}")))??;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("{}: {}", output.status, said.trim())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_hangs_is_given_up() {
        let hangs = run("sleep 60", Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(hangs.to_string(), "it had not ended after 100ms");
        let minute = Duration::from_secs(60);
        assert!(run("false", minute).await.unwrap_err().to_string().contains("exit status: 1"));
        run("true", minute).await.unwrap();
    }
}
