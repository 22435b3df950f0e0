//! Pivots and rolls under load. Two machines send requests to the API of the first one, as
//! administrator and as a user that RBAC must allow: over new connections without a retry, and over
//! kept ones as client-go does. They begin before the pivot and end after the last roll.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use lab::cluster::ASSETS;
use lab::probe::{Connections, NAMESPACE, Options, Prober, Sample, Summary};
use lab::{Lab, Machine};
use serde_json::json;

use super::cluster::{Rendered, wait_ready};
use super::{Bench, median, roll};
use crate::error::{Error, Result};
use crate::results::Results;
use crate::timeline::{Session, Span, slices};

/// What this yields.
pub const NAMES: [&str; 6] = [
    "failed_requests",
    "requests",
    "failed_keepalive",
    "keepalive_requests",
    "roll_seconds",
    "roll_slowest_request_ms",
];
/// Requests a second of each of the four clients that connect anew.
const FRESH_RATE: u32 = 55;
/// The least rate of all of them together, in requests a second.
const LEAST_RATE: u32 = 200;
/// Requests a second of each of the four clients that keep their connection.
const KEPT_RATE: u32 = 20;
/// Width of a slice in the plot, in seconds.
const SLICE: f64 = 0.25;

/// What one pivot and its rolls showed.
struct Outcome {
    fresh: Tally,
    kept: Tally,
    roll_seconds: Vec<f64>,
    slowest_ms: f64,
    session: Session,
    failures: Failures,
}

/// How often a client failed in the same way during the same act, to be looked at.
type Failures = BTreeMap<(String, String), u64>;

#[derive(Clone, Copy, Default)]
struct Tally {
    requests: u64,
    failed: u64,
}

/// Takes the figures.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let mut outcomes = Vec::new();
    for _ in 0..bench.repetitions {
        outcomes.push(bench.on_machines(2, |lab| pivot_and_rolls(lab, bench))?);
        outcomes.last().into_iter().for_each(tell);
    }
    let sum = |tally: fn(&Outcome) -> u64| outcomes.iter().map(tally).sum::<u64>() as f64;
    results.set("failed_requests", sum(|outcome| outcome.fresh.failed));
    results.set("requests", sum(|outcome| outcome.fresh.requests));
    results.set("failed_keepalive", sum(|outcome| outcome.kept.failed));
    results.set("keepalive_requests", sum(|outcome| outcome.kept.requests));
    results.set("roll_seconds", median(outcomes.iter().flat_map(|outcome| outcome.roll_seconds.clone()))?);
    let slowest = outcomes.iter().map(|outcome| outcome.slowest_ms).fold(0.0, f64::max);
    results.set("roll_slowest_request_ms", slowest);
    results.timeline.session = outcomes.pop().map(|outcome| outcome.session).unwrap_or_default();
    Ok(())
}

fn tell(outcome: &Outcome) {
    let Outcome { fresh, kept, roll_seconds, failures, .. } = outcome;
    let Tally { requests, failed } = fresh;
    eprintln!("bench: {failed} of {requests} requests failed; rolls took {roll_seconds:.1?} s");
    let Tally { requests, failed } = kept;
    eprintln!("bench: {failed} of {requests} requests over kept connections failed");
    for ((during, how), count) in failures {
        eprintln!("bench: {during}: {count} × {how}");
    }
}

fn pivot_and_rolls(lab: &Lab, bench: &Bench) -> Result<Outcome> {
    let rendered = Rendered::on(lab, bench)?;
    let probers = start_probers(lab, &rendered.machine)?;
    let mut spans = Vec::new();
    let begin = now();
    rendered.join()?;
    let ended = rendered.start(bench, &[])?.ended;
    wait_ready(&rendered.kubectl, ended)?;
    spans.push(Span { name: "pivot".into(), begin, end: now() });
    for roll in roll::ROLLS {
        roll::settle(&rendered)?;
        let begin = now();
        roll::run(roll, &rendered)?;
        spans.push(Span { name: roll.name.into(), begin, end: now() });
    }
    outcome(probers, spans)
}

fn outcome(probers: Vec<(Connections, Prober)>, spans: Vec<Span>) -> Result<Outcome> {
    let (mut fresh, mut kept, mut samples) = (Tally::default(), Tally::default(), Vec::new());
    let mut failures = Failures::new();
    let mut rate = 0.0;
    for (connections, prober) in probers {
        let (made, Summary { ok, failed, .. }) = prober.finish()?;
        let tally = if connections == Connections::Fresh { &mut fresh } else { &mut kept };
        failed_during(&made, &spans, connections).for_each(|kind| *failures.entry(kind).or_default() += 1);
        *tally = Tally { requests: tally.requests + ok + failed, failed: tally.failed + failed };
        if connections == Connections::Fresh {
            rate += rate_of(&made);
            let first = first_success(&made);
            samples.extend(made.into_iter().filter(|sample| sample.at >= first));
        }
    }
    if rate < f64::from(LEAST_RATE) {
        return Err(Error::Slow { made: rate, wanted: LEAST_RATE });
    }
    let rolls = spans.iter().skip(1);
    let slowest_ms = rolls.clone().map(|roll| slowest_ms(&samples, roll)).fold(0.0, f64::max);
    let roll_seconds = rolls.map(|roll| roll.end - roll.begin).collect();
    Ok(Outcome { fresh, kept, roll_seconds, slowest_ms, session: session(&samples, spans), failures })
}

/// The act and the error of each request that failed.
fn failed_during(
    samples: &[Sample],
    spans: &[Span],
    connections: Connections,
) -> impl Iterator<Item = (String, String)> {
    let first = first_success(samples);
    let failed = samples.iter().filter(move |sample| sample.status != Some(200) && sample.at >= first);
    failed.map(move |Sample { at, status, error, .. }| {
        let span = spans.iter().find(|span| (span.begin..span.end).contains(at));
        let answer = status.map(|status| format!("HTTP {status}")).or(error.clone()).unwrap_or_default();
        (span.map_or("between rolls", |span| &span.name).to_owned(), format!("{connections:?}: {answer}"))
    })
}

/// When the first good answer was complete. Never, if there was none.
fn first_success(samples: &[Sample]) -> f64 {
    let good = samples.iter().filter(|sample| sample.status == Some(200));
    good.map(|sample| sample.at + sample.took).fold(f64::MAX, f64::min)
}

fn rate_of(samples: &[Sample]) -> f64 {
    let first = samples.iter().map(|sample| sample.at).fold(f64::MAX, f64::min);
    let last = samples.iter().map(|sample| sample.at).fold(0.0, f64::max);
    samples.len() as f64 / (last - first).max(1.0)
}

fn slowest_ms(samples: &[Sample], roll: &Span) -> f64 {
    let during = samples.iter().filter(|sample| (roll.begin..roll.end).contains(&sample.at));
    during.map(|sample| sample.took * 1e3).fold(0.0, f64::max)
}

/// Counts from the first answer on, because nothing is promised before it.
fn session(samples: &[Sample], spans: Vec<Span>) -> Session {
    let begun = first_success(samples);
    let since = |span: Span| Span { begin: (span.begin - begun).max(0.0), end: span.end - begun, ..span };
    Session { spans: spans.into_iter().map(since).collect(), slices: slices(samples, begun, SLICE) }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Each machine has both users, over fresh connections and over kept ones; each user speaks both
/// versions of HTTP.
fn start_probers(lab: &Lab, controller: &Machine) -> Result<Vec<(Connections, Prober)>> {
    let admin = identity(lab, controller, "admin")?;
    let scheduler = identity(lab, controller, "scheduler")?;
    let (first, second) = (lab.machine("n1")?, lab.machine("n2")?);
    let clients = [
        (&first, &admin, Connections::Http1),
        (&first, &scheduler, Connections::Http2),
        (&second, &admin, Connections::Http2),
        (&second, &scheduler, Connections::Http1),
    ];
    let mut probers = Vec::new();
    for (number, (machine, kubeconfig, kept)) in clients.into_iter().enumerate() {
        for (connections, rate) in [(Connections::Fresh, FRESH_RATE), (kept, KEPT_RATE)] {
            let options = Options { rate, path: NAMESPACE.into(), connections, ..Options::new(kubeconfig) };
            probers.push((connections, machine.probe(&format!("{number}-{connections:?}"), &options)?));
        }
    }
    Ok(probers)
}

/// A kubeconfig on the host for a user whose certificate was rendered. The scheduler may list
/// nodes, by a ClusterRole.
fn identity(lab: &Lab, controller: &Machine, name: &str) -> Result<std::path::PathBuf> {
    let data = |file: &str| -> Result<String> {
        let pem = controller.read(&format!("{ASSETS}/tls/{file}"))?;
        Ok(base64::engine::general_purpose::STANDARD.encode(pem))
    };
    let server = format!("https://{}:6443", controller.ip());
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")?}}],
        "users": [{"name": name, "user": {
            "client-certificate-data": data(&format!("{name}.crt"))?,
            "client-key-data": data(&format!("{name}.key"))?,
        }}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": name}}],
        "current-context": name,
    });
    let path = lab.folder().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, kubeconfig.to_string()).map_err(Error::file("write", &path))?;
    Ok(path)
}
