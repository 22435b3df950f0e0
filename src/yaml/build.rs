//! Builds JSON values from parser events: documents, anchors, merge keys, duplicate keys.
//!
//! Values are built on an explicit stack, so no input can exhaust the stack of the thread; the
//! parser refuses nesting beyond 255 levels. Aliases are copies, as they are in Go. The total size
//! of the copies is limited.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScanError};
use serde_json::{Map, Value};

use super::error::{Error, Problem};
use super::scalar::{self, Scalar};
use super::source::Source;

/// How much anchors and aliases may copy in a file: nodes plus bytes of text. A bomb of a few
/// hundred bytes asks for billions; the largest honest use, a file of shared pod templates, for
/// thousands.
const COPY_LIMIT: usize = 32 << 20;

/// One document of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its place in the file, from 1; empty documents count.
    pub number: usize,
    /// Never null.
    pub value: Value,
    /// Where it was read.
    pub source: Source,
}

/// Every document of `text` that is not null.
pub(super) fn documents(text: &str, file: &str) -> Result<Vec<Document>, Error> {
    let at = |marker: &Marker, problem| Error {
        file: file.to_owned(),
        line: marker.line(),
        column: marker.col() + 1,
        problem,
    };
    let mut builder = Builder { text: text.into(), ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error: ScanError| at(error.marker(), Problem::Other(error.info())))?;
        builder.take(event).map_err(|problem| at(&span.start, problem))?;
    }
    Ok(builder.documents)
}

#[derive(Default)]
struct Builder {
    text: Arc<str>,
    documents: Vec<Document>,
    number: usize,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Value>,
    copied: usize,
}

/// A collection whose end has not been read yet.
struct Frame {
    anchor: usize,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Value>),
    Mapping(Mapping),
}

#[derive(Default)]
struct Mapping {
    entries: Map<String, Value>,
    /// Keys that only a merge has set: an explicit key may still follow.
    merged: HashSet<String>,
    key: Option<Key>,
}

enum Key {
    Name(String),
    Merge,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) => {
                self.number += 1;
                self.anchors.clear();
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == granit_parser::ScalarStyle::Plain && tag.is_none();
                let scalar = scalar::resolve(&text, style, tag.as_deref()).map_err(Problem::Other)?;
                return self.scalar(scalar, plain && text == "<<", anchor);
            }
            Event::SequenceStart(_, anchor, _) => return self.open(anchor, Kind::Sequence(Vec::new())),
            Event::MappingStart(_, anchor, _) => return self.open(anchor, Kind::Mapping(Mapping::default())),
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            Event::Alias(anchor) => return self.alias(anchor),
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar, is_merge: bool, anchor: usize) -> Result<(), Problem> {
        let Some(mapping) = self.awaits_key() else {
            return self.complete(anchor, scalar.into_value().map_err(Problem::Other)?, false);
        };
        mapping.key = Some(match is_merge {
            true => Key::Merge,
            false => Key::Name(scalar.clone().into_key().map_err(Problem::Other)?),
        });
        match anchor {
            0 => Ok(()),
            _ => self.remember(anchor, &scalar.into_value().map_err(Problem::Other)?),
        }
    }

    fn awaits_key(&mut self) -> Option<&mut Mapping> {
        match self.stack.last_mut() {
            Some(Frame { kind: Kind::Mapping(mapping), .. }) if mapping.key.is_none() => Some(mapping),
            _ => None,
        }
    }

    fn open(&mut self, anchor: usize, kind: Kind) -> Result<(), Problem> {
        if self.awaits_key().is_some() {
            return Err(Problem::Other("a mapping or a list cannot be a key".to_owned()));
        }
        self.stack.push(Frame { anchor, kind });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        match self.stack.pop() {
            Some(Frame { anchor, kind: Kind::Sequence(items) }) => self.complete(anchor, items.into(), false),
            Some(Frame { anchor, kind: Kind::Mapping(mapping) }) => {
                self.complete(anchor, mapping.entries.into(), false)
            }
            None => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Problem> {
        let Some(value) = self.anchors.get(&anchor) else {
            return Err(Problem::Other("this alias stands inside of what it refers to".to_owned()));
        };
        self.copied += size(value);
        within_limit(self.copied)?;
        let value = value.clone();
        match self.awaits_key() {
            None => self.complete(0, value, true),
            Some(mapping) => {
                mapping.key = Some(Key::Name(key_of(value)?));
                Ok(())
            }
        }
    }

    /// Keeps a copy for later aliases.
    fn remember(&mut self, anchor: usize, value: &Value) -> Result<(), Problem> {
        self.copied += size(value);
        within_limit(self.copied)?;
        self.anchors.insert(anchor, value.clone());
        Ok(())
    }

    /// Puts a complete node into its collection, or makes it a document.
    fn complete(&mut self, anchor: usize, value: Value, is_alias: bool) -> Result<(), Problem> {
        if anchor != 0 {
            self.remember(anchor, &value)?;
        }
        match self.stack.last_mut().map(|frame| &mut frame.kind) {
            Some(Kind::Sequence(items)) => items.push(value),
            Some(Kind::Mapping(mapping)) => return mapping.put(value, is_alias),
            None if value.is_null() => {}
            None => {
                let source = Source::new(self.text.clone(), self.number);
                self.documents.push(Document { number: self.number, value, source });
            }
        }
        Ok(())
    }
}

impl Mapping {
    fn put(&mut self, value: Value, is_alias: bool) -> Result<(), Problem> {
        match (self.key.take(), value) {
            (Some(Key::Merge), Value::Object(entries)) => self.merge(entries),
            (Some(Key::Merge), Value::Array(sources)) if !is_alias => {
                // The first of several sources wins.
                for source in sources.into_iter().rev() {
                    let Value::Object(entries) = source else { return Err(not_mergeable()) };
                    self.merge(entries);
                }
            }
            (Some(Key::Merge), _) => return Err(not_mergeable()),
            (Some(Key::Name(name)), value) => return self.set(name, value),
            (None, _) => return Err(Problem::Other("a value without a key".to_owned())),
        }
        Ok(())
    }

    fn set(&mut self, name: String, value: Value) -> Result<(), Problem> {
        if self.entries.contains_key(&name) && !self.merged.remove(&name) {
            return Err(Problem::DuplicateKey(name));
        }
        self.entries.insert(name, value);
        Ok(())
    }

    /// As in Go, a merge overrides the entries before it.
    fn merge(&mut self, entries: Map<String, Value>) {
        for (name, value) in entries {
            if self.entries.insert(name.clone(), value).is_none() {
                self.merged.insert(name);
            }
        }
    }
}

fn not_mergeable() -> Problem {
    Problem::Other("`<<` takes a mapping, or a list of mappings".to_owned())
}

fn key_of(value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(Problem::Other("a mapping, a list or null cannot be a key".to_owned())),
    }
}

fn within_limit(copied: usize) -> Result<(), Problem> {
    match copied {
        0..=COPY_LIMIT => Ok(()),
        _ => Err(Problem::Other("the aliases of this file expand to an unreasonable size".to_owned())),
    }
}

/// Nodes plus bytes of text.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len(),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(entries) => {
            1 + entries.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>()
        }
        _ => 1,
    }
}
