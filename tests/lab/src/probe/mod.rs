//! Sends requests to an API server at a steady rate, as a client of a moving control plane: each
//! over a new TLS connection and without a retry, or as client-go does. It prints one JSON line for
//! each request, and a summary as the last line.

mod client;
mod keepalive;
mod prober;

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use client::Target;
pub use prober::Prober;
pub(crate) use prober::binary;

use crate::error::{Error, Result};

/// What users ask a moving control plane for. Not a list: in the first minute of an apiserver a
/// list of anything that has objects takes ten seats of priority and fairness, of which there are
/// forty-nine for users (`seatsBasedOnObjectSize`, Kubernetes 1.36.3), so that on a machine with
/// two cores they queue, whichever apiserver answers.
pub const NAMESPACE: &str = "/api/v1/namespaces/kube-system";

/// What to ask, as which user, how often and for how long.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Server and user; needs a client certificate in it
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// Requests a second
    #[arg(long, default_value_t = 40)]
    pub rate: u32,
    /// What to ask for
    #[arg(long, default_value = "/readyz")]
    pub path: String,
    /// For how long; else until standard input ends
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Ask here instead of the kubeconfig's server
    #[arg(long)]
    pub server: Option<String>,
    /// Seconds until a request without an answer has failed
    #[arg(long, default_value_t = 5)]
    pub patience: u64,
    /// Over which connections
    #[arg(long, value_enum, default_value_t = Connections::Fresh)]
    pub connections: Connections,
}

/// Over which connections an API server is asked, and what is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Connections {
    /// A new one for each request, and nothing is tried again
    Fresh,
    /// Kept ones of HTTP/1.1, and client-go tries again what it tries again
    Http1,
    /// A kept one of HTTP/2, likewise
    Http2,
}

impl Options {
    /// Forty requests a second for /readyz, until stopped.
    pub fn new(kubeconfig: impl Into<PathBuf>) -> Self {
        Self {
            kubeconfig: kubeconfig.into(),
            rate: 40,
            path: "/readyz".into(),
            seconds: None,
            server: None,
            patience: 5,
            connections: Connections::Fresh,
        }
    }
}

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// When it began, in seconds since 1970.
    pub at: f64,
    /// How long it took, in seconds.
    pub took: f64,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Why there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Sample {
    fn succeeded(&self) -> bool {
        self.status == Some(200)
    }
}

/// All requests. Failures before the first success do not count, because nothing is promised then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Answered with 200.
    pub ok: u64,
    /// Begun after the first success was seen, and not answered with 200.
    pub failed: u64,
    /// Longest time between two successes, or between the last one and the end, in seconds.
    pub longest_gap: f64,
}

impl Summary {
    /// Of samples in any order.
    pub fn of(samples: &[Sample]) -> Self {
        let mut answered: Vec<f64> =
            samples.iter().filter(|s| s.succeeded()).map(|s| s.at + s.took).collect();
        answered.sort_by(f64::total_cmp);
        let Some(first) = answered.first().copied() else { return Self::default() };
        let failed = samples.iter().filter(|sample| !sample.succeeded() && sample.at >= first);
        let end = samples.iter().map(|sample| sample.at + sample.took).fold(first, f64::max);
        let ok = answered.len() as u64;
        answered.push(end);
        let gaps = answered.windows(2).map(|pair| pair[1] - pair[0]);
        Self { ok, failed: failed.count() as u64, longest_gap: gaps.fold(0.0, f64::max) }
    }
}

/// Reads back what `run` wrote: every sample, and the summary if it got that far.
pub fn parse(output: &str) -> (Vec<Sample>, Option<Summary>) {
    let samples = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    (samples, output.lines().last().and_then(|line| serde_json::from_str(line).ok()))
}

/// Asks until the time is over or standard input ends, and writes to standard output.
pub fn run(options: &Options) -> Result<()> {
    let end = End::of(options);
    let (sender, receiver) = mpsc::channel();
    let writer = std::thread::spawn(move || write_samples(&receiver));
    match options.connections {
        Connections::Fresh => ask_afresh(options, &end, sender)?,
        Connections::Http1 | Connections::Http2 => keepalive::ask(options, &end, sender)?,
    }
    let written = writer.join().map_err(|_| Error::Probe("the writer panicked".into()))?;
    written.map_err(Error::file("write to", "standard output"))
}

fn ask_afresh(options: &Options, end: &End, sender: mpsc::Sender<Sample>) -> Result<()> {
    let target = Arc::new(Target::of(options)?);
    let interval = Duration::from_secs(1) / options.rate.max(1);
    let mut next = Instant::now();
    while !end.has_come() {
        let (target, sender) = (Arc::clone(&target), sender.clone());
        // The writer outlives every sender, so nothing is lost.
        std::thread::spawn(move || sender.send(target.ask()).ok());
        next += interval;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// When to stop: at a time, or when standard input ends.
struct End {
    deadline: Option<Instant>,
    told: Arc<AtomicBool>,
}

impl End {
    fn of(options: &Options) -> Self {
        let told = Arc::new(AtomicBool::new(false));
        let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        if deadline.is_none() {
            end_with_input(Arc::clone(&told));
        }
        Self { deadline, told }
    }

    fn has_come(&self) -> bool {
        self.told.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

fn end_with_input(told: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).ok(); // a broken input has ended as well
        told.store(true, Ordering::Relaxed);
    });
}

fn write_samples(receiver: &mpsc::Receiver<Sample>) -> std::io::Result<()> {
    let mut samples = Vec::new();
    let mut out = std::io::stdout().lock();
    for sample in receiver {
        writeln!(out, "{}", serde_json::to_string(&sample)?)?;
        samples.push(sample);
    }
    writeln!(out, "{}", serde_json::to_string(&Summary::of(&samples))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, took: f64, status: Option<u16>) -> Sample {
        Sample { at, took, status, error: None }
    }

    #[test]
    fn what_fails_before_the_first_success_is_not_counted() {
        let samples = [
            sample(0.0, 0.1, None),
            sample(1.0, 0.5, Some(200)),
            sample(1.2, 0.1, Some(403)),
            sample(2.0, 0.1, Some(500)),
        ];
        let summary = Summary::of(&samples);
        assert_eq!((summary.ok, summary.failed), (1, 1), "403 came before the first answer was complete");
    }

    #[test]
    fn the_longest_gap_reaches_to_the_end() {
        let samples = [sample(0.0, 0.0, Some(200)), sample(1.0, 0.0, Some(200)), sample(2.0, 1.5, None)];
        assert_eq!(Summary::of(&samples).longest_gap, 2.5);
        assert_eq!(Summary::of(&[]), Summary::default());
    }

    #[test]
    fn what_was_written_is_read_back() {
        let samples = [sample(0.0, 0.1, Some(200)), sample(1.0, 0.1, None)];
        let mut text: String = samples.iter().map(|s| serde_json::to_string(s).unwrap() + "\n").collect();
        text += &serde_json::to_string(&Summary::of(&samples)).unwrap();
        let (read, summary) = parse(&text);
        assert_eq!((read.len(), summary), (2, Some(Summary::of(&samples))));
    }
}
