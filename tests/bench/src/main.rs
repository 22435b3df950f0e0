//! Measures the figures that this project promises, in one run on machines of the lab. It writes
//! results.json for programs and docs/benchmarks.md for people. A goal missed is a figure like any
//! other. A measurement that cannot be made fails the run, and is named. Each file under `measure`
//! measures one thing.

mod command;
mod error;
mod figure;
mod host;
mod kube;
mod measure;
mod page;
mod plot;
mod results;
mod timeline;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use error::{Error, Result};
use host::Host;
use measure::Bench;
use results::Results;

/// Measures the figures of docs/benchmarks.md and writes them to target/bench/results.json.
///
/// Needs root, and what `make tools` installs. Without --only the page and its timeline in docs/
/// are written as well.
#[derive(Parser)]
struct Cli {
    /// The binary to measure: static, stripped, as it is shipped
    #[arg(long)]
    bootkube: PathBuf,
    /// Measure these alone
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = figure::names())]
    only: Vec<String>,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(results) if results.is_whole() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { bootkube, only, repetitions }: Cli) -> Result<Results> {
    let bootkube = bootkube.canonicalize().map_err(Error::file("find", &bootkube))?;
    let bench = Bench::new(bootkube, repetitions.into())?;
    let host = Host::detect(&bench)?;
    let mut results = Results::new(&only);
    measure::all(&bench, &mut results);
    results.write(&bench.file("results.json"), &host)?;
    if only.is_empty() {
        page::write(&results, &host)?;
    }
    results.tell();
    Ok(results)
}
