//! What the pages of the documents say to type, and what they say happens then.

use serde_json::Value;

use crate::blocks::{self, Section};

/// A section of a page in the project.
pub fn section(page: &str, heading: &str) -> Section {
    let text = std::fs::read_to_string(lab::workspace().join(page)).unwrap();
    let found = blocks::sections(&text).into_iter().find(|section| section.heading == heading);
    found.unwrap_or_else(|| panic!("{page} has no heading {heading:?}"))
}

/// The scripts below a heading, of which there must be so many.
pub fn scripts<const COUNT: usize>(page: &str, heading: &str) -> [String; COUNT] {
    let found = section(page, heading).scripts();
    found.try_into().unwrap_or_else(|found| panic!("{page}, {heading}: {found:#?}"))
}

/// The code in a sentence below a heading that begins so.
pub fn command(page: &str, heading: &str, beginning: &str) -> String {
    let section = section(page, heading);
    let found = section.code().find(|code| code.starts_with(beginning)).map(str::to_owned);
    found.unwrap_or_else(|| panic!("{page}, {heading}: no code begins with {beginning:?}"))
}

/// Fails unless the page says so below that heading: what is checked next is what it says.
pub fn says(page: &str, heading: &str, words: &str) {
    assert!(section(page, heading).says(words), "{page}, {heading}: it does not say {words:?} any more");
}

/// The one example of JSON below a heading.
pub fn example(page: &str, heading: &str) -> Value {
    let section = section(page, heading);
    let block = section.blocks.iter().find(|block| block.language == "json").unwrap();
    serde_json::from_str(&block.text).unwrap()
}

/// A text with words replaced, each of which must be in it.
pub fn replaced(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in:\n{text}");
        text.replace(from, to)
    })
}

/// Fails unless `answer` has every key of `example`, at every depth. Of lists the first elements
/// are compared.
pub fn has_keys_of(example: &Value, answer: &Value) {
    match (example, answer) {
        (Value::Object(fields), Value::Object(given)) => {
            for (key, example) in fields {
                let value = given.get(key).unwrap_or_else(|| panic!("no {key} in {answer:#}"));
                has_keys_of(example, value);
            }
        }
        (Value::Array(examples), Value::Array(values)) => {
            examples.iter().zip(values).take(1).for_each(|(example, value)| has_keys_of(example, value));
        }
        _ => {}
    }
}
