//! What was measured, and what could not be measured.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::figure::{FIGURES, Figure};
use crate::host::Host;
use crate::timeline::Timeline;

/// The figures of one run.
#[derive(Debug, Default)]
pub struct Results {
    /// Names asked for; empty for all.
    only: Vec<String>,
    /// `None` for what bootkube does not have yet.
    values: BTreeMap<&'static str, Option<f64>>,
    /// Names that could not be measured, and why.
    failures: Vec<(Vec<&'static str>, Error)>,
    /// What happened when.
    pub timeline: Timeline,
}

impl Results {
    /// None yet.
    pub fn new(only: &[String]) -> Self {
        Self { only: only.to_vec(), ..Self::default() }
    }

    /// Whether this figure is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Keeps a figure.
    pub fn set(&mut self, name: &'static str, value: f64) {
        self.values.insert(name, Some(value));
    }

    /// Notes a figure that does not exist yet.
    pub fn not_yet(&mut self, name: &'static str) {
        self.values.insert(name, None);
    }

    /// Notes why figures could not be measured.
    pub fn fail(&mut self, names: &[&'static str], error: Error) {
        let names: Vec<_> = names.iter().copied().filter(|name| self.wants(name)).collect();
        eprintln!("bench: not measured: {}: {error}", names.join(", "));
        self.failures.push((names, error));
    }

    /// Whether every measurement asked for was made.
    pub fn is_whole(&self) -> bool {
        self.failures.is_empty()
    }

    /// A figure, if it was measured.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied().flatten()
    }

    /// A figure as the page shows it.
    pub fn text(&self, figure: &Figure) -> String {
        match self.values.get(figure.name) {
            Some(Some(value)) => format!("{value:.*}", figure.digits),
            Some(None) => "not yet".into(),
            None => "not measured".into(),
        }
    }

    /// The figures asked for, in order.
    fn figures(&self) -> impl Iterator<Item = &'static Figure> {
        FIGURES.iter().filter(|figure| self.wants(figure.name))
    }

    /// Writes all figures as a flat map. A figure that was not measured is null.
    pub fn write(&self, path: &Path, host: &Host) -> Result<()> {
        let mut all: Map<String, Value> = host.as_json();
        all.extend(self.figures().map(|figure| (figure.name.to_owned(), json!(self.get(figure.name)))));
        std::fs::write(path, format!("{:#}\n", Value::Object(all))).map_err(Error::file("write", path))
    }

    /// Prints every figure, its goal, and what is missing.
    pub fn tell(&self) {
        for figure in self.figures() {
            let goal = figure.goal.map(|goal| format!(" (goal {goal})")).unwrap_or_default();
            println!("{} {}{goal}", figure.name, self.text(figure));
        }
        for (names, error) in &self.failures {
            println!("not measured: {}: {error}", names.join(", "));
        }
    }
}
