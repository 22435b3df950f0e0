//! `render` of a one-machine cluster into a new directory, timed by hyperfine.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Bench;
use crate::command::run;
use crate::error::{Error, Result};
use crate::results::Results;

/// What this yields.
pub const NAMES: [&str; 2] = ["render_seconds_ecdsa", "render_seconds_rsa2048"];
const ALGORITHMS: [&str; 2] = ["ecdsa-p256", "rsa-2048"];
/// It is short enough for more than the repetitions of a pivot.
const RUNS_PER_REPETITION: usize = 4;

/// Takes the figures.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    for (name, algorithm) in NAMES.into_iter().zip(ALGORITHMS) {
        results.set(name, seconds(bench, algorithm)?);
    }
    Ok(())
}

fn seconds(bench: &Bench, algorithm: &str) -> Result<f64> {
    let config = bench.file("render.yaml");
    let export = bench.file("hyperfine.json");
    let assets = bench.file("assets");
    write(
        &config,
        &json!({
            "apiVersion": "bootkube.dev/v1alpha1",
            "kind": "ClusterConfig",
            "apiServers": ["https://192.0.2.10:6443"],
            "etcd": {"mode": "staticPod"},
            "certificates": {"keyAlgorithm": algorithm},
        }),
    )?;
    let render = ["render", "--config", &text(&config), "--asset-dir", &text(&assets)].join(" ");
    let mut hyperfine = Command::new("hyperfine");
    hyperfine.args(["--shell=none", "--style=none", "--warmup=1"]);
    hyperfine.arg(format!("--runs={}", (bench.repetitions * RUNS_PER_REPETITION).max(2)));
    hyperfine.arg(format!("--prepare=rm -rf {}", assets.display()));
    hyperfine.arg("--export-json").arg(&export).arg(format!("{} {render}", bench.binary().display()));
    run(&mut hyperfine)?;
    std::fs::remove_dir_all(&assets).map_err(Error::file("remove", &assets))?;
    median_of(&export)
}

fn median_of(export: &Path) -> Result<f64> {
    let bytes = std::fs::read(export).map_err(Error::file("read", export))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| Error::parse(text(export), error))?;
    value["results"][0]["median"].as_f64().ok_or_else(|| Error::parse(text(export), "it has no median"))
}

fn write(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, value.to_string()).map_err(Error::file("write", path))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
