//! What will go wrong with objects in a cluster, or may, before they are sent to one.
//!
//! Neither a machine nor a cluster is looked at. Every rule is a pure function of the objects.
//!
//! docs/lint.md lists the rules.

mod annotations;
mod definitions;
mod dns;
mod finding;
mod helm;
mod labels;
mod ports;
mod read;
mod readiness;
mod text;
mod webhooks;
mod workload;

use std::path::Path;

use serde_json::{Value, json};

use crate::assets::load::Layout;
use crate::assets::object::Object;
use crate::assets::size;
use crate::finding::Findings;
use crate::limits::table::{DATA, STORED};
pub use finding::{Finding, Rule};
use read::Input;

/// Version of the JSON form. Fields may be added without a new one.
const FORMAT: &str = "bootkube.dev/lint/v1";

/// What was found in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many objects were looked at.
    pub objects: usize,
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
}

/// Lints an asset directory, any other directory of manifests, or a file.
///
/// # Errors
/// What cannot be read or parsed.
pub fn lint(path: &Path) -> Result<Report, Findings> {
    let mut input = read::read(path)?;
    let mut findings = std::mem::take(&mut input.findings);
    findings.extend(rules(&input));
    findings.sort();
    findings.dedup();
    Ok(Report { objects: input.objects.len(), findings })
}

fn rules(input: &Input) -> Vec<Finding> {
    let objects = &input.objects;
    let found = [
        told_at_start(objects),
        webhooks::find(objects),
        definitions::find(objects),
        ports::find(input),
        helm::policies_and_templates(objects),
    ];
    found.into_iter().flatten().collect()
}

/// What `start` says before it begins: objects of these kinds are accepted, and break later.
fn told_at_start(objects: &[Object]) -> Vec<Finding> {
    let found = [
        readiness::find(objects),
        annotations::find(objects),
        helm::hooks(objects),
        nearly_too_large(objects),
    ];
    found.into_iter().flatten().collect()
}

/// The warnings of a directory that `start` loaded, and what [`lint`] would say that matters to it.
pub fn warnings(layout: &Layout) -> Vec<String> {
    let found = told_at_start(&layout.objects);
    layout.warnings.iter().cloned().chain(found.iter().map(Finding::to_warning)).collect()
}

/// The API adds to an object what it needs itself, so one that is near the limit may be too large.
fn nearly_too_large(objects: &[Object]) -> Vec<Finding> {
    let large = objects
        .iter()
        .filter(|object| !size::is_data(&object.value) && size::sent(&object.value) > DATA.bytes);
    let finding = |object| {
        let (sent, limit) = (size::sent(object), STORED);
        let reason = format!(
            "it has {sent} bytes; etcd takes {} ({}), and the API adds to them",
            limit.bytes, limit.shown
        );
        (reason, "split it, or shorten its texts")
    };
    large
        .map(|object| {
            let (reason, cure) = finding(&object.value);
            Finding::new(Rule::TooLarge, object, "", reason, cure)
        })
        .collect()
}

impl Report {
    /// For a person: one line for each finding.
    pub fn to_text(&self) -> String {
        let Self { objects, findings } = self;
        let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
        let count = |number: usize, thing| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
        format!("{lines}{}, {}\n", count(*objects, "object"), count(findings.len(), "finding"))
    }

    /// For a program; docs/lint.md describes it.
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
        json!({"format": FORMAT, "objects": self.objects, "findings": findings})
    }
}
