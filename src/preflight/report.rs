//! What came of the checks, for a person and for a program.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde_json::{Value, json};

use super::CHECKS;

/// Version of the JSON form. Fields may be added without a new one.
const FORMAT: &str = "bootkube.dev/preflight/v1";
/// Ignores every check.
const ALL: &str = "all";

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
    /// From three sentences without their full stops.
    pub fn new(what: impl Into<String>, why: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), cure: cure.into() }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Pass(String),
    /// The machine is not ready.
    Fail(Vec<Problem>),
    /// It cannot be seen from here, and why.
    Unknown(String),
    /// As `Fail`, but the user does not mind.
    Ignored(Vec<Problem>),
}

impl Outcome {
    /// A failure for one reason.
    pub(super) fn fail(what: impl Into<String>, why: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Fail(vec![Problem::new(what, why, cure)])
    }

    /// A failure if there are problems.
    pub(super) fn of(problems: Vec<Problem>, otherwise: impl Into<String>) -> Self {
        if problems.is_empty() { Self::Pass(otherwise.into()) } else { Self::Fail(problems) }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Pass(_) => "pass",
            Self::Fail(_) => "fail",
            Self::Unknown(_) => "unknown",
            Self::Ignored(_) => "ignored",
        }
    }

    fn problems(&self) -> &[Problem] {
        match self {
            Self::Fail(problems) | Self::Ignored(problems) => problems,
            Self::Pass(_) | Self::Unknown(_) => &[],
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

/// Names of checks that stop nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(BTreeSet<String>);

impl Ignored {
    pub(super) fn apply(&self, name: &str, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Fail(problems) if self.0.contains(name) || self.0.contains(ALL) => {
                Outcome::Ignored(problems)
            }
            outcome => outcome,
        }
    }
}

/// One name, as a flag gives it.
impl FromStr for Ignored {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        if name == ALL || CHECKS.iter().any(|check| check.name == name) {
            return Ok(Self(BTreeSet::from([name])));
        }
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).chain([ALL]).collect();
        Err(format!("there is no such check; there are {}", names.join(", ")))
    }
}

impl FromIterator<Ignored> for Ignored {
    fn from_iter<I: IntoIterator<Item = Ignored>>(names: I) -> Self {
        Self(names.into_iter().flat_map(|ignored| ignored.0).collect())
    }
}

/// The checks that failed, as an error.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failed(pub Vec<Check>);

impl Failed {
    /// Whether any of `checks` failed.
    pub fn among(checks: &[Check]) -> Result<(), Self> {
        let is_failed = |check: &&Check| matches!(check.outcome, Outcome::Fail(_));
        let failed: Vec<Check> = checks.iter().filter(is_failed).cloned().collect();
        if failed.is_empty() { Ok(()) } else { Err(Self(failed)) }
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|check| check.name).collect()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "this machine is not ready")?;
        f.write_str(to_text(&self.0).trim_end())
    }
}

/// Every check with what it found, for a person.
pub fn to_text(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { name, about: _, outcome } in checks {
        let head = format!("{:7}  {name:23}", outcome.word());
        // Writing to a string cannot fail.
        let told = match outcome {
            Outcome::Pass(detail) | Outcome::Unknown(detail) => writeln!(text, "{head}  {detail}"),
            Outcome::Fail(problems) | Outcome::Ignored(problems) => {
                write_problems(&mut text, &head, problems)
            }
        };
        debug_assert!(told.is_ok());
    }
    text
}

/// What is worth a line where only failures are shown: checks that saw nothing, and failures that are ignored.
pub fn notes(checks: &[Check]) -> Vec<String> {
    let is_unknown = |check: &&Check| matches!(check.outcome, Outcome::Unknown(_));
    let unknown: Vec<&str> = checks.iter().filter(is_unknown).map(|check| check.name).collect();
    let unknown = (!unknown.is_empty()).then(|| format!("not to be seen from here: {}", unknown.join(", ")));
    let ignored = checks.iter().flat_map(|Check { name, about: _, outcome }| match outcome {
        Outcome::Ignored(problems) => {
            problems.iter().map(|problem| format!("ignored: {name}: {}", problem.what)).collect()
        }
        _ => Vec::new(),
    });
    unknown.into_iter().chain(ignored).collect()
}

fn write_problems(text: &mut String, head: &str, problems: &[Problem]) -> fmt::Result {
    let indent = " ".repeat(11);
    problems.iter().try_for_each(|Problem { what, why, cure }| {
        writeln!(text, "{head}  {what}\n{indent}why: {why}\n{indent}do:  {cure}")
    })
}

/// The same for a program; docs/preflight.md describes it.
pub fn to_json(checks: &[Check]) -> Value {
    let check = |Check { name, about, outcome }: &Check| {
        let detail = match outcome {
            Outcome::Pass(detail) | Outcome::Unknown(detail) => detail.as_str(),
            Outcome::Fail(_) | Outcome::Ignored(_) => "",
        };
        let problems = outcome.problems().iter();
        let problems =
            problems.map(|Problem { what, why, cure }| json!({"what": what, "why": why, "do": cure}));
        json!({
            "name": name,
            "about": about,
            "result": outcome.word(),
            "detail": detail,
            "problems": problems.collect::<Vec<_>>(),
        })
    };
    json!({
        "format": FORMAT,
        "ready": Failed::among(checks).is_ok(),
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        let problem = || vec![Problem::new("the thing is broken", "it says so", "mend it")];
        let check = |name, outcome| Check { name, about: "", outcome };
        vec![
            check("root", Outcome::Pass("runs as root".into())),
            check("clock", Outcome::Unknown("cannot be seen".into())),
            check("etcd", Outcome::Fail(problem())),
            check("ports", Outcome::Ignored(problem())),
        ]
    }

    #[test]
    fn a_failure_has_three_lines_and_the_others_one() {
        let text = to_text(&checks());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2 + 3 + 3);
        assert_eq!(lines[2], "fail     etcd                     the thing is broken");
        assert_eq!(&lines[3..5], ["           why: it says so", "           do:  mend it"]);
    }

    #[test]
    fn only_what_failed_and_is_not_ignored_stops() {
        assert_eq!(Failed::among(&checks()).unwrap_err().names(), ["etcd"]);
        assert_eq!(to_json(&checks())["ready"], false);
        assert_eq!(to_json(&checks()[..2])["ready"], true);
    }

    #[test]
    fn checks_are_ignored_by_name_or_all_together() {
        let fail = || Outcome::fail("a", "b", "c");
        let is_ignored = |names: &[&str], name| {
            let ignored: Ignored = names.iter().map(|name| name.parse::<Ignored>().unwrap()).collect();
            matches!(ignored.apply(name, fail()), Outcome::Ignored(_))
        };
        assert!(is_ignored(&["Clock", "root"], "clock") && is_ignored(&["all"], "etcd"));
        assert!(!is_ignored(&["clock"], "etcd"));
        let error = "nothing".parse::<Ignored>().unwrap_err();
        assert!(error.contains("kubelet-static-pods") && error.contains("all"), "{error}");
    }

    #[test]
    fn every_check_has_a_name_of_its_own_that_fits_its_column() {
        let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
        assert!(CHECKS.iter().all(|check| !check.about.is_empty() && check.name.len() <= 23));
    }
}
