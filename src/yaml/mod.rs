//! YAML as kubectl reads and writes it.
//!
//! kubectl turns YAML into JSON with `sigs.k8s.io/yaml`, which reads YAML 1.1: `0400` is 256, `on`
//! is a boolean, a key `1` is the string `"1"`. A YAML 1.2 parser would silently read a file mode
//! or a flag differently, so scalars are resolved here (`scalar.rs`) by the rules of that library;
//! the syntax itself is left to `granit-parser`, and writing to `serde-saphyr`. `tests/yaml.rs`
//! compares both directions with the Go library.
//!
//! Stricter than kubectl on purpose: a key given twice is refused (kubectl silently takes one of
//! the two), and so are aliases that expand a small file to an unreasonable size. Encodings other
//! than UTF-8 are not supported.

mod build;
mod error;
mod scalar;
mod source;

use serde_json::Value;

pub use build::Document;
pub use error::{Error, Problem};
pub use source::Source;

/// The documents of a YAML or JSON file that are not empty.
pub fn parse(text: &str, file: &str) -> Result<Vec<Value>, Error> {
    Ok(documents(text, file)?.into_iter().map(|document| document.value).collect())
}

/// As [`parse`], with the place of each document.
///
/// JSON is YAML, but for objects that follow each other without a separator, which kubectl reads
/// too.
pub fn documents(text: &str, file: &str) -> Result<Vec<Document>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    build::documents(text, file).or_else(|error| match error.problem {
        Problem::Other(_) if text.trim_start().starts_with('{') => json_stream(text).ok_or(error),
        _ => Err(error),
    })
}

fn json_stream(text: &str) -> Option<Vec<Document>> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let (mut documents, mut start) = (Vec::new(), 0);
    while let Some(value) = values.next() {
        let end = values.byte_offset();
        let source = Source::new(text[start..end].into(), 1).after(text[..start].matches('\n').count());
        documents.push(Document { number: documents.len() + 1, value: value.ok()?, source });
        start = end;
    }
    Some(documents)
}

/// One document that kubectl reads back as exactly `value`, in the layout of kubectl's own output.
pub fn write(value: &Value) -> String {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: true,
        folded_wrap_chars: usize::MAX,
        indent_step: 2,
        prefer_block_scalars: true,
    };
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|error| {
        unreachable!(
            "a JSON value has only string keys and finite numbers, and a String takes any write: {error}"
        )
    })
}
