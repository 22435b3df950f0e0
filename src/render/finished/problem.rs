//! What is known of a finished object, and what can be wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Component, ComponentConfig};

/// Names of the files in rendered Secrets and ConfigMaps, by kind and name.
pub type Contents = BTreeMap<(&'static str, String), BTreeSet<String>>;

/// The part of an object that has a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Object,
    Flag(String),
    VolumeName(String),
    MountPath(String),
}

/// Why an object cannot do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub part: Part,
    pub value: String,
    pub problem: String,
    pub cure: String,
}

impl Problem {
    /// A problem of `part`, whose wrong value is quoted.
    pub fn new(part: Part, value: &str, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { part, value: value.to_owned(), problem: problem.into(), cure: cure.into() }
    }
}

/// What is known of an object beside its content.
pub struct Subject<'s> {
    pub component: Component,
    pub changes: &'s ComponentConfig,
    pub contents: &'s Contents,
    /// Whether the image is of the user's making, whose files are not known here.
    pub has_own_image: bool,
}
