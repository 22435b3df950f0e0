//! What a check found. Plain data.

use crate::finding::without_passwords_in_prose;

/// One thing that keeps the machine from being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// How that is known, or what follows.
    pub why: String,
    /// What to do.
    pub cure: String,
}

impl Problem {
    /// From three sentences without their full stops. Passwords in URLs are left out.
    pub fn new(what: impl Into<String>, why: impl Into<String>, cure: impl Into<String>) -> Self {
        let [what, why, cure] =
            [what.into(), why.into(), cure.into()].map(|text| without_passwords_in_prose(&text));
        Self { what, why, cure }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The machine is fine in this respect.
    Pass(String),
    /// The machine is ready, but something will go wrong later. Stops nothing.
    Warn(Vec<Problem>),
    /// The machine is not ready.
    Fail(Vec<Problem>),
    /// It cannot be seen from here, and why. Stops nothing.
    Unknown(String),
    /// As `Fail`, but the user has asked to ignore this check.
    Ignored(Vec<Problem>),
}

impl Outcome {
    /// A failure for one reason.
    pub(super) fn fail(what: impl Into<String>, why: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Fail(vec![Problem::new(what, why, cure)])
    }

    /// A failure if there are problems.
    pub(super) fn from_problems(problems: Vec<Problem>, otherwise: impl Into<String>) -> Self {
        if problems.is_empty() { Self::Pass(otherwise.into()) } else { Self::Fail(problems) }
    }

    /// A pass with warnings, if there are any.
    pub(super) fn from_warnings(warnings: Vec<Problem>, otherwise: impl Into<String>) -> Self {
        if warnings.is_empty() { Self::Pass(otherwise.into()) } else { Self::Warn(warnings) }
    }

    /// The word for a person. For a program a warning is a pass that has warnings.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Warn(_) => "warning",
            Self::Fail(_) => "fail",
            Self::Unknown(_) => "unknown",
            Self::Ignored(_) => "ignored",
        }
    }

    pub(super) fn problems(&self) -> &[Problem] {
        match self {
            Self::Fail(problems) | Self::Ignored(problems) => problems,
            Self::Pass(_) | Self::Warn(_) | Self::Unknown(_) => &[],
        }
    }

    pub(super) fn warnings(&self) -> &[Problem] {
        match self {
            Self::Warn(warnings) => warnings,
            Self::Pass(_) | Self::Fail(_) | Self::Unknown(_) | Self::Ignored(_) => &[],
        }
    }
}

/// A check and what it found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// What it makes sure of.
    pub about: &'static str,
    /// What it found.
    pub outcome: Outcome,
}
