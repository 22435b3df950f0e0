//! Arguments that several subcommands have.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cluster::kubeconfig::{self, Access};
use crate::error::{ExitClass, Failure};

/// How a report is written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    Text,
    Json,
}

/// The form of a report.
#[derive(Args)]
pub(super) struct FormArgs {
    /// Format of the report: `text`, or `json` for programs
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    pub(super) output: Form,
}

/// The cluster that is looked at.
#[derive(Args)]
pub(super) struct KubeconfigArgs {
    /// Kubeconfig of the cluster, such as ASSETS/auth/kubeconfig [default: as kubectl, $KUBECONFIG,
    /// else ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

impl KubeconfigArgs {
    /// The cluster of the kubeconfig given, or of the usual one.
    pub(super) fn access(self) -> Result<Access, Failure> {
        let file = self.kubeconfig.or_else(usual).ok_or_else(|| Failure {
            class: ExitClass::Configuration,
            message: "no kubeconfig was given, and none was found".to_owned(),
            hint: Some("name one: --kubeconfig=ASSETS/auth/kubeconfig".to_owned()),
        })?;
        kubeconfig::read(&file).map_err(|error| Failure::new(ExitClass::Configuration, &error))
    }
}

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("no API answers in no time; write one such as 15s".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write one such as 15s")),
    }
}

/// Where kubectl looks. Of several files in $KUBECONFIG, the first that is there. Reading one that is
/// not there, or that this user may not look at, says so.
fn usual() -> Option<PathBuf> {
    let is_there = |file: &PathBuf| file.try_exists().unwrap_or(true);
    let named = env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> = env::split_paths(&named).filter(|file| !file.as_os_str().is_empty()).collect();
    let first = named.iter().find(|file| is_there(file)).or(named.first()).cloned();
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".kube/config")).filter(is_there);
    first.or_else(home)
}
