//! The table of messages, read once from `fields.txt`.
//!
//! ```text
//! kind VERSION KIND MESSAGE
//! message NAME
//! NUMBER JSON-NAME TYPE [omitempty] [omitzero] [inline] [pointer]
//! ```

use std::collections::BTreeMap;
use std::sync::OnceLock;

const FIELDS: &str = include_str!("fields.txt");

/// All known messages.
#[derive(Debug, Default)]
pub struct Table {
    /// By kind.
    pub kinds: BTreeMap<String, Kind>,
    /// By name.
    pub messages: BTreeMap<String, Vec<Field>>,
}

/// A kind of object.
#[derive(Debug)]
pub struct Kind {
    /// Group and version that the fields belong to.
    pub api_version: String,
    /// Its message.
    pub message: String,
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// Its name in JSON. An inline field has none.
    pub name: String,
    /// What it holds.
    pub kind: Type,
    /// Left out of JSON when it is empty.
    pub omit_empty: bool,
    /// Left out of JSON when it is zero.
    pub omit_zero: bool,
    /// Its fields stand among those of the message it is in.
    pub inline: bool,
    /// Not there is another thing than zero.
    pub pointer: bool,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Type {
    Text,
    Bool,
    Int,
    Bytes,
    Time,
    MicroTime,
    Json,
    Quantity,
    IntOrString,
    Message(String),
    List(Box<Type>),
    Map(Box<Type>),
}

impl Table {
    /// The table.
    pub fn get() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::parse(FIELDS))
    }

    /// Parses the embedded file, which the tests have checked.
    fn parse(text: &str) -> Self {
        let mut table = Self::default();
        let mut message = String::new();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["kind", version, kind, name] => {
                    let known = Kind { api_version: (*version).to_owned(), message: (*name).to_owned() };
                    table.kinds.insert((*kind).to_owned(), known);
                }
                ["message", name] => message = (*name).to_owned(),
                [number, name, kind, flags @ ..] => {
                    let field = Field::new(number, name, kind, flags);
                    table.messages.entry(message.clone()).or_default().push(field);
                }
                words => unreachable!("fields.txt is generated and tested: {words:?}"),
            }
        }
        table
    }
}

impl Field {
    fn new(number: &str, name: &str, kind: &str, flags: &[&str]) -> Self {
        let number =
            number.parse().unwrap_or_else(|_| unreachable!("fields.txt is generated and tested: {number}"));
        let has = |flag: &str| flags.contains(&flag);
        Self {
            number,
            name: name.to_owned(),
            kind: Type::parse(kind),
            omit_empty: has("omitempty"),
            omit_zero: has("omitzero"),
            inline: has("inline"),
            pointer: has("pointer"),
        }
    }
}

impl Type {
    fn parse(word: &str) -> Self {
        let inner = |kind: &str| Box::new(Self::parse(kind));
        match (word, word.split_once(':')) {
            (_, Some(("list", kind))) => Self::List(inner(kind)),
            (_, Some(("map", kind))) => Self::Map(inner(kind)),
            ("string", _) => Self::Text,
            ("bool", _) => Self::Bool,
            ("int", _) => Self::Int,
            ("bytes", _) => Self::Bytes,
            ("time", _) => Self::Time,
            ("microtime", _) => Self::MicroTime,
            ("json", _) => Self::Json,
            ("quantity", _) => Self::Quantity,
            ("int-or-string", _) => Self::IntOrString,
            (message, _) => Self::Message(message.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_that_is_named_exists() {
        let table = Table::get();
        let kinds = table.kinds.values().map(|kind| kind.message.clone());
        let fields = table.messages.values().flatten().filter_map(|field| message(&field.kind));
        for name in kinds.chain(fields) {
            // A message without fields, or with inline ones only, has no lines.
            assert!(
                table.messages.contains_key(&name) || FIELDS.contains(&format!("message {name}\n")),
                "{name}"
            );
        }
        assert!(table.kinds.len() >= 11 && table.messages.len() > 100);
    }

    fn message(kind: &Type) -> Option<String> {
        match kind {
            Type::Message(name) => Some(name.clone()),
            Type::List(kind) | Type::Map(kind) => message(kind),
            _ => None,
        }
    }
}
