//! The query of `render --output json`: the protocol of Terraform's external data source, a JSON
//! object of texts on stdin.
//!
//! `config` is the text of a configuration file; every other key is a rendered path whose content
//! is to be reused, so that the output of one run can be the input of the next. Contents are
//! secrets and never repeated in messages.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::finding::{Finding, Findings};

/// The top-level folders of rendered paths.
const FOLDERS: [&str; 6] =
    ["auth", "bootstrap-manifests", "controller-manifests", "manifests", "nodes", "tls"];

/// A query.
#[derive(Default, PartialEq, Eq)]
pub struct Query {
    /// Text of a configuration file.
    pub config: Option<String>,
    /// Rendered path to content that is to be reused.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Reads a query. Blank text is an empty query.
///
/// # Errors
/// Every mistake, each naming its key.
pub fn parse(text: &str) -> Result<Query, Findings> {
    let mut query = Query::default();
    if text.trim().is_empty() {
        return Ok(query);
    }
    let cure = "write one JSON object of texts, such as {\"config\": \"…\"}";
    let entries = match serde_json::from_str(text) {
        Ok(Value::Object(entries)) => entries,
        Ok(_) => return Err(Findings(vec![mistake("stdin", "is not a JSON object", cure)])),
        Err(error) => return Err(Findings(vec![mistake("stdin", &format!("is not JSON: {error}"), cure)])),
    };
    let mut findings = Vec::new();
    for (key, value) in entries {
        match (value, key.as_str()) {
            (Value::String(text), "config") => query.config = Some(text).filter(|text| !text.is_empty()),
            (Value::String(text), path) if is_rendered_path(path) => {
                query.files.insert(key, text.into_bytes());
            }
            (_, path) if path != "config" && !is_rendered_path(path) => findings.push(unknown(path)),
            (_, key) => findings.push(mistake(key, "is not a text", "put its content into one JSON string")),
        }
    }
    if findings.is_empty() { Ok(query) } else { Err(Findings(findings)) }
}

/// Whether `path` is a plain relative path below a folder that `render` writes.
fn is_rendered_path(path: &str) -> bool {
    let mut parts = path.split('/');
    let folder = parts.next().unwrap_or_default();
    let mut depth = 0;
    let tidy = parts.all(|part| {
        depth += 1;
        !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control() || c == '\\')
    });
    FOLDERS.contains(&folder) && tidy && depth > 0
}

fn unknown(key: &str) -> Finding {
    let (first, rest) = key.split_once('/').unwrap_or((key, ""));
    let known: &[&str] = if rest.is_empty() { &["config"] } else { &FOLDERS };
    let likeness = |word: &&&str| (strsim::normalized_damerau_levenshtein(first, word) * 1000.0) as u32;
    let cure = match known.iter().max_by_key(likeness) {
        Some(near) if likeness(&near) > 600 && *near != first => {
            let rest = if rest.is_empty() { String::new() } else { format!("/{rest}") };
            format!("did you mean `{near}{rest}`?")
        }
        _ => {
            "remove it; known are `config` and the paths that this command prints, such as tls/ca.key".into()
        }
    };
    mistake(key, "is not a known key", &cure)
}

fn mistake(field: &str, problem: &str, cure: &str) -> Finding {
    Finding::new(field, "", problem, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_on_stdin_is_an_empty_query() {
        for text in ["", " \n", "{}", "{\"config\": \"\"}"] {
            assert!(parse(text).is_ok_and(|query| query == Query::default()), "{text}");
        }
    }

    #[test]
    fn a_query_carries_a_configuration_and_files() {
        let query = parse(r#"{"config": "kind: X", "tls/etcd/ca.key": "secret"}"#).ok().unwrap();
        assert_eq!(query.config.as_deref(), Some("kind: X"));
        assert_eq!(query.files["tls/etcd/ca.key"], b"secret");
    }

    #[test]
    fn every_bad_key_is_named_and_no_content_is_repeated() {
        let text = r#"{"confg": "s3cret", "tsl/ca.key": "s3cret", "tls/../x": "s3cret", "/etc/x": "s3cret",
            "tls/ca.key": ["s3cret"], "config": 3, "tls": "s3cret"}"#;
        let findings = parse(text).err().unwrap().to_string();
        for wanted in [
            "confg: is not a known key; did you mean `config`?",
            "tsl/ca.key: is not a known key; did you mean `tls/ca.key`?",
            "tls/../x: is not a known key",
            "/etc/x: is not a known key",
            "tls/ca.key: is not a text",
            "config: is not a text",
            "tls: is not a known key",
        ] {
            assert!(findings.contains(wanted), "{wanted} in\n{findings}");
        }
        assert!(!findings.contains("s3cret"));
        assert!(parse("[1]").is_err() && parse("{").is_err());
    }
}
