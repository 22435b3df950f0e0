//! A process that holds namespaces. It is known by number and start time, because a number may be
//! used again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::cgroup::Group;
use crate::error::{Error, Result};
use crate::files;

/// What every command inside a machine finds in its environment.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const BOOT: &str = include_str!("machine/boot.sh");

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    started: u64,
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: start_time(&stat)? })
    }

    /// Whether this very process is there and not merely unreaped.
    pub(crate) fn alive(&self) -> bool {
        Self::of(self.pid) == Some(*self) && fs::read_link(format!("/proc/{}/exe", self.pid)).is_ok()
    }

    /// A command in the network of this process only: it sees the host's files.
    pub(crate) fn network_command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string(), "--net", "--", program]);
        command
    }

    /// A command in all its namespaces, with the environment of a machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid.to_string()]);
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--", program]);
        command.env_clear().env("PATH", PATH).env("HOME", "/root");
        command.env("KUBECONFIG", "/opt/bootkube/assets/auth/kubeconfig");
        command.envs(std::env::vars_os().filter(|(name, _)| name == "TERM"));
        command
    }
}

impl Process {
    /// Process 1 of the machine that systemd-nspawn, which this process is, keeps; none while it
    /// boots.
    pub(crate) fn init(&self) -> Option<Self> {
        let listed = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).unwrap_or_default();
        let mut children = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
        children.find(|child| is_systemd(*child)).and_then(Self::of).filter(Self::alive)
    }
}

/// systemd-nspawn's child is in the machine's namespaces, and has its root, once it is systemd.
fn is_systemd(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "systemd")
}

/// The 22nd field; the second is a name that may hold spaces and parentheses.
fn start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// What boot.sh sets up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Machine,
    Switch,
}

/// Starts boot.sh, detached from this process, and lets it go on once `connect` has done its part in
/// its network. Returns the process that boot.sh is, and that systemd-nspawn becomes.
pub(crate) fn boot(
    role: Role,
    home: &Path,
    group: &Group,
    variables: &[(&str, &str)],
    connect: impl FnOnce(&Process) -> Result<()>,
) -> Result<Process> {
    group.make()?;
    let script = home.join("boot.sh");
    files::write(&script, BOOT.as_bytes(), 0o755)?;
    let log = home.join("boot.log");
    let errors =
        fs::File::options().create(true).append(true).open(&log).map_err(Error::file("open", &log))?;
    let verb = if role == Role::Machine { "machine" } else { "switch" };
    let mut command = Command::new("setsid");
    command.args(["--fork", "bash"]).arg(&script).arg(verb);
    command.env("LAB_CGROUPS", group.words()).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
    let mut child = command.spawn().map_err(|source| Error::Start { command: "setsid".into(), source })?;
    let said = child.stdout.take().map(BufReader::new).map(|out| out.lines().take(2).collect::<Vec<_>>());
    let said: Vec<String> = said.into_iter().flatten().flatten().collect();
    let failed = || Error::Parse { path: log.clone(), reason: files::read_text(&log).unwrap_or_default() };
    let [pid, ready] = said.as_slice() else { return Err(failed()) };
    let process = pid.parse().ok().and_then(Process::of).filter(|_| ready == "ready").ok_or_else(failed)?;
    connect(&process)?;
    drop(child.stdin.take()); // boot.sh goes on
    child.wait().map_err(|source| Error::Start { command: "setsid".into(), source })?;
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let fields = (3..=30).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(start_time(&format!("1 (a) b) {fields}")), Some(22));
    }

    #[test]
    fn we_are_alive_and_an_earlier_process_of_our_number_is_not() {
        let us = Process::of(std::process::id()).unwrap();
        assert!(us.alive());
        assert!(!Process { started: us.started - 1, ..us }.alive());
    }
}
