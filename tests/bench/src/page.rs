//! docs/benchmarks.md and its timeline: the figures of one whole run, when they were taken, and on
//! which host.

use std::path::Path;

use crate::error::{Error, Result};
use crate::figure::{Bound, FIGURES, Figure};
use crate::host::Host;
use crate::plot;
use crate::results::Results;

const PAGE: &str = "benchmarks.md";
const TIMELINE: &str = "benchmarks.svg";

/// Writes both, replacing those of the run before.
pub fn write(results: &Results, host: &Host) -> Result<()> {
    let docs = lab::workspace().join("docs");
    write_file(&docs.join(TIMELINE), &plot::draw(&results.timeline)?)?;
    write_file(&docs.join(PAGE), &page(results, host))
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(Error::file("write", path))
}

fn page(results: &Results, host: &Host) -> String {
    let Host { date, processor, cores, memory_mib, kernel, load_before, bootkube, repetitions } = host;
    let rows: String = FIGURES.iter().map(|figure| row(results, figure)).collect();
    let memory = *memory_mib as f64 / 1024.0;
    format!(
        "# Benchmarks\n\n\
         `make bench` measures these figures and writes this page and `target/bench/results.json`. Each\n\
         figure is the median of {repetitions} measurements. Requests are the sum of all, and the slowest\n\
         request is the slowest of all. What is compared was measured in turns, in one run, on one\n\
         machine.\n\n\
         Taken on {date} (UTC) with {bootkube}.\n\n\
         | machine | |\n|---|---|\n\
         | processor | {cores} × {processor} |\n\
         | memory | {memory:.0} GiB |\n\
         | kernel | Linux {kernel} |\n\
         | load average before the run | {load_before:.1}; other work on the machine makes every time longer |\n\n\
         | figure | | measured | | goal | stretch |\n|---|---|---|---|---|---|\n{rows}\n\
         ![Where the time goes]({TIMELINE})\n\n\
         ## How it is measured\n\n{METHOD}"
    )
}

fn row(results: &Results, figure: &Figure) -> String {
    let Figure { name, what, goal, stretch, digits: _ } = figure;
    let bound = |bound: &Option<Bound>| bound.map(|bound| bound.to_string()).unwrap_or_default();
    let verdict = match (goal, results.get(name)) {
        (Some(goal), Some(value)) if goal.is_met_by(value) => "met",
        (Some(_), Some(_)) => "missed",
        _ => "",
    };
    let measured = results.text(figure);
    format!("| `{name}` | {what} | {measured} | {verdict} | {} | {} |\n", bound(goal), bound(stretch))
}

const METHOD: &str = "\
Machines are those of the [lab](../CONTRIBUTING.md#the-lab), new ones for each measurement, with all
images present. The apiserver writes no audit log, as kubeadm's does not. etcd syncs to disk on both
sides.

### `start` and `kubeadm init`

- The two take turns. Both clocks run from the moment before kubelet is started until the command
  has ended and the Node and every pod of etcd, apiserver, controller manager and scheduler are
  Ready.
- `bootkube render` runs before that, and so do kubeadm's phases `certs`, `kubeconfig` and
  `kubelet-start`, which do the same. kubeadm's `preflight` is skipped.
- The startup probes of kubeadm's static pods first ask after ten seconds, so these pods serve long
  before kubelet calls them Ready. `start_over_kubeadm_exit` leaves that out: it compares when the
  commands ended.
- A kubelet that found no API asks for its certificate again 2, 6, 14 and 30 s after its start.
  `start` waits for that unless it may restart kubelet. kubeadm writes the certificate itself.

### Requests

- Two machines ask the API of the first, as an administrator and as a user whom RBAC has to allow.
  They begin before the pivot and end after three rolls of the apiserver by kubectl: a flag, an
  image, a Secret.
- Four clients make a new TLS connection for each request, do not retry, and together make more than
  200 requests a second.
- Four clients are client-go itself, over HTTP/2 and HTTP/1.1, and retry what client-go retries.
- A request counts as failed if it fails after the client's first success.
- A roll lasts from kubectl's call until the new pod alone is there and Ready.

### Objects, memory and time

- `start` applies 1,000 ConfigMaps to a self-hosted cluster, in turns with
  `kubectl apply --server-side`, each time as new objects. Of `start` the phase that applies counts,
  with the cluster's own objects.
- Peak memory is the kernel's figure for the finished process. hyperfine times `render`.
- The agent is watched for two minutes in which nothing happens. Its pod and its copy share the
  pages of the binary, which count twice in `agent_rss_mib`.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_the_goal_is_met_and_what_was_not_measured() {
        let mut results = Results::new(&[]);
        results.set("binary_mib", 20.3);
        results.not_yet("agent_rss_mib");
        let of = |name: &str| {
            let figure = FIGURES.iter().find(|figure| figure.name == name).unwrap();
            row(&results, figure)
        };
        assert!(of("binary_mib").ends_with("| 20.3 | missed | ≤ 20 | ≤ 12 |\n"), "{}", of("binary_mib"));
        assert!(of("agent_rss_mib").ends_with("| not yet |  | ≤ 12 |  |\n"));
        assert!(of("requests").ends_with("| not measured |  |  |  |\n"));
    }
}
