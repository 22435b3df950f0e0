//! How soon `start` acts after a change that it waited for, by its own report. It has machines of
//! its own, because the other figures are those of a `start` without a report.

use lab::Machine;
use serde_json::Value;

use super::cluster::Rendered;
use super::{Bench, median};
use crate::command::run;
use crate::error::{Error, Result};
use crate::results::Results;

/// What this yields.
pub const NAMES: [&str; 1] = ["transition_overhead_ms"];
/// Where `start --report` writes, on the machine.
const FOLDER: &str = "/root/report";
/// In its report.json: the 95th percentile of the times from a change in the world to the next act,
/// in milliseconds.
const FIGURE: &str = "/figures/transition_overhead_ms";

/// Takes the figure, from a binary that can report.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let help = run(bench.bootkube().args(["start", "--help"]))?;
    if !help.contains("--report") {
        results.not_yet(NAMES[0]);
        return Ok(());
    }
    let mut overheads = Vec::new();
    for _ in 0..bench.repetitions {
        overheads.push(bench.on_machines(1, |lab| {
            let rendered = Rendered::on(lab, bench)?;
            rendered.join()?;
            rendered.start(bench, &["--report", FOLDER])?;
            from_report(&rendered.machine)
        })?);
    }
    results.set(NAMES[0], median(overheads)?);
    Ok(())
}

fn from_report(machine: &Machine) -> Result<f64> {
    let bytes = machine.read(&format!("{FOLDER}/report.json"))?;
    let report: Value = serde_json::from_slice(&bytes).map_err(|error| Error::parse("report.json", error))?;
    let figure = report.pointer(FIGURE).and_then(Value::as_f64);
    figure.ok_or_else(|| Error::parse("report.json", format!("it has no {FIGURE}")))
}
