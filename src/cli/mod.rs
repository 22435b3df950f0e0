//! The command line: one file per subcommand, each turning arguments into one library call.
//!
//! Stdout carries data and, for `start`, its progress, as v0.14's did. Warnings about input, errors
//! and logs go to stderr. clap itself ends the program on a usage error, with exit code 2.

mod agent;
mod arguments;
mod checkpoint;
mod cluster;
mod completions;
mod config;
mod lint;
mod output;
mod preflight;
pub mod query;
mod recover;
mod render;
mod reset;
mod smoke_test;
mod start;
mod status;
mod unpivot;

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::error::{ExitClass, Failure};

/// Chooses what is logged, in the syntax of RUST_LOG. Wins over `--verbose`.
const LOG_VARIABLE: &str = "BOOTKUBE_LOG";

const ABOUT: &str = "\
bootkube turns a machine with a kubelet into a Kubernetes cluster whose control plane runs inside
Kubernetes: the apiserver is a DaemonSet, controller manager and scheduler are Deployments, and a change
of the control plane is a `kubectl edit`. It is for people who run Kubernetes on their own machines.

Two commands make a cluster:
  bootkube render   writes an asset directory: certificates, kubeconfigs and manifests
  bootkube start    on the first controller, brings the control plane up from that directory";

const EXAMPLES: &str = "\
Examples:
  A cluster on this machine, which has containerd and a kubelet. In cluster.yaml, set apiServers to the
  machine's address and etcd.mode to staticPod:
    bootkube config defaults > cluster.yaml
    bootkube config validate --config=cluster.yaml
    bootkube render --config=cluster.yaml --asset-dir=assets
    bootkube start --asset-dir=assets

  With the flags of v0.14, where etcd already runs:
    bootkube render --asset-dir=assets --api-servers=https://10.0.0.5:6443 --etcd-servers=https://10.0.0.5:2379

Exit codes: 0 done, 1 failed, 2 usage, 3 wrong configuration (nothing was written), 4 machine not ready.

Read on: `bootkube COMMAND --help`; README.md and docs/ of the source, of which docs/troubleshooting.md
lists what can stop `start`, and what to do.";

#[derive(Parser)]
#[command(name = "bootkube", version, about = ABOUT, after_help = EXAMPLES, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Log each step on stderr; BOOTKUBE_LOG selects more finely, in the syntax of RUST_LOG
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Format of the log on stderr: `text`, or `json` with one object a line
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
enum Command {
    Render(Box<render::RenderArgs>),
    Start(start::StartArgs),
    Preflight(preflight::PreflightArgs),
    Status(status::StatusArgs),
    SmokeTest(smoke_test::SmokeTestArgs),
    /// Show or check the configuration file.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Lint(lint::LintArgs),
    Reset(reset::ResetArgs),
    Recover(recover::RecoverArgs),
    Unpivot(unpivot::UnpivotArgs),
    /// Show the copies of pods that this machine keeps for the time without an API.
    #[command(subcommand)]
    Checkpoint(checkpoint::CheckpointCommand),
    Agent(agent::AgentArgs),
    Completions(completions::CompletionsArgs),
    /// Print the version.
    Version,
}

/// Every command with its flags and help, from which manual pages and completions are generated.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command line `args`, the program's name first.
///
/// # Errors
/// What the subcommand failed with, worded for the user.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let Cli { command, verbose, log_format } = Cli::parse_from(args);
    log_to_stderr(verbose, matches!(command, Command::Agent(_)), log_format)?;
    match command {
        Command::Render(args) => render::run(*args),
        Command::Preflight(args) => preflight::run(args),
        Command::Start(args) => start::run(args),
        Command::Reset(args) => reset::run(args),
        Command::Status(args) => status::run(args),
        Command::SmokeTest(args) => smoke_test::run(args),
        Command::Recover(args) => recover::run(args),
        Command::Unpivot(args) => unpivot::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Checkpoint(command) => checkpoint::run(command),
        Command::Config(command) => config::run(command),
        Command::Lint(args) => lint::run(args),
        Command::Completions(args) => completions::run(args, self::command()),
        Command::Version => output::print(&format!("Version: {}\n", crate::VERSION)),
    }
}

fn log_to_stderr(verbose: bool, is_service: bool, format: LogFormat) -> Result<(), Failure> {
    // The client logs every failed connection as an error, and waiting for an API consists of
    // those.
    let usual = if verbose {
        "warn,bootkube=debug,kube_client=info"
    } else if is_service {
        "warn,bootkube=info,kube_client=off,kube_runtime=off"
    } else {
        "warn,kube_client=off,kube_runtime=off"
    };
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(directives) => log_filter(&directives)?,
        Err(_) => log_filter(usual)?,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => log.with(lines.with_ansi(std::io::stderr().is_terminal())).init(),
        LogFormat::Json => log.with(lines.json()).init(),
    }
    Ok(())
}

fn log_filter(directives: &str) -> Result<Targets, Failure> {
    directives.parse().map_err(|error| Failure {
        class: ExitClass::Usage,
        message: format!("{LOG_VARIABLE}: {directives}: {error}"),
        hint: Some("write a level (error, warn, info, debug, trace) or bootkube=debug,kube=info".into()),
    })
}
