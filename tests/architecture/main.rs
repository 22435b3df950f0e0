//! Holds src/ against ARCHITECTURE.md's tables of rooms: which room may use which, no circle between files, no room
//! or file that has grown too large.
//!
//! A room is a folder or a file directly below src/. The test reads the sources themselves (`syn`), so that a path in
//! the middle of a function counts like a `use`. Code that only tests compile is left out.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod graph;
mod source;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use graph::circles;
use source::{Module, Sources};
use table::Tables;

/// Lines that a room may have, those of its tests not counted.
const LONGEST_ROOM: usize = 3_300;
/// Lines that a file may have, its tests not counted.
const LONGEST_FILE: usize = 350;

/// The room of a module; the crate's root belongs to none.
fn room(module: &Module) -> Option<&str> {
    module.first().map(String::as_str)
}

/// For each arrow from room to room, a file that draws it.
fn arrows(sources: &Sources) -> BTreeMap<(String, String), String> {
    let mut arrows = BTreeMap::new();
    for (module, used) in &sources.uses {
        for other in used {
            let (Some(from), Some(to)) = (room(module), room(other)) else { continue };
            if from != to {
                let file = || sources.file(module);
                arrows.entry((from.to_owned(), to.to_owned())).or_insert_with(file);
            }
        }
    }
    arrows
}

#[test]
fn every_room_has_a_row_and_every_row_a_room() {
    let Tables { described, uses } = Tables::read();
    assert_eq!(
        described,
        uses.into_keys().collect(),
        "left: rooms described; right: rooms with a row of what they use"
    );
    let rooms: BTreeSet<String> = Sources::read().uses.keys().filter_map(room).map(str::to_owned).collect();
    assert_eq!(described, rooms, "left: rows of ARCHITECTURE.md; right: folders and files below src/");
}

#[test]
fn rooms_use_the_rooms_that_the_table_names_and_no_others() {
    let Tables { uses, .. } = Tables::read();
    let arrows = arrows(&Sources::read());
    let is_drawn = |(from, to): &(String, String)| uses.get(from).is_some_and(|row| row.contains(to));
    let missing = arrows.iter().filter(|(arrow, _)| !is_drawn(arrow));
    let missing: Vec<String> =
        missing.map(|((from, to), file)| format!("{from} uses {to} (in {file})")).collect();
    assert!(missing.is_empty(), "arrows that ARCHITECTURE.md does not allow:\n{}", missing.join("\n"));
    let pairs = uses.iter().flat_map(|(from, row)| row.iter().map(move |to| (from.clone(), to.clone())));
    let unused: Vec<_> = pairs.filter(|arrow| !arrows.contains_key(arrow)).collect();
    assert!(unused.is_empty(), "arrows of ARCHITECTURE.md that no file draws: {unused:?}");
}

#[test]
fn no_two_rooms_and_no_two_files_need_each_other() {
    let sources = Sources::read();
    let files = circles(&sources.uses).into_iter();
    let files: Vec<Vec<String>> =
        files.map(|circle| circle.iter().map(|module| sources.file(module)).collect()).collect();
    assert!(files.is_empty(), "circles between files: {files:#?}");
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in arrows(&sources).into_keys() {
        rooms.entry(from).or_default().insert(to);
    }
    assert_eq!(circles(&rooms), Vec::<Vec<String>>::new(), "circles between rooms");
}

#[test]
fn rooms_and_files_stay_small() {
    let sources = Sources::read();
    let mut rooms: BTreeMap<&str, usize> = BTreeMap::new();
    for (module, lines) in &sources.lines {
        assert!(*lines <= LONGEST_FILE, "{} has {lines} lines", sources.file(module));
        if let Some(room) = room(module) {
            *rooms.entry(room).or_default() += lines;
        }
    }
    rooms.retain(|_, lines| *lines > LONGEST_ROOM);
    assert!(rooms.is_empty(), "rooms above {LONGEST_ROOM} lines: {rooms:?}");
}

#[test]
fn a_circle_is_found_through_a_re_export_and_a_path_in_a_macro() {
    let sources = Sources::of(&[
        ("lib", "pub mod a; pub mod b;"),
        ("a", "pub use inner::Thing; mod inner; fn f() { println!(\"{}\", crate::b::name()); }"),
        ("a/inner", "pub struct Thing;"),
        ("b", "use crate::a::{self, Thing}; pub fn name() -> Thing { a::make() }"),
    ]);
    let module = |path: &str| -> Module { path.split('/').map(str::to_owned).collect() };
    assert_eq!(sources.uses[&module("b")], BTreeSet::from([module("a"), module("a/inner")]));
    assert_eq!(circles(&sources.uses), [[module("a"), module("b")]]);
}

#[test]
fn code_of_tests_draws_no_arrow_and_counts_no_line() {
    let sources = Sources::of(&[
        ("lib", "mod a; mod b;"),
        ("a", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\n"),
        ("b", ""),
    ]);
    let a = vec!["a".to_owned()];
    assert_eq!(sources.uses[&a], BTreeSet::new());
    assert_eq!(sources.lines[&a], 1);
}
