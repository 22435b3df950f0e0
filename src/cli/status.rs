//! `bootkube status`: the control plane of a running cluster.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use time::OffsetDateTime;

use super::arguments::{Form, FormArgs, KubeconfigArgs, timeout};
use super::output;
use crate::ETCD_KEYS;
use crate::error::{ExitClass, Failure};
use crate::status;

/// Show the control plane of a running cluster: what runs where, how it is hosted, which instance
/// leads, when certificates expire.
///
/// Problems come first. Exits 0 if there are none, 1 if there are. docs/status.md describes every
/// field.
#[derive(Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    cluster: KubeconfigArgs,
    /// Longest time for each answer of the API. An API that refuses connections is reported at once
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    form: FormArgs,
}

pub(super) fn run(args: StatusArgs) -> Result<(), Failure> {
    let StatusArgs { cluster, timeout, form } = args;
    let access = cluster.access()?;
    let now = OffsetDateTime::now_utc();
    let status = output::runtime()?.block_on(status::status(&access, Path::new(ETCD_KEYS), now, timeout));
    let status = status.map_err(|error| Failure::new(ExitClass::General, &error))?;
    match form.output {
        Form::Text => output::print(&status::to_text(&status, now))?,
        Form::Json => output::print(&format!("{:#}\n", status::to_json(&status)))?,
    }
    match status.problems.len() {
        0 => Ok(()),
        problems => Err(Failure {
            class: ExitClass::General,
            message: format!("the cluster is not healthy: {}", output::count(problems, "problem")),
            hint: None,
        }),
    }
}
