//! A list as it was written, and where.

use serde_json::{Map, Value};

use super::against_each_other;
use super::listed::Listed;
use super::written::Written;
use crate::values::fields::Fields;
use crate::values::mistakes::Mistakes;

const SHAPE: &str = "write a line for each machine: NAME ROLE ADDRESS";

/// The file that `--nodes` names.
#[derive(Clone, Debug)]
pub struct NodesFile {
    /// How messages name it.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// A list.
#[derive(Debug, Default)]
pub struct List {
    /// Where it is; `None` if there is none.
    pub at: Option<String>,
    written: Vec<Written>,
}

impl List {
    /// Its machines, each by itself and then against each other.
    pub fn machines(&self, mistakes: &mut Mistakes) -> Vec<Listed> {
        let listed: Vec<Listed> =
            self.written.iter().map(|written| Listed::read(written, mistakes)).collect();
        against_each_other::check(&listed, mistakes);
        listed
    }

    /// The field `nodes`.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        let written = fields.sections("nodes", Written::read);
        Self { at: (!written.is_empty()).then(|| "nodes".to_owned()), written }
    }

    /// A file of YAML: a list, or a mapping with `nodes` alone.
    pub fn of_document(name: &str, document: Value, mistakes: &mut Mistakes) -> Vec<Written> {
        let entries = match document {
            list @ Value::Array(_) => Map::from_iter([("nodes".to_owned(), list)]),
            Value::Object(entries) => entries,
            _ => {
                mistakes.refuse(name, "", "holds no list", SHAPE);
                return Vec::new();
            }
        };
        Fields::read(String::new(), &entries, mistakes, Self::read).written
    }

    /// The list of a file of its own, which must name a machine. `before` mistakes were found before
    /// it was read.
    pub fn of_file(name: &str, written: Vec<Written>, before: usize, mistakes: &mut Mistakes) -> Self {
        if written.is_empty() && mistakes.findings.len() == before {
            mistakes.refuse(name, "", "names no machine", SHAPE);
        }
        Self { at: Some(name.to_owned()), written }
    }
}
