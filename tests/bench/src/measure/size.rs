//! The binary as it is shipped.

use super::Bench;
use crate::error::{Error, Result};
use crate::results::Results;

/// What this yields.
pub const NAMES: [&str; 1] = ["binary_mib"];

/// Takes the figure.
pub fn measure(bench: &Bench, results: &mut Results) -> Result<()> {
    let binary = bench.binary();
    let bytes = std::fs::metadata(binary).map_err(Error::file("measure", binary))?.len();
    results.set("binary_mib", bytes as f64 / f64::from(1 << 20));
    Ok(())
}
