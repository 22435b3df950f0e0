//! `start` against `kubeadm init`: both from just before kubelet is started until the command has
//! ended and Node and control plane are Ready. They take turns, each time on new machines.
//! Rendering, and the phases of kubeadm that do the same, come before.

use std::time::Instant;

use lab::Kubeadm;
use lab::cluster::MAY_RESTART_KUBELET;

use super::cluster::{Rendered, Started, init, wait_ready};
use super::{Bench, median, typical};
use crate::error::Result;
use crate::kube::Kubectl;
use crate::results::Results;
use crate::timeline::{Span, phases_of_kubeadm, phases_of_start};

/// What this yields.
pub const NAMES: [&str; 7] = [
    "start_over_kubeadm",
    "start_seconds",
    "start_restarting_kubelet_seconds",
    "kubeadm_seconds",
    "start_over_kubeadm_exit",
    "kubeadm_exit_seconds",
    "start_peak_rss_mib",
];

struct Run {
    /// Until the command had ended.
    exit: f64,
    /// Until everything was Ready as well.
    seconds: f64,
    phases: Vec<Span>,
}

/// Takes the figures.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let (mut ours, mut restarting, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut peaks = Vec::new();
    for _ in 0..bench.repetitions {
        let (our, started) = start(bench, &[])?;
        let (other, _) = start(bench, &MAY_RESTART_KUBELET)?;
        let their = kubeadm(bench)?;
        eprintln!(
            "bench: start {:.2} s, restarting kubelet {:.2} s, kubeadm init {:.2} s (ended after {:.2} s, {:.2} s and {:.2} s)",
            our.seconds, other.seconds, their.seconds, our.exit, other.exit, their.exit
        );
        ours.push(our);
        restarting.push(other);
        theirs.push(their);
        peaks.push(started.peak_mib);
    }
    set_times(&ours, &theirs, results)?;
    results.set("start_restarting_kubelet_seconds", median(restarting.iter().map(|run| run.seconds))?);
    results.set("start_peak_rss_mib", median(peaks)?);
    let shown = |runs| typical(runs, |run: &Run| run.seconds).map(|run| run.phases).unwrap_or_default();
    (results.timeline.start, results.timeline.kubeadm) = (shown(ours), shown(theirs));
    Ok(())
}

fn set_times(ours: &[Run], theirs: &[Run], results: &mut Results) -> Result<()> {
    let of = |runs: &[Run], time: fn(&Run) -> f64| median(runs.iter().map(time));
    let (our_seconds, their_seconds) = (of(ours, |run| run.seconds)?, of(theirs, |run| run.seconds)?);
    let (our_exit, their_exit) = (of(ours, |run| run.exit)?, of(theirs, |run| run.exit)?);
    results.set("start_seconds", our_seconds);
    results.set("kubeadm_seconds", their_seconds);
    results.set("start_over_kubeadm", our_seconds / their_seconds);
    results.set("kubeadm_exit_seconds", their_exit);
    results.set("start_over_kubeadm_exit", our_exit / their_exit);
    Ok(())
}

fn start(bench: &Bench, flags: &[&str]) -> Result<(Run, Started)> {
    bench.on_machines(1, |lab| {
        let rendered = Rendered::on(lab, bench)?;
        let begun = Instant::now();
        rendered.join()?;
        let started = rendered.start(bench, flags)?;
        let phases = phases_of_start(&started.lines, begun);
        Ok((finish(&rendered.kubectl, begun, started.ended, phases)?, started))
    })
}

fn kubeadm(bench: &Bench) -> Result<Run> {
    bench.on_machines(1, |lab| {
        let machine = lab.machine("n1")?;
        let kubeadm = Kubeadm::prepare(&machine)?;
        let kubectl = Kubectl::of(lab, &machine, Kubeadm::ADMIN)?;
        let begun = Instant::now();
        kubeadm.start_kubelet()?;
        let (lines, ended) = init(&machine, &bench.file("kubeadm.log"))?;
        finish(&kubectl, begun, ended, phases_of_kubeadm(&lines, begun))
    })
}

/// What is left when the command has ended: waiting for Node and control plane.
fn finish(kubectl: &Kubectl, begun: Instant, ended: Instant, mut phases: Vec<Span>) -> Result<Run> {
    let exit = (ended - begun).as_secs_f64();
    let seconds = exit + wait_ready(kubectl, ended)?.as_secs_f64();
    if seconds > exit {
        phases.push(Span { name: "until all is Ready".into(), begin: exit, end: seconds });
    }
    Ok(Run { exit, seconds, phases })
}
