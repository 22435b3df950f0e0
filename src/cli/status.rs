//! `bootkube status`: the control plane of a running cluster.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use time::OffsetDateTime;

use super::output;
use super::preflight::Form;
use crate::ETCD_KEYS;
use crate::cluster::kubeconfig::{self, Access};
use crate::error::{ExitClass, Failure};
use crate::status;

/// Show the control plane of a running cluster: what runs where, how it is hosted, which instance
/// leads, when certificates expire.
///
/// Problems come first. Exits 0 if there are none, 1 if there are. docs/status.md describes every
/// field.
#[derive(Args)]
pub(super) struct StatusArgs {
    /// Kubeconfig of the cluster, such as ASSETS/auth/kubeconfig [default: as kubectl, $KUBECONFIG,
    /// else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Longest time for each answer of the API. An API that refuses connections is reported at once
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = timeout)]
    timeout: Duration,
    /// Format of the report: `text`, or `json` for programs
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    output: Form,
}

pub(super) fn run(args: StatusArgs) -> Result<(), Failure> {
    let StatusArgs { kubeconfig, timeout, output } = args;
    let access = access(kubeconfig)?;
    let now = OffsetDateTime::now_utc();
    let status = output::runtime()?.block_on(status::status(&access, Path::new(ETCD_KEYS), now, timeout));
    let status = status.map_err(|error| Failure::new(ExitClass::General, &error))?;
    match output {
        Form::Text => output::print(&status::to_text(&status, now))?,
        Form::Json => output::print(&format!("{:#}\n", status::to_json(&status)))?,
    }
    match status.problems.len() {
        0 => Ok(()),
        problems => Err(Failure {
            class: ExitClass::General,
            message: format!("the control plane is not healthy: {}", output::count(problems, "problem")),
            hint: None,
        }),
    }
}

/// The cluster of the kubeconfig given, or of the usual one.
pub(super) fn access(kubeconfig: Option<PathBuf>) -> Result<Access, Failure> {
    let file = kubeconfig.or_else(usual).ok_or_else(|| Failure {
        class: ExitClass::Configuration,
        message: "no kubeconfig was given, and none was found".to_owned(),
        hint: Some("name one: --kubeconfig=ASSETS/auth/kubeconfig".to_owned()),
    })?;
    kubeconfig::read(&file).map_err(|error| Failure::new(ExitClass::Configuration, &error))
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("no API answers in no time; write one such as 15s".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write one such as 15s")),
    }
}

/// Where kubectl looks. Of several files in $KUBECONFIG, the first. Reading one that this user may
/// not look at says so.
fn usual() -> Option<PathBuf> {
    let named = env::var_os("KUBECONFIG").and_then(|files| env::split_paths(&files).next());
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".kube/config"));
    named
        .filter(|file| !file.as_os_str().is_empty())
        .or_else(home)
        .filter(|file| file.try_exists().unwrap_or(true))
}
