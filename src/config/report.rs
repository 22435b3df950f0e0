//! Collects what is wrong while a configuration is read, so that the user hears of every mistake in one go.
//!
//! A value travels with the place it was [`Given`] at, so that a finding names the flag or field its user wrote. Nothing here
//! decides what a mistake is.

use crate::finding::Finding;

/// A value and where the user wrote it: `--pod-cidr`, `podCIDRs[0]`.
#[derive(Clone, Debug)]
pub(super) struct Given<T> {
    pub at: String,
    pub value: T,
}

/// A list whose items know their own places.
pub(super) type List = Given<Vec<Given<String>>>;

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
pub(super) struct Fault {
    pub problem: String,
    pub cure: String,
}

/// Result of reading a single value.
pub(super) type Checked<T> = Result<T, Fault>;

/// A [`Fault`], ready to be returned.
pub(super) fn fault<T>(problem: impl Into<String>, cure: impl Into<String>) -> Checked<T> {
    Err(Fault { problem: problem.into(), cure: cure.into() })
}

/// Everything that was found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub findings: Vec<Finding>,
    pub warnings: Vec<String>,
}

impl Report {
    /// Records a mistake.
    pub fn refuse(&mut self, at: &str, value: &str, problem: impl Into<String>, cure: impl Into<String>) {
        self.findings.push(Finding::new(at, value, problem, cure));
    }

    /// Records something odd that does no harm.
    pub fn warn(&mut self, at: &str, text: impl AsRef<str>) {
        self.warnings.push(format!("{at}: {}", text.as_ref()));
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

    /// Like [`Report::check`], with `default` where nothing was given (and, so that reading goes on, where it was wrong).
    pub fn check_or<T>(
        &mut self,
        given: Option<&Given<String>>,
        default: T,
        parse: impl FnOnce(&str) -> Checked<T>,
    ) -> T {
        given.and_then(|given| self.check(given, parse)).unwrap_or(default)
    }

    /// Reads every item of a list; those at fault become findings and are left out.
    pub fn check_all<T>(
        &mut self,
        items: &[Given<String>],
        parse: impl Fn(&str) -> Checked<T>,
    ) -> Vec<Given<T>> {
        let read = |item: &Given<String>| Some(Given::new(&item.at, self.check(item, &parse)?));
        items.iter().filter_map(read).collect()
    }
}
