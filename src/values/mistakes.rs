//! Collects the mistakes of a configuration while it is read, so that all of them are reported at
//! once.
//!
//! A value is [`Given`] together with its place, so that a finding can name the flag or field. What
//! counts as a mistake is decided elsewhere.

use crate::finding::Finding;

/// A value and where the user wrote it: `--pod-cidr`, `podCIDRs[0]`.
#[derive(Clone, Debug)]
pub struct Given<T> {
    pub at: String,
    pub value: T,
}

/// A list whose items know their own places.
pub type List = Given<Vec<Given<String>>>;

impl<T> Given<T> {
    pub fn new(at: impl Into<String>, value: T) -> Self {
        Self { at: at.into(), value }
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Given<U> {
        Given { at: self.at, value: change(self.value) }
    }
}

/// What is wrong with a single value, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub problem: String,
    pub cure: String,
}

/// Result of reading a single value.
pub type Checked<T> = Result<T, Fault>;

/// A [`Fault`], ready to be returned.
pub fn fault<T>(problem: impl Into<String>, cure: impl Into<String>) -> Checked<T> {
    Err(Fault { problem: problem.into(), cure: cure.into() })
}

/// Whether `place` names the file `name`.
pub fn is_in(place: &str, name: &str) -> bool {
    place.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// Everything that was found so far.
#[derive(Debug, Default)]
pub struct Mistakes {
    pub findings: Vec<Finding>,
    pub warnings: Vec<String>,
}

impl Mistakes {
    /// Records a mistake.
    pub fn refuse(&mut self, at: &str, value: &str, problem: impl Into<String>, cure: impl Into<String>) {
        self.findings.push(Finding::new(at, value, problem, cure));
    }

    /// Records an oddity that does no harm.
    pub fn warn(&mut self, at: &str, text: impl AsRef<str>) {
        self.warnings.push(format!("{at}: {}", text.as_ref()));
    }

    /// Names the file `name` in every finding and warning about one of its places. Those that are
    /// flags, or name a file already, stay as they are.
    pub fn name_file(&mut self, name: &str, is_of_file: impl Fn(&str) -> bool) {
        let is_field = |place: &str| !place.starts_with("--") && !is_in(place, name) && is_of_file(place);
        for finding in self.findings.iter_mut().filter(|finding| is_field(&finding.field)) {
            finding.field = format!("{name}: {}", finding.field);
        }
        for warning in self.warnings.iter_mut().filter(|warning| is_field(warning)) {
            *warning = format!("{name}: {warning}");
        }
    }

    /// Reads a value with `parse`; a fault becomes a finding at the value's place.
    pub fn check<T>(&mut self, given: &Given<String>, parse: impl FnOnce(&str) -> Checked<T>) -> Option<T> {
        match parse(&given.value) {
            Ok(value) => Some(value),
            Err(Fault { problem, cure }) => {
                self.refuse(&given.at, &given.value, problem, cure);
                None
            }
        }
    }

    /// Like [`Mistakes::check`], with `default` if no value is given, or if it is wrong, so that
    /// reading can go on.
    pub fn check_or<T>(
        &mut self,
        given: Option<&Given<String>>,
        default: T,
        parse: impl FnOnce(&str) -> Checked<T>,
    ) -> T {
        given.and_then(|given| self.check(given, parse)).unwrap_or(default)
    }

    /// Reads every item of a list. Wrong items become findings and are left out.
    pub fn check_all<T>(
        &mut self,
        items: &[Given<String>],
        parse: impl Fn(&str) -> Checked<T>,
    ) -> Vec<Given<T>> {
        let read = |item: &Given<String>| Some(Given::new(&item.at, self.check(item, &parse)?));
        items.iter().filter_map(read).collect()
    }
}
