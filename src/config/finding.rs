//! One mistake in what the user gave us. Mistakes are collected, never thrown one by one.

use std::fmt;

/// A mistake: where, what was there, what is wrong with it, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Flag (`--api-servers`) or field path (`apiServers[0]`), whichever the user wrote; a file name where a file is wrong.
    pub field: String,
    /// The offending value, shortened; empty where there is none. Never a secret.
    pub value: String,
    /// What is wrong.
    pub problem: String,
    /// What to do, as an instruction.
    pub cure: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, problem, cure } = self;
        match value.as_str() {
            "" => write!(f, "{field}: {problem}; {cure}"),
            _ => write!(f, "{field}: {value}: {problem}; {cure}"),
        }
    }
}

/// Every mistake that was found, one a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "{}", lines.join("\n"))
    }
}

impl std::error::Error for Findings {}
