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
    /// URLs are left out. Problem and cure often repeat a value: they are cleaned, too.
    pub fn new(field: &str, value: &str, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        let field = if field.is_empty() { "\"\"".into() } else { shorten(field) };
        let problem = one_line(&without_passwords(&problem.into()));
        // A URL in the cure is what the user is to write.
        let cure = one_line(&without_userinfo(&cure.into(), ""));
        Self { field, value: shorten(value), problem, cure }
    }
}

/// One line of bounded length, without userinfo. The value is quoted to be recognised, and must not
/// leak a password.
fn shorten(value: &str) -> String {
    let line: String = without_passwords(value).escape_debug().collect();
    let line = line.replace("\\\"", "\"").replace("\\'", "'");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// `text` without the names and passwords in its URLs.
pub fn without_passwords(text: &str) -> String {
    without_userinfo(text, "…@")
}

/// The same in prose, where userinfo ends at a space or a quote: an `@` further on belongs to
/// something else, such as a version of a module.
pub fn without_passwords_in_prose(text: &str) -> String {
    text.split_inclusive([' ', '"', '\'', '`']).map(without_passwords).collect()
}

/// `https://user:password@host/` becomes `https://…@host/` where `instead` is `…@`, in every URL of
/// `text`. A password may hold a space, so a URL does not end at one. It may also hold a `/` that
/// should have been escaped: then a colon stands in front of that.
fn without_userinfo(text: &str, instead: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.split(['/', '?', '#']).next().unwrap_or_default();
        let before = if authority.contains(':') { part } else { authority };
        clean.push_str("://");
        match before.rsplit_once('@') {
            Some((userinfo, _)) => {
                clean.push_str(instead);
                clean.push_str(&part[userinfo.len() + 1..]);
            }
            None => clean.push_str(part),
        }
    }
    clean
}

fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
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
        assert_eq!(shorten("https://root:hunter2@a/x"), "https://…@a/x");
        assert_eq!(shorten("https://root@a/x@y"), "https://…@a/x@y");
        assert_eq!(shorten("https://a/x@y"), "https://a/x@y");
        for password in ["hunter/2", "hun?ter2", "#2", "12/34", "a@/b", "/"] {
            assert_eq!(
                shorten(&format!("https://root:{password}@a:6443/")),
                "https://…@a:6443/",
                "{password}"
            );
        }
        let finding = Finding::new(
            "f",
            "",
            "is https://root:hunter2@a, not http://me@b/",
            "write https://root:hunter2@a:6443, or https://c",
        );
        assert_eq!(finding.problem, "is https://…@a, not http://…@b/");
        assert_eq!(finding.cure, "write https://a:6443, or https://c");
    }

    #[test]
    fn problem_and_cure_are_one_line_of_any_length() {
        let long = "ä".repeat(100);
        let finding = Finding::new("f", "", format!("is \"a\nb\" {long}"), "write \u{1b}[1m");
        assert_eq!(finding.problem, format!("is \"a\\nb\" {long}"));
        assert_eq!(finding.cure, "write \\u{1b}[1m");
    }
}
