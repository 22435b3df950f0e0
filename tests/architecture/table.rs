//! The tables of rooms in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The two tables of rooms.
pub struct Tables {
    /// Rooms of the table that says what each does.
    pub described: BTreeSet<String>,
    /// For each room of the other table, the rooms that it may use.
    pub uses: BTreeMap<String, BTreeSet<String>>,
}

impl Tables {
    /// Reads them: their first column is called `room`, the last of the second one `uses`, and names stand in backquotes.
    pub fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
        let text = fs::read_to_string(file).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(cells).collect();
        let mut tables = lines.split(Vec::is_empty).filter(|table| table.len() > 2 && table[0][0] == "room");
        let (described, uses) = (tables.next().expect("a table"), tables.next().expect("a second table"));
        assert_eq!(uses[0].last(), Some(&"uses"));
        let row = |row: &Vec<&str>| (room(row), names(row[row.len() - 1]).map(str::to_owned).collect());
        let read = Self {
            described: described[2..].iter().map(|row| room(row)).collect(),
            uses: uses[2..].iter().map(row).collect(),
        };
        assert_eq!(read.described.len() + 2, described.len(), "a room is described twice");
        assert_eq!(read.uses.len() + 2, uses.len(), "a room has two rows");
        read
    }
}

fn room(row: &[&str]) -> String {
    names(row[0]).next().expect("a row names its room").to_owned()
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(str::trim).collect()).unwrap_or_default()
}

fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
