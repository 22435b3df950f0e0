//! Where in a file a value is. A parsed value keeps no positions: the text is read again for the
//! few of which a message speaks.

use std::fmt;
use std::sync::Arc;

use granit_parser::{Event, Parser};

/// The text that a value was read from, and the place of the value in it.
#[derive(Clone, Default, PartialEq)]
pub struct Source {
    text: Arc<str>,
    /// Lines of the file before the text.
    before: usize,
    /// The document in the text, from 1.
    document: usize,
    /// Where in the document the value is: a JSON pointer.
    pointer: String,
}

impl Source {
    pub(super) fn new(text: Arc<str>, document: usize) -> Self {
        Self { text, document, ..Self::default() }
    }

    /// For a text that begins after `before` lines of its file.
    pub(super) fn after(self, before: usize) -> Self {
        Self { before, ..self }
    }

    /// The source of a part of the value, by its JSON pointer.
    #[must_use]
    pub fn part(&self, pointer: &str) -> Self {
        Self { pointer: format!("{}{pointer}", self.pointer), ..self.clone() }
    }

    /// The line of the part at `pointer`, from 1. A part that is not there has the line of the
    /// smallest one around it.
    pub fn line(&self, pointer: &str) -> usize {
        let pointer = format!("{}{pointer}", self.pointer);
        let labels = pointer.split('/').skip(1).map(|label| label.replace("~1", "/").replace("~0", "~"));
        let mut search = Search { wanted: labels.collect(), document: self.document, ..Search::default() };
        // What cannot be parsed has no value, so there is no place in it to look for.
        for (event, span) in Parser::new_from_str(&self.text).map_while(Result::ok) {
            search.take(&event, span.start.line());
        }
        self.before + search.line.max(1)
    }
}

/// Shows no content: it may be that of a Secret.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}{}", self.document, self.pointer)
    }
}

#[derive(Default)]
struct Search {
    wanted: Vec<String>,
    /// The document that is looked for, and the one that is read.
    document: usize,
    number: usize,
    frames: Vec<Frame>,
    line: usize,
}

/// A collection whose end has not been read yet.
struct Frame {
    /// Whether what is wanted may be in it.
    is_around: bool,
    child: Child,
}

/// The child that comes next.
enum Child {
    Item(usize),
    Key,
    Value(String, usize),
}

impl Search {
    fn take(&mut self, event: &Event<'_>, line: usize) {
        match event {
            Event::DocumentStart(..) => self.number += 1,
            _ if self.number != self.document => {}
            Event::Scalar(text, ..) => self.leaf(text, line),
            Event::Alias(_) => self.leaf("", line),
            Event::SequenceStart(..) => self.open(Child::Item(0), line),
            Event::MappingStart(..) => self.open(Child::Key, line),
            Event::SequenceEnd | Event::MappingEnd => {
                self.frames.pop();
                self.next();
            }
            _ => {}
        }
    }

    fn leaf(&mut self, text: &str, line: usize) {
        if let Some(Frame { child: child @ Child::Key, .. }) = self.frames.last_mut() {
            *child = Child::Value(text.to_owned(), line);
            return;
        }
        self.see(line);
        self.next();
    }

    fn open(&mut self, child: Child, line: usize) {
        let is_around = self.see(line);
        self.frames.push(Frame { is_around, child });
    }

    /// Notes the line of a node that is, or is around, what is wanted. Says whether it is one.
    fn see(&mut self, line: usize) -> bool {
        let (is_around, line) = match self.frames.last() {
            None => (true, line),
            Some(Frame { is_around, child }) => {
                let wanted = self.wanted.get(self.frames.len() - 1);
                match child {
                    Child::Item(index) => {
                        (*is_around && wanted.is_some_and(|label| *label == index.to_string()), line)
                    }
                    // The line of a value is that of its key.
                    Child::Value(key, line) => (*is_around && wanted == Some(key), *line),
                    Child::Key => (false, line),
                }
            }
        };
        if is_around {
            self.line = line;
        }
        is_around
    }

    fn next(&mut self) {
        match self.frames.last_mut().map(|frame| &mut frame.child) {
            Some(Child::Item(index)) => *index += 1,
            Some(child) => *child = Child::Key,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::yaml::documents;

    const TEXT: &str = "# a comment\n---\n\
        kind: List\n\
        items:\n\
        - kind: A\n\
        \x20 spec: {a: 1,\n\
        \x20   b: [x, y,\n\
        \x20     z]}\n\
        - &b\n\
        \x20 kind: B\n\
        \x20 a/b:\n\
        \x20   c: |\n\
        \x20     text\n\
        \x20     kind: none\n\
        \x20   d: 1\n\
        - *b\n\
        ---\n\
        - 5\n";

    #[test]
    fn a_part_has_the_line_of_its_key_or_item() {
        let documents = documents(TEXT, "f").unwrap();
        for (document, pointer, line) in [
            (0, "", 3),
            (0, "/kind", 3),
            (0, "/items", 4),
            (0, "/items/0", 5),
            (0, "/items/0/spec/a", 6),
            (0, "/items/0/spec/b", 7),
            (0, "/items/0/spec/b/2", 8),
            (0, "/items/1/kind", 10),
            (0, "/items/1/a~1b/d", 15),
            (0, "/items/2", 16),
            (1, "/0", 18),
        ] {
            assert_eq!(documents[document].source.line(pointer), line, "{document}{pointer}");
        }
        assert_eq!(documents[0].source.part("/items/1").line("/kind"), 10);
    }

    #[test]
    fn a_part_that_is_not_there_has_the_line_of_what_is_around_it() {
        let source = &documents(TEXT, "f").unwrap()[0].source;
        for (pointer, line) in
            [("/items/0/spec/none/deeper", 6), ("/items/7", 4), ("/items/2/kind", 16), ("/none", 3)]
        {
            assert_eq!(source.line(pointer), line, "{pointer}");
        }
        assert_eq!(super::Source::default().line("/a"), 1);
    }

    #[test]
    fn json_without_separators_has_lines_too() {
        let text = "{\"a\": 1}\n{\n  \"b\": [1,\n    2]\n}\n{\"c\": 1}";
        let documents = documents(text, "f").unwrap();
        let line = |document: usize, pointer| documents[document].source.line(pointer);
        assert_eq!((line(0, "/a"), line(1, "/b/1"), line(2, "")), (1, 4, 6));
    }
}
