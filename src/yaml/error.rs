//! What is wrong in a YAML file, and where.

use std::fmt;

/// What is wrong in a file, and where. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct Error {
    /// The file, as the caller named it.
    pub file: String,
    /// Line of the offending text.
    pub line: usize,
    /// Column of the offending text.
    pub column: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Kinds of mistake in a YAML file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A mapping has this key twice.
    DuplicateKey(String),
    /// Any other mistake, as text.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateKey(key) => write!(f, "the key `{key}` is given twice"),
            Self::Other(text) => f.write_str(text),
        }
    }
}
