//! What came of the checks, for a person and for a program.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::outcome::{Check, Outcome, Problem};

/// Version of the JSON form. Fields may be added without a new one.
const FORMAT: &str = "bootkube.dev/preflight/v1";

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
        let written = match outcome {
            Outcome::Pass(detail) | Outcome::Unknown(detail) => writeln!(text, "{head}  {detail}"),
            Outcome::Warn(problems) | Outcome::Fail(problems) | Outcome::Ignored(problems) => {
                write_problems(&mut text, &head, problems)
            }
        };
        debug_assert!(written.is_ok());
    }
    text
}

/// Lines for `start`, which otherwise shows only failures: unknown results, and failures that are
/// ignored.
pub fn notes(checks: &[Check]) -> Vec<String> {
    let is_unknown = |check: &&Check| matches!(check.outcome, Outcome::Unknown(_));
    let unknown: Vec<&str> = checks.iter().filter(is_unknown).map(|check| check.name).collect();
    let unknown = (!unknown.is_empty()).then(|| format!("cannot be seen from here: {}", unknown.join(", ")));
    let ignored = checks.iter().flat_map(|Check { name, about: _, outcome }| match outcome {
        Outcome::Ignored(problems) => {
            problems.iter().map(|problem| format!("ignored: {name}: {}", problem.what)).collect()
        }
        _ => Vec::new(),
    });
    unknown.into_iter().chain(ignored).collect()
}

/// Lines for `start` about what will go wrong later.
pub fn warnings(checks: &[Check]) -> Vec<String> {
    let of = |check: &Check| {
        let line = |warning: &Problem| format!("{}: {}; {}", check.name, warning.what, warning.cure);
        check.outcome.warnings().iter().map(line).collect::<Vec<_>>()
    };
    checks.iter().flat_map(of).collect()
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
            Outcome::Warn(_) | Outcome::Fail(_) | Outcome::Ignored(_) => "",
        };
        let result = if outcome.warnings().is_empty() { outcome.word() } else { "pass" };
        json!({
            "name": name,
            "about": about,
            "result": result,
            "detail": detail,
            "problems": outcome.problems().iter().map(to_object).collect::<Vec<_>>(),
            "warnings": outcome.warnings().iter().map(to_object).collect::<Vec<_>>(),
        })
    };
    json!({
        "format": FORMAT,
        "ready": Failed::among(checks).is_ok(),
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn to_object(Problem { what, why, cure }: &Problem) -> Value {
    json!({"what": what, "why": why, "do": cure})
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
    fn a_warning_stops_nothing_and_is_a_pass_for_programs() {
        let warning = Problem::new("the thing will break", "it says so", "mend it");
        let checks = [Check { name: "clock", about: "", outcome: Outcome::Warn(vec![warning]) }];
        assert!(to_text(&checks).starts_with("warning  clock                    the thing will break\n"));
        let json = to_json(&checks);
        assert_eq!((&json["ready"], &json["checks"][0]["result"]), (&true.into(), &"pass".into()));
        assert_eq!(json["checks"][0]["warnings"][0]["do"], "mend it");
        assert_eq!(warnings(&checks), ["clock: the thing will break; mend it"]);
        assert_eq!(notes(&checks), [] as [&str; 0]);
    }

    #[test]
    fn only_what_failed_and_is_not_ignored_stops() {
        assert_eq!(Failed::among(&checks()).unwrap_err().names(), ["etcd"]);
        assert_eq!(to_json(&checks())["ready"], false);
        assert_eq!(to_json(&checks()[..2])["ready"], true);
    }
}
