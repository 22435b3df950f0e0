//! Mistakes in the user's input. They are collected and reported together.

use std::fmt;

/// A mistake: where it is, the value, what is wrong with it, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Flag (`--api-servers`) or field path (`apiServers[0]`), whichever the user wrote; a file
    /// name where a file is wrong.
    pub field: String,
    /// The offending value, shortened; empty where there is none. Never a secret.
    pub value: String,
    /// What is wrong.
    pub problem: String,
    /// The cure, as an instruction.
    pub cure: String,
}

/// A finding quotes at most this many characters of a value.
const LONGEST: usize = 80;

impl Finding {
    /// A finding of one line, whatever the input: field and value are shortened, and passwords in
    /// URLs are left out.
    pub fn new(field: &str, value: &str, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        let field = if field.is_empty() { "\"\"".into() } else { shorten(field) };
        Self { field, value: shorten(value), problem: problem.into(), cure: cure.into() }
    }
}

/// One line of bounded length, without userinfo. The value is quoted to be recognised, and must not
/// leak a password.
fn shorten(value: &str) -> String {
    let line: String = without_userinfo(value).escape_debug().collect();
    let line = line.replace("\\\"", "\"").replace("\\'", "'");
    match line.char_indices().nth(LONGEST) {
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

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, problem, cure } = self;
        match value.as_str() {
            "" => write!(f, "{field}: {problem}; {cure}"),
            _ => write!(f, "{field}: {value}: {problem}; {cure}"),
        }
    }
}

/// Every mistake that was found, one per line.
#[derive(Debug, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "{}", lines.join("\n"))
    }
}

impl std::error::Error for Findings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_repeated_on_one_short_line() {
        assert_eq!(shorten("a\nb"), "a\\nb");
        assert_eq!(shorten("say \"hi\""), "say \"hi\"");
        assert_eq!(shorten(&"ä".repeat(100)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_key_without_name_is_still_named() {
        assert_eq!(Finding::new("", "", "is odd", "remove it").to_string(), "\"\": is odd; remove it");
    }

    #[test]
    fn passwords_in_urls_are_not_repeated() {
        assert_eq!(shorten("https://root:hunter2@a/x@y"), "https://…@a/x@y");
        assert_eq!(shorten("https://a/x@y"), "https://a/x@y");
    }
}
