//! What came of a smoke test, for a person and for a program.

use serde_json::{Value, json};

/// Version of the JSON form. Fields may be added without a new one.
const FORMAT: &str = "bootkube.dev/smoke-test/v1";

/// One step, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name, stable for programs.
    pub name: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works; what was seen.
    Pass(String),
    /// It does not.
    Fail {
        /// What was seen.
        why: String,
        /// What to do about it.
        cure: &'static str,
    },
    /// It was not tried; why.
    Skip(String),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail { .. } => "FAIL",
            Self::Skip(_) => "skip",
        }
    }
}

impl Step {
    /// Whether it passed.
    pub fn is_well(&self) -> bool {
        matches!(self.outcome, Outcome::Pass(_))
    }

    /// A line for a person, or two.
    pub fn to_text(&self) -> String {
        let head = format!("{:4}  {:13}", self.outcome.word(), self.name);
        match &self.outcome {
            Outcome::Pass(found) | Outcome::Skip(found) => format!("{head}  {found}\n"),
            Outcome::Fail { why, cure } => format!("{head}  {why}\n{:19}  do: {cure}\n", ""),
        }
    }

    fn to_json(&self) -> Value {
        let Self { name, outcome } = self;
        let word = outcome.word().to_lowercase();
        match outcome {
            Outcome::Pass(found) | Outcome::Skip(found) => {
                json!({"name": name, "outcome": word, "detail": found})
            }
            Outcome::Fail { why, cure } => {
                json!({"name": name, "outcome": word, "detail": why, "cure": cure})
            }
        }
    }
}

/// All steps, for a program.
pub fn to_json(steps: &[Step]) -> Value {
    let passed = steps.iter().all(Step::is_well);
    json!({"format": FORMAT, "passed": passed, "steps": steps.iter().map(Step::to_json).collect::<Vec<_>>()})
}
