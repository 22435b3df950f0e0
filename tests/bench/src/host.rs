//! When and on what machine the figures were measured.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::command;
use crate::error::{Error, Result};
use crate::measure::Bench;

/// This machine, today.
#[derive(Debug)]
pub struct Host {
    /// The day, in UTC.
    pub date: String,
    /// The processor's model.
    pub processor: String,
    /// How many of its threads this process may use.
    pub cores: usize,
    /// All memory, in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Load average of the last minute before the measurements: what else the host did.
    pub load_before: f64,
    /// Version of the binary.
    pub bootkube: String,
    /// How often each figure was measured.
    pub repetitions: usize,
}

impl Host {
    /// Looks at the host.
    pub fn detect(bench: &Bench) -> Result<Self> {
        let day = OffsetDateTime::now_utc().format(format_description!("[year]-[month]-[day]"));
        let cores = std::thread::available_parallelism().map_err(Error::file("count", "the processors"))?;
        let version = command::run(bench.bootkube().arg("--version"))?;
        Ok(Self {
            date: day.map_err(|error| Error::parse("the clock", error))?,
            processor: field("/proc/cpuinfo", "model name")?,
            cores: cores.get(),
            memory_mib: kibibytes("/proc/meminfo", "MemTotal")? / 1024,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            load_before: load()?,
            bootkube: version.lines().next().unwrap_or_default().to_owned(),
            repetitions: bench.repetitions,
        })
    }

    /// Flat, as results.json is.
    pub fn as_json(&self) -> Map<String, Value> {
        let Self { date, processor, cores, memory_mib, kernel, load_before, bootkube, repetitions } = self;
        let fields = [
            ("date", json!(date)),
            ("processor", json!(processor)),
            ("cores", json!(cores)),
            ("memory_mib", json!(memory_mib)),
            ("kernel", json!(kernel)),
            ("load_before", json!(load_before)),
            ("bootkube", json!(bootkube)),
            ("repetitions", json!(repetitions)),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }
}

fn load() -> Result<f64> {
    let file = "/proc/loadavg";
    let text = std::fs::read_to_string(file).map_err(Error::file("read", file))?;
    let first = text.split(' ').next().unwrap_or_default().parse();
    first.map_err(|error| Error::parse(file, error))
}

/// A figure in KiB of a file in /proc.
pub fn kibibytes(file: &str, name: &str) -> Result<u64> {
    let text = field(file, name)?;
    let number = text.trim_end_matches("kB").trim().parse();
    number.map_err(|error| Error::parse(format!("{name} in {file}"), error))
}

/// What follows `name:` in a file of /proc.
fn field(file: &str, name: &str) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(Error::file("read", file))?;
    let named = |line: &str| {
        line.split_once(':').filter(|(key, _)| key.trim() == name).map(|(_, v)| v.trim().to_owned())
    };
    text.lines().find_map(named).ok_or_else(|| Error::parse(file, format!("it has no {name}")))
}
