//! `start` against `kubeadm init`: both from the moment before kubelet is started until the command has ended and Node and
//! control plane are Ready. In turns, each time on new machines. Rendering, and kubeadm's phases that do the same, are done before.

use std::time::Instant;

use lab::Kubeadm;

use super::cluster::{Rendered, Started, init, wait_ready};
use super::{Bench, median, typical};
use crate::error::Result;
use crate::kube::Kubectl;
use crate::results::Results;
use crate::timeline::{Span, phases_of_kubeadm, phases_of_start};

/// What this yields.
pub const NAMES: [&str; 5] = [
    "start_over_kubeadm",
    "start_seconds",
    "kubeadm_seconds",
    "start_peak_rss_mib",
    "transition_overhead_ms",
];

struct Run {
    seconds: f64,
    phases: Vec<Span>,
}

/// Takes the figures.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let (mut ours, mut theirs, mut started) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.repetitions {
        let (run, start) = start(bench)?;
        eprintln!("bench: start: {:.2} s", run.seconds);
        ours.push(run);
        started.push(start);
        theirs.push(kubeadm(bench)?);
        eprintln!("bench: kubeadm init: {:.2} s", theirs.last().map_or(0.0, |run| run.seconds));
    }
    let seconds = |runs: &[Run]| median(runs.iter().map(|run| run.seconds));
    let (our_seconds, their_seconds) = (seconds(&ours)?, seconds(&theirs)?);
    results.set("start_seconds", our_seconds);
    results.set("kubeadm_seconds", their_seconds);
    results.set("start_over_kubeadm", our_seconds / their_seconds);
    results.set("start_peak_rss_mib", median(started.iter().map(|start| start.peak_mib))?);
    match started
        .iter()
        .filter_map(|start| start.overhead)
        .map(|overhead| overhead.p95_ms)
        .collect::<Vec<_>>()
    {
        none if none.is_empty() => results.not_yet("transition_overhead_ms"),
        overheads => results.set("transition_overhead_ms", median(overheads)?),
    }
    let shown = |runs| typical(runs, |run: &Run| run.seconds).map(|run| run.phases).unwrap_or_default();
    (results.timeline.start, results.timeline.kubeadm) = (shown(ours), shown(theirs));
    Ok(())
}

fn start(bench: &Bench) -> Result<(Run, Started)> {
    bench.on_machines(1, |lab| {
        let rendered = Rendered::on(lab, bench)?;
        let begun = Instant::now();
        rendered.join()?;
        let started = rendered.start(bench)?;
        let waited = wait_ready(&rendered.kubectl, started.ended)?;
        let phases =
            with_wait(phases_of_start(&started.lines, begun), begun, started.ended, waited.as_secs_f64());
        Ok((Run { seconds: (started.ended + waited - begun).as_secs_f64(), phases }, started))
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
        let waited = wait_ready(&kubectl, ended)?;
        let phases = with_wait(phases_of_kubeadm(&lines, begun), begun, ended, waited.as_secs_f64());
        Ok(Run { seconds: (ended + waited - begun).as_secs_f64(), phases })
    })
}

/// What was left to wait for when the command had ended.
fn with_wait(mut phases: Vec<Span>, begun: Instant, ended: Instant, waited: f64) -> Vec<Span> {
    let begin = (ended - begun).as_secs_f64();
    if waited > 0.0 {
        phases.push(Span {
            name: "until Node and control plane are Ready".into(),
            begin,
            end: begin + waited,
        });
    }
    phases
}
