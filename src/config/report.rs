//! Collects what is wrong while a configuration is read, so that the user hears of every mistake in one go.
//!
//! A value travels with the place it was [`Given`] at, so that a finding names the flag or field its user wrote. Nothing here
//! decides what a mistake is.

use super::Finding;

/// Longest piece of a value that a finding repeats.
const LONGEST_VALUE: usize = 80;

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
        let (problem, cure) = (problem.into(), cure.into());
        self.findings.push(Finding { field: at.into(), value: shorten(value), problem, cure });
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

/// One line of bounded length, without userinfo: a value is repeated to be recognised, and must not leak a password.
fn shorten(value: &str) -> String {
    let line: String = without_userinfo(value).escape_debug().collect();
    let line = line.replace("\\\"", "\"").replace("\\'", "'");
    match line.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// `https://user:password@host/` becomes `https://…@host/`.
fn without_userinfo(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.into() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((userinfo, _)) => format!("{scheme}://…{}", &rest[userinfo.len()..]),
        None => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_repeated_on_one_short_line() {
        assert_eq!(shorten("a\nb"), "a\\nb");
        assert_eq!(shorten("say \"hi\""), "say \"hi\"");
        assert_eq!(shorten(&"ä".repeat(100)).chars().count(), LONGEST_VALUE + 1);
    }

    #[test]
    fn passwords_in_urls_are_not_repeated() {
        assert_eq!(shorten("https://root:hunter2@a/x@y"), "https://…@a/x@y");
        assert_eq!(shorten("https://a/x@y"), "https://a/x@y");
    }
}
