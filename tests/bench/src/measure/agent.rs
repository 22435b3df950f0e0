//! Memory and processor time of an agent on a controller on which nothing happens. Its pod and its
//! copy count together.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::Machine;
use lab::cluster::ASSETS;

use super::Bench;
use super::cluster::{Rendered, wait_ready};
use crate::error::{Error, Result};
use crate::host::kibibytes;
use crate::kube::is_ready;
use crate::results::Results;

/// What this yields.
pub const NAMES: [&str; 3] = ["agent_rss_mib", "agent_anonymous_mib", "agent_cpu_percent"];
/// Its DaemonSet.
const AGENT: &str = "pod-checkpointer";
/// How long a new cluster is busy.
const SETTLE: Duration = Duration::from_secs(30);
/// Long enough for everything that the agent does periodically, so an hour would show the same.
const WINDOW: Duration = Duration::from_secs(120);
/// Ticks per second in which /proc counts processor time, on every architecture of Linux in use.
const TICKS: f64 = 100.0;

/// Takes the figures once there is an agent.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let measured = bench.on_machines(1, |lab| {
        let rendered = Rendered::on(lab, bench)?;
        match has_agent(&rendered.machine.path(ASSETS).join("manifests"))? {
            true => idle(&rendered, bench).map(Some),
            false => Ok(None),
        }
    })?;
    let Some(figures) = measured else {
        NAMES.into_iter().for_each(|name| results.not_yet(name));
        return Ok(());
    };
    NAMES.into_iter().zip(figures).for_each(|(name, figure)| results.set(name, figure));
    Ok(())
}

fn has_agent(manifests: &Path) -> Result<bool> {
    let entries = std::fs::read_dir(manifests).map_err(Error::file("list", manifests))?;
    let mut names = entries.flatten().map(|entry| entry.file_name());
    Ok(names.any(|name| name.to_string_lossy().starts_with(AGENT)))
}

/// The figures, in the order of [`NAMES`].
fn idle(rendered: &Rendered, bench: &Bench) -> Result<[f64; 3]> {
    rendered.join()?;
    let ended = rendered.start(bench, &[])?.ended;
    wait_ready(&rendered.kubectl, ended)?;
    rendered.kubectl.wait(&["pods", "-n", "kube-system"], |pods| {
        let mut agents = pods.iter().filter(|(name, _)| name.starts_with(AGENT)).peekable();
        agents.peek().is_some() && agents.all(|(_, pod)| is_ready(pod))
    })?;
    std::thread::sleep(SETTLE);
    let processes = processes(&rendered.machine)?;
    let processes: Vec<_> =
        processes.into_iter().map(|process| rendered.machine.path("/proc").join(process)).collect();
    let all = || processes.iter().map(|proc| ticks(proc)).sum::<Result<f64>>();
    let (begun, before) = (Instant::now(), all()?);
    std::thread::sleep(WINDOW);
    let percent = (all()? - before) / TICKS / begun.elapsed().as_secs_f64() * 100.0;
    let mebibytes = |field: &str| {
        let each = processes.iter().map(|proc| kibibytes(&proc.join("status").to_string_lossy(), field));
        each.sum::<Result<u64>>().map(|kibibytes| kibibytes as f64 / 1024.0)
    };
    Ok([mebibytes("VmRSS")?, mebibytes("RssAnon")?, percent])
}

/// Process numbers on the machine, from containerd, which knows a container by its pod's name.
fn processes(machine: &Machine) -> Result<Vec<String>> {
    let filter =
        format!("labels.\"io.kubernetes.pod.name\"~=^{AGENT},labels.\"io.cri-containerd.kind\"==container");
    let containers = machine.run(&["ctr", "-n", "k8s.io", "containers", "list", "--quiet", &filter])?;
    let tasks = machine.run(&["ctr", "-n", "k8s.io", "tasks", "list"])?;
    let tasks = tasks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let running =
        tasks.filter(|task| task.len() == 3 && task[2] == "RUNNING" && containers.contains(task[0]));
    let found: Vec<String> = running.map(|task| task[1].to_owned()).collect();
    match found.is_empty() {
        true => Err(Error::parse("containerd's tasks", format!("none is {AGENT}'s"))),
        false => Ok(found),
    }
}

/// Processor time of a process: fields 14 and 15 of its stat, whose second is a name in
/// parentheses.
fn ticks(proc: &Path) -> Result<f64> {
    let path = proc.join("stat");
    let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let numbers = fields.into_iter().flatten().map(|field| field.parse::<f64>());
    numbers.sum::<Result<f64, _>>().map_err(|error| Error::parse(path.display().to_string(), error))
}
