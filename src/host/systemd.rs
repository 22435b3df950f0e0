//! Units of systemd: why one does not run, and whether it comes back at the next boot.
//!
//! Where systemd is not process 1, or its programs are missing as in a container, nothing is known.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::process::Command;

use super::log;
use crate::patience::{ANSWER, within};

/// systemd makes this folder when it boots a machine.
const BOOTED: &str = "/run/systemd/system";
const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,Result,UnitFileState,NRestarts,\
    ActiveEnterTimestampMonotonic,WantedBy,RequiredBy";
/// systemd counts restarts as long as nothing else starts the service anew. One that has run for so
/// long is past the cause of the last one.
const STEADY: Duration = Duration::from_secs(60);
/// Lines of the journal from which the last error is taken.
const LINES: &str = "--lines=100";

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, without `.service`.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Whether systemd starts it at the next boot.
    pub starts_at_boot: bool,
    /// The last error that it wrote before it ended, if it has failed.
    pub last_error: Option<String>,
}

/// How a service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs, or is being started for the first time.
    Runs,
    /// It ended by itself, in this way: `exit-code`, `oom-kill`. systemd may start it again.
    Failed(String),
    /// It has begun to run a moment ago, and was started again this often because it had ended by
    /// itself.
    Restarted(u32),
    /// It was stopped, or never started.
    Stopped,
    /// It must not be started.
    Masked,
    /// systemd cannot load its unit, and says why in a word.
    Broken(String),
    /// There is no such unit.
    Missing,
}

impl Service {
    /// Whether it runs now.
    pub fn runs(&self) -> bool {
        matches!(self.standing, Standing::Runs | Standing::Restarted(_))
    }

    /// Why it does not run, as a clause; `None` if it runs.
    pub fn trouble(&self) -> Option<String> {
        let Self { name, standing, last_error, .. } = self;
        let said = last_error.as_ref().map(|line| format!(", and the last error it logged is: {line}"));
        let said = said.unwrap_or_default();
        match standing {
            Standing::Runs => None,
            Standing::Failed(how) => Some(format!("{name}.service has failed ({how}){said}")),
            Standing::Restarted(1) => Some(format!("systemd has restarted {name}.service once{said}")),
            Standing::Restarted(times) => {
                Some(format!("systemd has restarted {name}.service {times} times{said}"))
            }
            Standing::Stopped => Some(format!("{name}.service is stopped")),
            Standing::Masked => Some(format!("{name}.service is masked")),
            Standing::Broken(why) => Some(format!("systemd cannot load {name}.service ({why})")),
            Standing::Missing => Some(format!("systemd has no {name}.service")),
        }
    }
}

/// The services called `names`; none where systemd cannot be asked.
pub async fn services(names: &[&str]) -> Vec<Service> {
    if !Path::new(BOOTED).is_dir() {
        return Vec::new();
    }
    let units: Vec<String> = names.iter().map(|name| format!("{name}.service")).collect();
    let units = units.iter().map(String::as_str);
    let arguments: Vec<&str> = ["show", PROPERTIES].into_iter().chain(units).collect();
    let said = output("systemctl", &arguments).await.unwrap_or_default();
    let mut services = parse(&said, since_boot());
    for service in &mut services {
        if matches!(service.standing, Standing::Failed(_) | Standing::Restarted(_)) {
            service.last_error = last_error(&service.name).await;
        }
    }
    services
}

/// What the service called `name` wrote last of what sounds like an error. Only its own lines
/// count, not those of systemd about it.
pub async fn last_error(name: &str) -> Option<String> {
    let unit = format!("_SYSTEMD_UNIT={name}.service");
    let arguments = ["--boot", "--no-pager", "--quiet", "--output=cat", LINES, &unit];
    log::telling(output("journalctl", &arguments).await?.lines()).pop()
}

async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    match within(ANSWER, command.output()).await {
        Ok(Ok(output)) if output.status.success() => {
            return Some(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(Ok(output)) => tracing::debug!(program, status = %output.status, "it does not answer"),
        Ok(Err(error)) => tracing::debug!(program, %error, "it cannot be run"),
        Err(late) => tracing::debug!(program, %late, "it does not answer"),
    }
    None
}

/// The clock of systemd's monotonic timestamps.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// The output of `systemctl show`, which was made `now` after boot: a block of `Name=value` for each
/// unit.
fn parse(text: &str, now: Duration) -> Vec<Service> {
    text.split("\n\n").filter_map(|block| service(block, now)).collect()
}

fn service(block: &str, now: Duration) -> Option<Service> {
    let property = |name: &str| {
        let pairs = block.lines().filter_map(|line| line.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.trim()).next_back().unwrap_or_default()
    };
    let name = property("Id").strip_suffix(".service")?.to_owned();
    let restarts = property("NRestarts").parse().unwrap_or_default();
    let active_since = property("ActiveEnterTimestampMonotonic").parse().map(Duration::from_micros);
    let is_steady = active_since.is_ok_and(|since| !since.is_zero() && now.saturating_sub(since) > STEADY);
    let standing = match (property("LoadState"), property("ActiveState"), property("SubState")) {
        ("not-found", ..) => Standing::Missing,
        ("masked", ..) => Standing::Masked,
        (state @ ("error" | "bad-setting"), ..) => Standing::Broken(state.to_owned()),
        (_, "failed", _) | (_, "activating", "auto-restart") => {
            Standing::Failed(property("Result").to_owned())
        }
        (_, "inactive" | "deactivating", _) => Standing::Stopped,
        _ if restarts > 0 && !is_steady => Standing::Restarted(restarts),
        _ => Standing::Runs,
    };
    let is_off = ["disabled", "enabled-runtime", "masked"].contains(&property("UnitFileState"));
    let is_wanted = !property("WantedBy").is_empty() || !property("RequiredBy").is_empty();
    let starts_at_boot = !is_off || property("UnitFileState") == "disabled" && is_wanted;
    Some(Service { name, standing, starts_at_boot, last_error: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd 252 prints them.
    const SHOWN: &str = "\
Result=exit-code
NRestarts=7
Id=kubelet.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=enabled
WantedBy=multi-user.target
RequiredBy=

Result=success
NRestarts=0
Id=containerd.service
LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=disabled
WantedBy=
RequiredBy=

Id=crio.service
LoadState=not-found
ActiveState=inactive
SubState=dead
";

    #[test]
    fn a_unit_that_fails_one_that_is_stopped_and_one_that_is_missing_are_told_apart() {
        let found = parse(SHOWN, Duration::ZERO);
        let standing: Vec<&Standing> = found.iter().map(|service| &service.standing).collect();
        let expected = [&Standing::Failed("exit-code".into()), &Standing::Stopped, &Standing::Missing];
        assert_eq!(standing, expected);
        let at_boot: Vec<bool> = found.iter().map(|service| service.starts_at_boot).collect();
        assert_eq!(at_boot, [true, false, true]);
        let kubelet = Service { last_error: Some("swap is on".into()), ..found[0].clone() };
        assert_eq!(
            kubelet.trouble().unwrap(),
            "kubelet.service has failed (exit-code), and the last error it logged is: swap is on"
        );
        assert_eq!(found[1].trouble().unwrap(), "containerd.service is stopped");
    }

    #[test]
    fn a_unit_that_is_not_enabled_starts_at_boot_if_another_wants_it() {
        let unit = |wanted: &str| {
            let block = format!(
                "Id=containerd.service\nLoadState=loaded\nActiveState=active\nSubState=running\n\
                 NRestarts=0\nUnitFileState=disabled\nWantedBy={wanted}\n"
            );
            parse(&block, Duration::ZERO).remove(0)
        };
        assert!(!unit("").starts_at_boot && unit("docker.service").starts_at_boot);
        assert_eq!(unit("").standing, Standing::Runs);
    }

    #[test]
    fn a_service_that_ended_long_ago_and_has_run_since_is_in_no_loop() {
        let block = "Id=kubelet.service\nLoadState=loaded\nActiveState=active\nSubState=running\n\
                     NRestarts=3\nActiveEnterTimestampMonotonic=5000000\n";
        let standing = |now| parse(block, Duration::from_secs(now)).remove(0).standing;
        assert_eq!(standing(15), Standing::Restarted(3));
        assert_eq!(standing(3600), Standing::Runs);
        assert!(since_boot() > Duration::ZERO);
    }

    #[tokio::test]
    async fn a_machine_without_systemd_says_nothing() {
        assert_eq!(output("/no/such/program", &[]).await, None);
        assert_eq!(output("false", &[]).await, None);
        if !Path::new(BOOTED).is_dir() {
            assert_eq!(services(&["kubelet"]).await, []);
        }
    }
}
