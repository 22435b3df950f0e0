//! A file of objects, parsed.

use crate::finding::Finding;
use crate::yaml::{self, Document};

/// The documents of the file at `path`.
pub fn documents(path: &str, bytes: &[u8]) -> Result<Vec<Document>, Finding> {
    let finding = |place: String, problem: String, cure: &str| Finding {
        field: place,
        value: String::new(),
        problem,
        cure: cure.to_owned(),
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        let cure = "save it as UTF-8, or remove it";
        finding(format!("{path}:{line}"), "it is not UTF-8 text".to_owned(), cure)
    })?;
    yaml::documents(text, path).map_err(|yaml::Error { file, line, column, problem }| {
        let cure = if is_template(bytes) { RENDER } else { "correct the file, or remove it" };
        finding(format!("{file}:{line}:{column}"), problem.to_string(), cure)
    })
}

/// What makes objects of a template.
const RENDER: &str =
    "it looks like a template: put what `helm template` makes of it into this folder instead";

/// Whether a file that cannot be parsed looks like a template of Helm's.
pub fn is_template(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"{{")
}
