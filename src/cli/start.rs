//! `bootkube start`: from an asset directory to a control plane that runs itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, builder::BoolishValueParser};

use super::arguments::Form;
use super::output;
use super::preflight::IgnoreArgs;
use crate::error::{ExitClass, Failure, chain};
use crate::phase::{Command, phase_names};
use crate::report::{self, Recorder, Story};
use crate::start::{self, Apply, Lookup, OnFailure, Options, PhaseTimeout, Report, RequiredPod, Timeouts};
use crate::ui::{Console, End, Event, EventLines, Hub, Output, Problem, Sink as _};

/// Bring up the cluster that `render` described: run on a controller as root, once its kubelet
/// runs.
///
/// Places a temporary control plane, applies the manifests, waits until the control plane in the
/// cluster has taken over, and removes the temporary one. Success means that the cluster runs
/// itself. Interrupted or failed, it is run again by the same command.
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
    /// Pods to wait for before the temporary control plane goes, as namespace/name-prefix,
    /// separated by commas [default: those of kube-system/pod-checkpointer, kube-apiserver,
    /// kube-scheduler and kube-controller-manager that manifests/ contains]
    #[arg(long, value_name = "PODS", value_delimiter = ',')]
    required_pods: Option<Vec<RequiredPod>>,
    /// Take over fields of objects that another manager owns, instead of reporting the conflict
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(),
        hide_possible_values = true)]
    force_conflicts: bool,
    #[command(flatten)]
    ignore: IgnoreArgs,
    /// Longest time that each phase may take
    #[arg(long, value_name = "DURATION", default_value = Command::Start.default_timeout(), value_parser = start::duration)]
    timeout: Duration,
    /// Wait this long while another start or reset changes this machine [default: do not wait, and
    /// say who does]
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration, hide_default_value = true)]
    wait_lock: Duration,
    /// What becomes of what was placed when start fails: `keep` it, to look at it and to go on by
    /// the same command, or `teardown`
    #[arg(long, value_enum, value_name = "WHAT", default_value = "keep", hide_possible_values = true)]
    on_failure: WhenFailed,
    /// Longest time for one phase, such as wait-for-the-API=5m; may be given several times
    #[arg(long, value_name = "NAME=DURATION", long_help = phase_timeout_help())]
    phase_timeout: Vec<PhaseTimeout>,
    /// Print what would be done, in order, and change nothing; objects are compared with a live
    /// API, if there is one, as `kubectl diff` does
    #[arg(long)]
    dry_run: bool,
    /// Form of what --dry-run prints: `text`, or `json` for programs
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORM",
        default_value = "text",
        hide_possible_values = true,
        requires = "dry_run"
    )]
    output: Form,
    /// Restart kubelet with this command (words, no shell) once the API knows its token, such as
    /// "systemctl restart kubelet": one that has waited for the API for minutes asks again only
    /// after half a minute. Its pods keep running
    #[arg(long, value_name = "COMMAND")]
    restart_kubelet: Option<String>,
    /// Write report.json and report.html, a picture of what happened, into this directory, also
    /// when start fails
    #[arg(long, value_name = "DIR", help_heading = "What happened")]
    report: Option<PathBuf>,
    /// Write what happens as one JSON object a line, to a file or, with `-`, to standard output,
    /// which then holds nothing else
    #[arg(long, value_name = "FILE", help_heading = "What happened")]
    events: Option<PathBuf>,
    /// Ask the API of this machine twenty times a second, each time over a new connection, and tell
    /// how it answered
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "false",
        default_missing_value = "true", action = ArgAction::Set, value_parser = BoolishValueParser::new(),
        hide_possible_values = true, help_heading = "What happened")]
    probe: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhenFailed {
    Keep,
    Teardown,
}

fn phase_timeout_help() -> String {
    format!(
        "Longest time for one phase, such as wait-for-the-API=5m; may be given several times. Phases: {}",
        phase_names()
    )
}

pub(super) fn run(args: StartArgs) -> Result<(), Failure> {
    let StartArgs {
        asset_dir,
        pod_manifest_path,
        strict,
        required_pods,
        force_conflicts,
        ignore,
        timeout,
        wait_lock,
        on_failure,
        phase_timeout,
        dry_run,
        output,
        report,
        events,
        restart_kubelet,
        probe,
    } = args;
    let ignored = ignore.ignored();
    let options = Options {
        lookup: Lookup { asset_dir, pod_manifest_path, required_pods, ignored },
        apply: Apply { strict, force_conflicts, restart_kubelet },
        timeouts: Timeouts::new(timeout, phase_timeout),
        wait_lock,
        on_failure: match on_failure {
            WhenFailed::Keep => OnFailure::Keep,
            WhenFailed::Teardown => OnFailure::TearDown,
        },
        probe,
    };
    if dry_run {
        return preview(&options, output);
    }
    let lines = events.as_deref().map(open_events).transpose()?;
    let console = match &events {
        Some(path) if path == Path::new("-") => Console::on_stderr(),
        _ => Console::new(),
    };
    let recorder = Recorder::default();
    let result = start(&options, &console, lines.as_ref(), &recorder);
    let story = recorder.story();
    story.lines().iter().for_each(|line| console.print(line));
    if let Some(dir) = &report {
        write_report(&story, dir, &console);
    }
    result.map(|report| summary(&report).iter().for_each(|line| console.print(line)))
}

/// Says what would be done.
fn preview(options: &Options, form: Form) -> Result<(), Failure> {
    let preview = output::runtime()?.block_on(start::preview(options)).map_err(start::Error::of_dry_run)?;
    match form {
        Form::Text => output::print(&preview.to_text()),
        Form::Json => output::print(&format!("{:#}\n", preview.to_json())),
    }
}

/// Starts, with an event for the beginning and one for the end.
fn start(
    options: &Options,
    console: &Console,
    lines: Option<&EventLines>,
    recorder: &Recorder,
) -> Result<Report, Failure> {
    let mut outputs: Vec<&dyn Output> = vec![console, recorder];
    outputs.extend(lines.map(|lines| lines as &dyn Output));
    let hub = Hub::new(outputs);
    hub.tell(Event::Begun { bootkube: crate::VERSION });
    let result = output::runtime().and_then(|runtime| Ok(runtime.block_on(start::start(options, &hub))?));
    hub.tell(Event::Ended(end(&result)));
    result
}

fn end(result: &Result<Report, Failure>) -> End {
    match result {
        Ok(report) => End { exit_code: 0, node: Some(report.node.clone()), error: None },
        Err(Failure { class, message, hint }) => {
            let problem = Problem { class: class.name(), message: message.clone(), hint: hint.clone() };
            End { exit_code: *class as u8, node: None, error: Some(problem) }
        }
    }
}

fn open_events(path: &Path) -> Result<EventLines, Failure> {
    EventLines::open(path).map_err(|error| {
        let message = format!("--events: failed to open `{}`: {error}", path.display());
        Failure { class: ExitClass::Configuration, message, hint: Some("nothing was touched".into()) }
    })
}

/// A report that cannot be written does not undo what was done.
fn write_report(story: &Story, dir: &Path, console: &Console) {
    match report::write(story, dir) {
        Ok(page) => console.print(&format!("report: {}", page.display())),
        Err(error) => console.print(&format!("warning: no report: {}", chain(&error))),
    }
}

/// The end of a successful start, line by line; the last says what there is now.
fn summary(report: &Report) -> Vec<String> {
    let Report { times, applied, changed, refused, node } = report;
    let mut lines: Vec<String> =
        refused.iter().map(|refused| format!("not as its manifest says: {refused}")).collect();
    if *changed == 0 && refused.is_empty() {
        lines.push("nothing had to be changed: the cluster is as the assets say".to_owned());
    }
    let total: Duration = times.iter().map(|(_, elapsed)| *elapsed).sum();
    let total = total.as_secs_f64();
    lines.push(format!("the control plane runs itself on node {node}: {applied} objects, {total:.1} s"));
    lines
}
