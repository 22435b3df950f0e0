//! docs/benchmarks.md and its timeline: the figures of one whole run, with when and on what they were taken.

use std::path::Path;

use crate::error::{Error, Result};
use crate::figure::{Bound, FIGURES, Figure};
use crate::host::Host;
use crate::plot;
use crate::results::Results;

const PAGE: &str = "benchmarks.md";
const TIMELINE: &str = "benchmarks.svg";

/// Writes both, in place of those of the run before.
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
         `make bench` measures what is below and writes this page and `target/bench/results.json`. Each figure is the median of\n\
         {repetitions} measurements, but requests are summed and the slowest one is the slowest of all. Whatever is compared was measured in\n\
         turns, in the same run, on the same machine.\n\n\
         Taken on {date} (UTC) with {bootkube}: {cores} × {processor}, {memory:.0} GiB of memory, Linux {kernel}, load average before\n\
         the run {load_before:.1} (others at work make every time longer).\n\n\
         | figure | | goal | stretch | measured | |\n|---|---|---|---|---|---|\n{rows}\n\
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
    format!("| `{name}` | {what} | {} | {} | {measured} | {verdict} |\n", bound(goal), bound(stretch))
}

const METHOD: &str = "\
- Machines are those of the [lab](../CONTRIBUTING.md#the-lab), new ones for each measurement, with all images present. The apiserver writes no
  audit log, as kubeadm's does not; etcd syncs to disk on both sides.
- `start` and `kubeadm init` take turns. Both clocks run from the moment before kubelet is started until the command has ended and
  the Node and every pod of etcd, apiserver, controller manager and scheduler are Ready. What `bootkube render` does before that,
  kubeadm's phases `certs`, `kubeconfig` and `kubelet-start` do before it as well; `preflight` is skipped. kubeadm's static pods have
  startup probes that first ask after ten seconds, so they serve long before kubelet calls them Ready: `start_over_kubeadm_exit`
  leaves that out and compares when the commands ended. A kubelet that found no API asks for its certificate again 2, 6, 14 and 30 s
  after its start; `start` waits for that where it may not restart kubelet, and kubeadm writes the certificate itself.
- Under load two machines ask the API of the first, as administrator and as a user whom RBAC has to allow: four clients with a new TLS
  connection for each request and no second try, together more than 200 a second, and four that are client-go itself, over
  HTTP/2 and HTTP/1.1, and try again what client-go tries again. They ask from before the pivot until after three rolls of the
  apiserver by kubectl: a flag, an image, a Secret. A request that fails after the client's first success has failed.
- A roll lasts from kubectl's call until the new pod alone is there and Ready.
- 1,000 ConfigMaps are applied by `start` on a machine that runs itself (the phase that applies, the cluster's own objects with them) and by
  `kubectl apply --server-side`, in turns, each time as new objects.
- Peak memory is the kernel's figure for the finished process. `render` is timed by hyperfine.
- The agent is watched for two minutes in which nothing happens. Its pod and its copy share the pages of the binary, which are counted
  twice in `agent_rss_mib`.
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
        assert!(of("binary_mib").ends_with("| ≤ 20 | ≤ 12 | 20.3 | missed |\n"), "{}", of("binary_mib"));
        assert!(of("agent_rss_mib").ends_with("| ≤ 12 |  | not yet |  |\n"));
        assert!(of("requests").ends_with("|  |  | not measured |  |\n"));
    }
}
