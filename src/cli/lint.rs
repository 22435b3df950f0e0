//! `bootkube lint`: what will go wrong with manifests, before a cluster gets them.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{Form, FormArgs};
use super::output;
use crate::error::{ExitClass, Failure};
use crate::lint;

/// Say what will go wrong with manifests in a cluster, before a cluster gets them.
///
/// Looks at files only: neither at this machine nor at a cluster. Each finding has file, line,
/// reason and cure. Exits 0, or 3 with --strict if there are findings. docs/lint.md lists the
/// rules.
#[derive(Args)]
pub(super) struct LintArgs {
    /// Asset directory, any other directory of manifests, or a file
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// Exit 3 if there are findings
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    form: FormArgs,
}

pub(super) fn run(args: LintArgs) -> Result<(), Failure> {
    let LintArgs { path, strict, form } = args;
    let report = lint::lint(&path).map_err(|errors| Failure::new(ExitClass::Configuration, &errors))?;
    match form.output {
        Form::Text => output::print(&report.to_text())?,
        Form::Json => output::print(&format!("{:#}\n", report.to_json()))?,
    }
    match report.findings.len() {
        found if strict && found > 0 => Err(Failure {
            class: ExitClass::Configuration,
            message: output::count(found, "finding"),
            hint: None,
        }),
        _ => Ok(()),
    }
}
