//! Checks whose failure the user has asked to ignore.

use std::collections::BTreeSet;

use super::outcome::Outcome;

/// Ignores every check.
pub(super) const ALL: &str = "all";

/// Names of checks that stop nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(BTreeSet<String>);

impl Ignored {
    /// The check called `name`, or [`ALL`].
    pub(super) fn named(name: String) -> Self {
        Self(BTreeSet::from([name]))
    }

    pub(super) fn apply(&self, name: &str, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Fail(problems) if self.0.contains(name) || self.0.contains(ALL) => {
                Outcome::Ignored(problems)
            }
            outcome => outcome,
        }
    }
}

impl FromIterator<Ignored> for Ignored {
    fn from_iter<I: IntoIterator<Item = Ignored>>(names: I) -> Self {
        Self(names.into_iter().flat_map(|ignored| ignored.0).collect())
    }
}
