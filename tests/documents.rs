//! The documents as people read them: lines and table cells stay short, links lead somewhere, every page is in the
//! book, and every command is one that a test runs.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

#[path = "support/blocks.rs"]
mod blocks;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use blocks::{Block, Section, sections};
use clap::error::ErrorKind;

/// Characters of a line outside code, tables and links.
const LINE: usize = 100;
/// Characters of a table cell: a phrase, not a paragraph. The targets of links do not count.
const CELL: usize = 120;
/// Languages of blocks that are not for a shell.
const LANGUAGES: [&str; 3] = ["json", "text", "yaml"];
/// Words for people that were used of components, and verbs without a subject: the component is the subject.
const WORDS: [&str; 6] = ["whoever", "somebody", "nobody", "is told", "are told", "who listens"];

#[test]
fn no_line_is_longer_than_a_page_is_wide() {
    let long = |line: &Line| {
        let width = |text: &str| text.chars().count();
        let link = line.text.split(' ').find(|word| word.contains("](") || word.contains("://"));
        !line.text.starts_with('|') && width(line.text) - link.map_or(0, width) > LINE
    };
    none(|page| page.prose().filter(|line| long(line)).map(|line| line.number.to_string()).collect());
}

#[test]
fn no_table_cell_is_a_paragraph() {
    none(|page| {
        let rows = page.prose().filter(|line| line.text.trim_start().starts_with('|'));
        let cells = rows.flat_map(|row| cells(row.text).map(move |cell| (row.number, cell)));
        // Names alone are a list, however many they are.
        let is_list = |cell: &str| !without_code(cell).contains(char::is_alphabetic);
        let width = |cell: &str| without_targets(cell).chars().count();
        cells
            .filter(|(_, cell)| width(cell) > CELL && !is_list(cell))
            .map(|(number, cell)| format!("{number}: {cell}"))
            .collect()
    });
}

#[test]
fn every_relative_link_leads_to_a_file_and_to_a_heading_in_it() {
    none(|page| {
        let broken = |target: &&str| !target.contains("://") && !page.leads_somewhere(target);
        page.prose()
            .flat_map(|line| targets(line.text).map(move |target| (line.number, target)))
            .filter(|(_, target)| broken(target))
            .map(|(number, target)| format!("{number}: {target}"))
            .collect()
    });
}

#[test]
fn every_document_is_in_the_book_and_in_the_index() {
    for list in ["docs/SUMMARY.md", "docs/README.md"] {
        let list = Page::read(root().join(list));
        let listed: BTreeSet<PathBuf> = list
            .prose()
            .flat_map(|line| targets(line.text))
            .filter_map(|target| list.resolve(target).0.canonicalize().ok())
            .chain([list.path.clone(), root().join("docs/SUMMARY.md"), root().join("docs/README.md")])
            .collect();
        let missing: Vec<PathBuf> = documents().into_iter().filter(|page| !listed.contains(page)).collect();
        assert!(missing.is_empty(), "{} does not list {missing:?}", list.path.display());
    }
}

#[test]
fn components_are_not_spoken_of_as_people() {
    // CONTRIBUTING.md quotes such sentences, beside better ones. Code is quoted as it is.
    none(|page| {
        let quotes = page.path.ends_with("CONTRIBUTING.md");
        let found = |line: &Line| {
            let text = without_code(line.text).to_lowercase();
            WORDS.into_iter().find(|word| text.contains(word)).map(|word| format!("{}: {word}", line.number))
        };
        page.prose().filter(|_| !quotes).filter_map(|line| found(&line)).collect()
    });
}

#[test]
fn every_invariant_names_a_test_and_every_named_test_exists() {
    let page = Page::read(root().join("ARCHITECTURE.md"));
    let section = page.text.split("\n## Invariants\n").nth(1).unwrap().split("\n## ").next().unwrap();
    for invariant in items(section).skip(1).filter(|item| item.starts_with("- ")) {
        assert!(named_tests(invariant).next().is_some(), "no test is named: {invariant}");
    }
    let sources = sources(&["src", "tests"].map(|folder| root().join(folder)));
    let is_missing = |test: &&str| !sources.contains(&format!("fn {test}("));
    let missing: Vec<&str> = items(&page.text).flat_map(named_tests).filter(is_missing).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names tests that do not exist: {missing:#?}");
}

/// Paragraphs, and items of lists.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").flat_map(|block| {
        let starts = std::iter::once(0).chain(block.match_indices("\n- ").map(|(at, _)| at + 1));
        let ends = block.match_indices("\n- ").map(|(at, _)| at + 1).chain([block.len()]);
        starts.zip(ends).map(|(start, end)| &block[start..end])
    })
}

/// The names in `code` after "Test:" or "Tests:".
fn named_tests(item: &str) -> impl Iterator<Item = &str> {
    let names = ["Test:", "Tests:"].iter().find_map(|word| Some(item.split_once(word)?.1)).unwrap_or("");
    names.split('`').skip(1).step_by(2).filter(|name| !name.contains('/'))
}

/// Every Rust file below these folders, as one text.
fn sources(folders: &[PathBuf]) -> String {
    let entries = folders.iter().flat_map(|folder| folder.read_dir().unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter_map(|path| match path.extension() {
            _ if path.is_dir() => Some(sources(&[path])),
            Some(end) if end == "rs" => Some(std::fs::read_to_string(path).unwrap()),
            _ => None,
        })
        .collect()
}

/// A block in any other language would be a block that no test asks for.
#[test]
fn every_block_says_what_it_holds() {
    let is_unknown = |block: &Block| !block.is_for_a_shell() && !LANGUAGES.contains(&block.language.as_str());
    none(|page| {
        let sections = sections(&page.text);
        let unknown = sections.iter().flat_map(|section| &section.blocks).filter(|block| is_unknown(block));
        unknown.map(|block| format!("{}: {:?}", block.line, block.language)).collect()
    });
}

/// A test asks for the blocks below a heading by page and heading.
#[test]
fn every_block_for_a_shell_is_run_by_a_test_or_says_why_not() {
    let tests = sources(&[root().join("tests/e2e")]);
    let tests = tests.split_whitespace().collect::<Vec<_>>().join(" ");
    none(|page| {
        let name = page.name();
        let is_run = |section: &Section| tests.contains(&format!("\"{name}\", \"{}\"", section.heading));
        let unrun = |section: &Section| match is_run(section) {
            true => Vec::new(),
            false => section.blocks.iter().filter(|block| block.is_for_a_shell()).map(unexplained).collect(),
        };
        sections(&page.text).iter().flat_map(unrun).flatten().collect()
    });
}

fn unexplained(block: &Block) -> Option<String> {
    let explained = block.not_run.as_ref().is_some_and(|reason| !reason.is_empty());
    (!explained).then(|| format!("{}: no test runs this block, and no comment says why", block.line))
}

#[test]
fn every_command_of_ours_in_a_sentence_has_that_name_and_those_flags() {
    none(|page| {
        let sections = sections(&page.text);
        let commands = sections.iter().flat_map(Section::code).filter(|code| code.starts_with("bootkube "));
        commands.filter_map(|command| Some(format!("{command}: {}", refusal(command)?))).collect()
    });
}

/// Why our command line does not know a command. A sentence may leave out what is required.
fn refusal(command: &str) -> Option<ErrorKind> {
    let parsed = bootkube::cli::command().try_get_matches_from(command.split(' '));
    let unknown = [ErrorKind::InvalidSubcommand, ErrorKind::UnknownArgument];
    parsed.err().map(|error| error.kind()).filter(|kind| unknown.contains(kind))
}

/// Fails with every place that `wrong` names, of every document.
fn none(wrong: impl Fn(&Page) -> Vec<String>) {
    let places: Vec<String> = documents()
        .into_iter()
        .map(Page::read)
        .flat_map(|page| {
            let name = page.name();
            wrong(&page).into_iter().map(move |place| format!("{name}:{place}"))
        })
        .collect();
    assert!(places.is_empty(), "\n{}", places.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = [root().to_owned(), root().join("docs")]
        .iter()
        .flat_map(|folder| folder.read_dir().unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    pages.sort();
    assert!(pages.len() > 15, "the documents are found: {pages:?}");
    pages
}

struct Page {
    path: PathBuf,
    text: String,
}

struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl Page {
    fn read(path: PathBuf) -> Page {
        let text = std::fs::read_to_string(&path).unwrap();
        Page { path, text }
    }

    /// Its path in the project.
    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }

    /// Every line outside code blocks.
    fn prose(&self) -> impl Iterator<Item = Line<'_>> {
        let mut code = false;
        self.text.lines().enumerate().filter_map(move |(before, text)| {
            let fence = text.trim_start().starts_with("```");
            code ^= fence;
            (!code && !fence).then_some(Line { number: before + 1, text })
        })
    }

    fn leads_somewhere(&self, target: &str) -> bool {
        match self.resolve(target) {
            (path, None) => path.exists(),
            (path, Some(anchor)) => path.is_file() && Page::read(path).anchors().contains(anchor),
        }
    }

    /// The file that a link of this page names, and the heading in it.
    fn resolve<'a>(&self, target: &'a str) -> (PathBuf, Option<&'a str>) {
        let (file, anchor) = target.split_once('#').map_or((target, None), |(file, at)| (file, Some(at)));
        let path = if file.is_empty() { self.path.clone() } else { self.path.with_file_name(file) };
        (path, anchor)
    }

    /// Headings as GitHub and mdBook name them in links.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter_map(|line| line.text.strip_prefix('#'));
        let kept = |c: char| c.is_alphanumeric() || "-_ ".contains(c);
        headings
            .map(|line| line.trim_start_matches('#').trim().to_lowercase())
            .map(|title| title.chars().filter(|c| kept(*c)).collect::<String>().replace(' ', "-"))
            .collect()
    }
}

fn cells(row: &str) -> impl Iterator<Item = &str> {
    row.trim().trim_matches('|').split(" | ").map(str::trim)
}

/// What stands in the round brackets of each link of a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

fn without_targets(cell: &str) -> String {
    let (first, rest) = cell.split_once("](").unwrap_or((cell, ""));
    let ends = rest.split("](").map(|part| part.split_once(')').map_or(part, |(_, after)| after));
    std::iter::once(first).chain(ends).collect()
}
