//! Many objects through `start` on a self-hosted control plane, against `kubectl apply
//! --server-side` of the same files. They take turns on one machine, each time with new objects in
//! a namespace of their own. Of `start` the phase that applies counts, which also applies the
//! cluster's own objects.

use std::path::Path;
use std::time::Instant;

use lab::cluster::ASSETS;
use serde_json::json;

use super::cluster::{Rendered, Started, wait_ready};
use super::{Bench, median};
use crate::error::{Error, Result};
use crate::results::Results;
use crate::timeline::phases_of_start;

/// What this yields.
pub const NAMES: [&str; 3] = ["apply_1000_objects_per_second", "apply_over_kubectl", "apply_10000_rss_mib"];
const FEW: usize = 1_000;
const MANY: usize = 10_000;
/// The phase of `start` that applies.
const PHASE: &str = "apply objects";
/// kubectl's folder on the machine.
const OBJECTS: &str = "/root/objects";

/// Takes the figures.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    bench.on_machines(1, |lab| {
        let rendered = Rendered::on(lab, bench)?;
        rendered.join()?;
        let ended = rendered.start(bench, &[])?.ended;
        wait_ready(&rendered.kubectl, ended)?;
        race(&rendered, bench, results)?;
        let (_, started) = by_start(&rendered, bench, "many", MANY)?;
        let mut peaks = vec![started.peak_mib];
        for _ in 1..bench.repetitions {
            peaks.push(by_start(&rendered, bench, "many", MANY)?.1.peak_mib);
        }
        results.set("apply_10000_rss_mib", median(peaks)?);
        Ok(())
    })
}

fn race(rendered: &Rendered, bench: &Bench, results: &mut Results) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for repetition in 0..bench.repetitions {
        ours.push(by_start(rendered, bench, &format!("ours-{repetition}"), FEW)?.0);
        theirs.push(by_kubectl(rendered, &format!("theirs-{repetition}"), FEW)?);
        eprintln!("bench: {FEW} objects: start {:.2?} s, kubectl {:.2?} s", ours.last(), theirs.last());
    }
    let (ours, theirs) = (median(ours)?, median(theirs)?);
    results.set("apply_1000_objects_per_second", FEW as f64 / ours);
    results.set("apply_over_kubectl", theirs / ours);
    Ok(())
}

/// Seconds of the phase, and the whole run.
fn by_start(rendered: &Rendered, bench: &Bench, namespace: &str, count: usize) -> Result<(f64, Started)> {
    let folder = format!("{ASSETS}/manifests/bench");
    let begun = Instant::now();
    write_objects(rendered, &folder, namespace, count)?;
    let started = rendered.start(bench, &[])?;
    remove(&rendered.machine.path(&folder))?;
    let phases = phases_of_start(&started.lines, begun);
    let phase = phases.iter().find(|phase| phase.name == PHASE);
    let phase = phase.ok_or_else(|| Error::parse("what start says", format!("no phase is {PHASE:?}")))?;
    Ok((phase.end - phase.begin, started))
}

/// Seconds of the command.
fn by_kubectl(rendered: &Rendered, namespace: &str, count: usize) -> Result<f64> {
    write_objects(rendered, OBJECTS, namespace, count)?;
    let begun = Instant::now();
    rendered.machine.run(&["kubectl", "apply", "--server-side", "-f", OBJECTS])?;
    let seconds = begun.elapsed().as_secs_f64();
    remove(&rendered.machine.path(OBJECTS))?;
    Ok(seconds)
}

/// The namespace, which is made at once if it is not there, and a file for each object.
fn write_objects(rendered: &Rendered, folder: &str, namespace: &str, count: usize) -> Result<()> {
    if rendered.kubectl.run(&["get", "namespace", "--ignore-not-found", "-o", "name", namespace])?.is_empty()
    {
        rendered.kubectl.run(&["create", "namespace", namespace])?;
    }
    let folder = rendered.machine.path(folder);
    std::fs::create_dir_all(&folder).map_err(Error::file("make the folder", &folder))?;
    (0..count).try_for_each(|number| {
        let path = folder.join(format!("{number:05}.json"));
        std::fs::write(&path, object(namespace, number)).map_err(Error::file("write", &path))
    })
}

/// About the size of a small object.
fn object(namespace: &str, number: usize) -> String {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": format!("object-{number:05}"), "namespace": namespace, "labels": {"app": "bench"}},
        "data": {"number": number.to_string(), "text": "a line that is like all others\n".repeat(10)},
    });
    format!("{object:#}\n")
}

fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).map_err(Error::file("remove", folder))
}
