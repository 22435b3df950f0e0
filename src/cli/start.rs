//! `bootkube start`: from an asset directory to a control plane that runs itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, builder::BoolishValueParser};

use super::output;
use super::preflight::IgnoreArgs;
use crate::error::Failure;
use crate::start::{self, Options, Report, RequiredPod};
use crate::ui::{Console, Event, Sink as _};

/// Bring up the cluster that `render` described: run on a controller as root, once its kubelet runs.
///
/// Places a temporary control plane, applies the manifests, waits until the control plane in the cluster has taken over, and
/// removes the temporary one. Success means that the cluster runs itself.
#[derive(Args)]
pub(super) struct StartArgs {
    /// Directory that `render` wrote
    #[arg(long, value_name = "DIR")]
    asset_dir: PathBuf,
    /// Directory from which the kubelet takes static pods
    #[arg(long, value_name = "DIR", default_value = "/etc/kubernetes/manifests")]
    pod_manifest_path: PathBuf,
    /// Stop at the first object that the API refuses, instead of reporting it and going on
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(),
        hide_possible_values = true)]
    strict: bool,
    /// Pods to wait for before the temporary control plane goes, as namespace/name-prefix, separated by commas
    /// [default: those of kube-system/pod-checkpointer, kube-apiserver, kube-scheduler and kube-controller-manager that
    /// manifests/ contains]
    #[arg(long, value_name = "PODS", value_delimiter = ',')]
    required_pods: Option<Vec<RequiredPod>>,
    /// Take over fields of objects that another manager owns, instead of reporting the conflict
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(),
        hide_possible_values = true)]
    force_conflicts: bool,
    #[command(flatten)]
    ignore: IgnoreArgs,
    /// Longest time that each wait may take
    #[arg(long, value_name = "DURATION", default_value = "20m", value_parser = timeout)]
    timeout: Duration,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("nothing can be waited for in no time".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write one such as 20m")),
    }
}

pub(super) fn run(args: StartArgs) -> Result<(), Failure> {
    let StartArgs { asset_dir, pod_manifest_path, strict, required_pods, force_conflicts, ignore, timeout } =
        args;
    let ignored = ignore.ignored();
    let options =
        Options { asset_dir, pod_manifest_path, strict, required_pods, force_conflicts, ignored, timeout };
    let runtime = output::runtime()?;
    let console = Console::new();
    let report = runtime.block_on(start::start(&options, &console))?;
    summary(&report).into_iter().for_each(|line| console.tell(Event::Info(line)));
    Ok(())
}

/// The end of a successful start, line by line; the last says what there is now.
fn summary(report: &Report) -> Vec<String> {
    let Report { times, applied, refused, node } = report;
    let mut lines: Vec<String> =
        refused.iter().map(|refused| format!("not as its manifest says: {refused}")).collect();
    let phases: Vec<String> =
        times.iter().map(|(phase, elapsed)| format!("{phase} {:.1} s", elapsed.as_secs_f64())).collect();
    lines.push(phases.join(", "));
    let total: Duration = times.iter().map(|(_, elapsed)| *elapsed).sum();
    let total = total.as_secs_f64();
    lines.push(format!("the control plane runs itself on node {node}: {applied} objects, {total:.1} s"));
    lines
}
