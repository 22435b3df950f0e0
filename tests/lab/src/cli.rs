//! The lab's command line: each subcommand is one call of the library.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use clap::{Parser, Subcommand};
use lab::cluster::START;
use lab::image::{Image, Layout};
use lab::{Cache, Cluster, Error, Lab, Machine, Parts, Result};

/// Machines with real kubelet, containerd, etcd and Kubernetes, on this host, without
/// virtualisation.
///
/// Needs root, Go, and the Debian packages that `make tools` installs.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
pub struct Cli {
    /// Folder of the lab; names and addresses derive from it [default: target/lab/default]
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Make new machines n1, n2, …, in place of those in the folder
    Up {
        /// How many
        #[arg(long, default_value_t = 1)]
        machines: usize,
    },
    /// Run a command on a machine
    Exec {
        machine: String,
        /// The command and its arguments, after --
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run a command outside of all machines, where their addresses can be reached
    Outside {
        /// The command and its arguments, after --
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Start kubelet on a machine that has a bootstrap kubeconfig in /etc/kubernetes/kubeconfig
    Kubelet { machine: String },
    /// Cut a machine's power and switch it on again
    Reboot { machine: String },
    /// Follow a machine's journal; one that is off can still be read
    Logs {
        machine: String,
        /// Only this unit: containerd, kubelet, etcd or another one
        unit: Option<String>,
    },
    /// Log in on a machine, or run a command there, over the network
    Ssh {
        machine: String,
        /// The command and its arguments, after --
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Write the state of every machine, and all logs, into a folder
    Dump { to: PathBuf },
    /// End the machines and remove their disks
    Down,
    /// Build programs and images, as `up` does first
    Build,
    /// Make one new machine, render a cluster on it and start it
    Demo {
        /// The bootkube binary
        #[arg(long)]
        bootkube: PathBuf,
    },
    /// Write bootkube's image, an OCI archive that holds the binary and nothing else
    Image {
        /// A static binary
        binary: PathBuf,
        /// Name and tag of the image
        reference: String,
        /// The archive
        to: PathBuf,
    },
    /// Ask an API server at a steady rate, each time over a new connection; one JSON line for each
    /// request
    Probe(lab::probe::Options),
    /// Pass connections on to a server that hears everything later, until standard input ends
    Far(lab::far::Options),
}

impl Cli {
    pub fn run(self) -> Result<ExitCode> {
        let Self { dir, act } = self;
        let dir = dir.unwrap_or_else(|| lab::default_dir("default"));
        let open = || Lab::open(&dir);
        match act {
            Act::Up { machines } => up(&Lab::up(&dir, machines)?),
            Act::Exec { machine, command } => {
                let (program, arguments) = split(&command);
                return become_status(open()?.machine(&machine)?.command(program)?.args(arguments));
            }
            Act::Outside { command } => {
                let (program, arguments) = split(&command);
                return become_status(open()?.command_outside(program)?.args(arguments));
            }
            Act::Kubelet { machine } => open()?.machine(&machine)?.start_kubelet(lab::Families::default())?,
            Act::Reboot { machine } => open()?.machine(&machine)?.reboot()?,
            Act::Logs { machine, unit } => return logs(&open()?.machine(&machine)?, unit.as_deref()),
            Act::Ssh { machine, command } => {
                return become_status(open()?.machine(&machine)?.ssh()?.args(command));
            }
            Act::Dump { to } => open()?.dump(&to)?,
            Act::Down => open()?.down()?,
            Act::Build => drop(Parts::build(&Cache::open()?)?),
            Act::Demo { bootkube } => return demo(&dir, &bootkube),
            Act::Image { binary, reference, to } => {
                Layout::write_archive(&[Image::bootkube(&reference, &binary)], &to)?;
            }
            Act::Probe(options) => lab::probe::run(&options)?,
            Act::Far(options) => lab::far::run(&options)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn up(lab: &Lab) {
    for machine in lab.machines() {
        println!("{} {}", machine.name(), machine.ip());
    }
}

/// A cluster on one machine; what `start` says is shown as it says it.
fn demo(dir: &Path, bootkube: &Path) -> Result<ExitCode> {
    let lab = Lab::up(dir, 1)?;
    let cluster = Cluster::prepare(&lab, bootkube, &serde_json::json!({}))?;
    print!("{}", cluster.render()?);
    let controller = cluster.controller()?;
    cluster.join(&controller)?;
    let started = controller.command("bootkube")?.args(START).status();
    let status = started.map_err(|source| Error::Start { command: "bootkube start".into(), source })?;
    if !status.success() {
        let dump = dir.with_extension("dump");
        lab.dump(&dump)?;
        eprintln!("lab: the state of the machine is in {}", dump.display());
        return Ok(exit_code(status));
    }
    for workload in ["daemonset/kube-proxy", "deployment/coredns"] {
        print!(
            "{}",
            cluster.kubectl(&["-n", "kube-system", "rollout", "status", "--timeout=120s", workload])?
        );
    }
    print!("{}", cluster.kubectl(&["get", "nodes,pods", "-A", "-o", "wide"])?);
    let lab = std::env::args().next().unwrap_or_default();
    println!("\nlook around: {lab} exec n1 -- kubectl get all -A\ntake it away: {lab} down");
    Ok(ExitCode::SUCCESS)
}

fn logs(machine: &Machine, unit: Option<&str>) -> Result<ExitCode> {
    let mut command = machine.journalctl();
    command.args(["--follow", "--lines=all"]).args(unit.map(|unit| format!("--unit={unit}")));
    become_status(&mut command)
}

fn split(words: &[String]) -> (&str, &[String]) {
    words.split_first().map_or(("true", &[]), |(program, arguments)| (program, arguments))
}

/// Runs a command on our own terminal and ends as it ended.
fn become_status(command: &mut Command) -> Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|source| Error::Start { command: program, source })?;
    Ok(exit_code(status))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
