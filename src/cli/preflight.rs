//! `bootkube preflight`: checks this machine, changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use time::OffsetDateTime;

use super::arguments::{Form, FormArgs};
use super::output;
use crate::JOURNAL;
use crate::assets::load;
use crate::error::{ExitClass, Failure, chain};
use crate::journal::{self, State};
use crate::phase;
use crate::preflight::{self, Check, CheckOptions, Failed, Ignored};

/// Check whether this machine is ready for `start`, and report everything that is wrong. Changes
/// nothing.
///
/// Each check passes, fails, is ignored, or is unknown because it cannot be seen from here: a
/// container that has only /etc/kubernetes of the machine sees little. `start` runs the same checks
/// first. Exits 4 if a check fails. docs/preflight.md lists the checks.
#[derive(Args)]
pub(super) struct PreflightArgs {
    /// Directory that `render` wrote
    #[arg(long, value_name = "DIR")]
    asset_dir: PathBuf,
    /// Directory from which the kubelet takes static pods
    #[arg(long, value_name = "DIR", default_value = "/etc/kubernetes/manifests")]
    pod_manifest_path: PathBuf,
    #[command(flatten)]
    ignore: IgnoreArgs,
    #[command(flatten)]
    form: FormArgs,
}

/// Short, since a person can run it again.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `preflight` and `start` share.
#[derive(Args)]
pub(super) struct IgnoreArgs {
    /// Checks whose failure is ignored, separated by commas, or `all`
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    ignore_preflight: Vec<Ignored>,
}

impl IgnoreArgs {
    pub(super) fn ignored(self) -> Ignored {
        self.ignore_preflight.into_iter().collect()
    }
}

pub(super) fn run(args: PreflightArgs) -> Result<(), Failure> {
    let PreflightArgs { asset_dir, pod_manifest_path, ignore, form: FormArgs { output } } = args;
    let layout = match load::load(&asset_dir) {
        Ok(layout) => layout,
        // Which files are missing cannot be said by a user who may not look.
        Err(_) if phase::check_root().is_err() && load::is_forbidden(&asset_dir) => {
            return report(&preflight::without_assets(), output);
        }
        Err(findings) => return Err(Failure::new(ExitClass::Configuration, &findings)),
    };
    let (ignored, now) = (ignore.ignored(), OffsetDateTime::now_utc());
    let earlier = journal::read(Path::new(JOURNAL)).unwrap_or_else(|error| {
        output::warn(&[format!("it is not known what an earlier start placed: {}", chain(&error))]);
        State::default()
    });
    let options = CheckOptions {
        asset_dir,
        pod_manifest_path,
        ignored,
        placed: journal::intact(&earlier),
        etcd_authority: earlier.etcd_authority,
        now,
        asks_cluster: true,
        patience: PATIENCE,
    };
    let runtime = output::runtime()?;
    let checks = runtime.block_on(preflight::run(&layout, &options, |_| {}));
    let checks = checks.map_err(|error| Failure::new(ExitClass::Configuration, &error))?;
    report(&checks, output)
}

/// Prints what was found; an error if a check failed.
fn report(checks: &[Check], form: Form) -> Result<(), Failure> {
    match form {
        Form::Text => output::print(&preflight::to_text(checks))?,
        Form::Json => output::print(&format!("{:#}\n", preflight::to_json(checks)))?,
    }
    Failed::among(checks).map_err(|failed| not_ready(&failed, checks.len()))
}

/// The report has already said why.
fn not_ready(failed: &Failed, all: usize) -> Failure {
    let names = failed.names();
    Failure {
        class: ExitClass::Preflight,
        message: format!(
            "this machine is not ready: {} of {all} checks failed: {}",
            names.len(),
            names.join(", ")
        ),
        hint: None,
    }
}
