//! A cluster for measurements, on machines of the lab. It has no audit log, unlike the lab's,
//! because a cluster of kubeadm has none.

use std::path::Path;
use std::time::{Duration, Instant};

use lab::cluster::ASSETS;
use lab::{Cluster, Kubeadm, Lab, Machine};
use serde_json::json;

use super::Bench;
use crate::command::{Line, listen};
use crate::error::{Error, Result};
use crate::kube::{Kubectl, Seen, is_ready};

/// The administrator's kubeconfig on the first controller.
const ADMIN: [&str; 2] = [ASSETS, "auth/kubeconfig"];
const COMPONENTS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
/// File on the machine to which GNU time writes.
const PEAK: &str = "/root/peak";

/// A rendered cluster whose kubelet does not run yet.
pub struct Rendered {
    cluster: Cluster,
    /// The first controller.
    pub machine: Machine,
    /// As administrator.
    pub kubectl: Kubectl,
}

/// The result of a run of `start`.
pub struct Started {
    /// Its output.
    pub lines: Vec<Line>,
    /// When it ended.
    pub ended: Instant,
    /// Peak memory, in MiB.
    pub peak_mib: f64,
}

impl Rendered {
    /// Puts bootkube onto the machines and renders.
    pub fn on(lab: &Lab, bench: &Bench) -> Result<Self> {
        let without_audit = json!({"components": {"kube-apiserver": null}});
        let cluster = Cluster::prepare(lab, bench.binary(), &without_audit)?;
        cluster.render()?;
        let machine = cluster.controller()?;
        let kubectl = Kubectl::of(lab, &machine, &ADMIN.join("/"))?;
        Ok(Self { cluster, machine, kubectl })
    }

    /// Starts kubelet on the first controller.
    pub fn join(&self) -> Result<()> {
        Ok(self.cluster.join(&self.machine)?)
    }

    /// Runs `start` to its end. It must succeed.
    pub fn start(&self, bench: &Bench, flags: &[&str]) -> Result<Started> {
        let mut command = self.machine.command("time")?;
        command.args(["--format=%M", "--output", PEAK, "bootkube", "start", "--asset-dir", ASSETS]);
        command.args(flags);
        let lines = listen(&mut command, &bench.file("start.log"))?;
        let ended = Instant::now();
        Ok(Started { lines, ended, peak_mib: peak_mib(&self.machine)? })
    }
}

fn peak_mib(machine: &Machine) -> Result<f64> {
    let text = String::from_utf8_lossy(&machine.read(PEAK)?).trim().to_owned();
    let kibibytes: f64 =
        text.parse().map_err(|error| Error::parse(format!("peak memory {text:?}"), error))?;
    Ok(kibibytes / 1024.0)
}

/// Runs `kubeadm init` to its end. Returns its lines and when it ended.
pub fn init(machine: &Machine, log: &Path) -> Result<(Vec<Line>, Instant)> {
    let (program, arguments) = Kubeadm::INIT.split_first().unwrap_or((&"true", &[]));
    let lines = listen(machine.command(program)?.args(arguments), log)?;
    Ok((lines, Instant::now()))
}

/// Waits until Node and control plane are Ready. Returns how long after `ended` that was.
pub fn wait_ready(kubectl: &Kubectl, ended: Instant) -> Result<Duration> {
    let nodes = kubectl.clone();
    let nodes = std::thread::spawn(move || {
        nodes.wait(&["nodes"], |seen| !seen.is_empty() && seen.values().all(is_ready))
    });
    let pods = kubectl.wait(&["pods", "-n", "kube-system"], is_control_plane_ready)?;
    let nodes = nodes.join().map_err(|_| Error::parse("the nodes", "the watch panicked"))??;
    let last = [Some(ended), pods, nodes].into_iter().flatten().max().unwrap_or(ended);
    Ok(last - ended)
}

/// Whether each component has pods, and all of them are Ready.
fn is_control_plane_ready(seen: &Seen) -> bool {
    COMPONENTS.iter().all(|component| {
        let mut pods = seen.iter().filter(|(name, _)| name.starts_with(component)).peekable();
        pods.peek().is_some() && pods.all(|(_, pod)| is_ready(pod))
    })
}
