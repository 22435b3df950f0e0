//! The measurements. Each yields several figures, and makes its own machines, so that it does not
//! depend on what another one left.

mod agent;
mod apply;
mod cluster;
mod overhead;
mod race;
mod render;
mod roll;
mod size;
mod unnoticed;

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{Guard, Lab};

use crate::error::{Error, Result};
use crate::results::Results;

/// What every measurement needs.
#[derive(Clone, Debug)]
pub struct Bench {
    binary: PathBuf,
    folder: PathBuf,
    /// How often each figure is taken.
    pub repetitions: usize,
}

impl Bench {
    /// Measures in target/bench.
    pub fn new(binary: PathBuf, repetitions: usize) -> Result<Self> {
        let folder = lab::workspace().join("target/bench");
        std::fs::create_dir_all(&folder).map_err(Error::file("make the folder", &folder))?;
        Ok(Self { binary, folder, repetitions })
    }

    /// Path of a file that a run leaves.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The binary as a command on this host.
    pub fn bootkube(&self) -> Command {
        Command::new(&self.binary)
    }

    /// Runs `work` on new machines, which are removed afterwards. If it fails, their state is
    /// dumped to target/bench/dump.
    fn on_machines<T>(&self, count: usize, work: impl FnOnce(&Lab) -> Result<T>) -> Result<T> {
        let lab = Guard::up("bench", count)?;
        let done = work(&lab);
        if done.is_err() {
            lab.dump(&self.file("dump"))?;
        }
        done
    }
}

/// One measurement: the figures it yields, and how.
struct Measurement {
    names: &'static [&'static str],
    measure: fn(&Bench, &mut Results) -> Result<()>,
}

const MEASUREMENTS: [Measurement; 7] = [
    Measurement { names: &size::NAMES, measure: size::measure },
    Measurement { names: &render::NAMES, measure: render::measure },
    Measurement { names: &race::NAMES, measure: race::measure },
    Measurement { names: &overhead::NAMES, measure: overhead::measure },
    Measurement { names: &apply::NAMES, measure: apply::measure },
    Measurement { names: &agent::NAMES, measure: agent::measure },
    Measurement { names: &unnoticed::NAMES, measure: unnoticed::measure },
];

/// Runs the measurements that are wanted. One that fails does not stop the others.
pub fn all(bench: &Bench, results: &mut Results) {
    for Measurement { names, measure } in MEASUREMENTS {
        if !names.iter().any(|name| results.wants(name)) {
            continue;
        }
        eprintln!("bench: measuring {}", names.join(", "));
        if let Err(error) = measure(bench, results) {
            results.fail(names, error);
        }
    }
}

/// The middle one, or the mean of the two in the middle.
fn median(values: impl IntoIterator<Item = f64>) -> Result<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => Err(Error::parse("a median", "nothing was measured")),
        odd if odd.len() % 2 == 1 => Ok(odd[middle]),
        even => Ok(f64::midpoint(even[middle - 1], even[middle])),
    }
}

/// The run whose value is nearest to the median, to be shown.
fn typical<T>(runs: Vec<T>, value: impl Fn(&T) -> f64) -> Option<T> {
    let middle = median(runs.iter().map(&value)).ok()?;
    let distance = |run: &T| (value(run) - middle).abs();
    runs.into_iter().min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median([4.0, 1.0, 9.0]).unwrap(), 4.0);
        assert_eq!(median([4.0, 1.0, 9.0, 6.0]).unwrap(), 5.0);
        assert!(median([]).is_err());
        assert_eq!(typical(vec![1.0, 7.0, 4.5], |value| *value), Some(4.5));
    }

    #[test]
    fn every_figure_is_yielded_by_one_measurement() {
        let mut yielded: Vec<_> = MEASUREMENTS.iter().flat_map(|measurement| measurement.names).collect();
        let mut promised: Vec<_> = crate::figure::FIGURES.iter().map(|figure| &figure.name).collect();
        yielded.sort();
        promised.sort();
        assert_eq!(yielded, promised);
    }
}
