//! Golden files: what users read is compared with what was recorded, so that a change of words is
//! seen in review.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Calls whose arguments are the sentences of a message: what, why, what to do.
const CALLS: [&str; 3] = ["Blocker::new(", "Problem::new(", "Outcome::fail("];

/// Compares `files` (name and content) with the folder `tests/golden/FOLDER`, or records them there
/// if UPDATE_GOLDEN is set. Recording fails the test, so that `make golden` is followed by a look
/// at the difference.
#[allow(dead_code, reason = "tests/help.rs includes this file and uses it")]
pub(crate) fn check_folder(folder: &str, files: &[(String, String)]) {
    let root = root().join(folder);
    if env::var_os("UPDATE_GOLDEN").is_some() && root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    files.iter().for_each(|(name, content)| compare(&root.join(name), content));
    recorded(&root);
    let entries = fs::read_dir(&root).unwrap();
    let found: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let wanted: BTreeSet<String> = files.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(found, wanted, "{}: a golden file belongs to nothing", root.display());
}

/// The same for the one file `tests/golden/NAME`.
pub(crate) fn check_file(name: &str, content: &str) {
    let path = root().join(name);
    compare(&path, content);
    recorded(&path);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn compare(path: &Path, content: &str) {
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let golden = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(golden, content, "{} differs; `make golden` records it anew", path.display());
}

fn recorded(path: &Path) {
    assert!(
        env::var_os("UPDATE_GOLDEN").is_none(),
        "recorded {}; look at the difference, then run the tests",
        path.display()
    );
}

/// Fails if a message that the code in `source` can make is missing in `golden`.
pub(crate) fn assert_complete(source: &str, golden: &str) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(source)).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    let calls = CALLS.into_iter().flat_map(|call| code.match_indices(call));
    for (at, call) in calls {
        for template in literals(&code[at + call.len()..]) {
            let is_there = golden.lines().any(|line| matches(&template, line));
            assert!(is_there, "{source} can say {template:?}, which no golden message shows");
        }
    }
}

/// The string literals up to the parenthesis that closes the call.
fn literals(arguments: &str) -> Vec<String> {
    let (mut found, mut depth) = (Vec::new(), 1);
    let mut rest = arguments.chars();
    while let Some(character) = rest.next() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' => found.push(literal(&mut rest)),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found.retain(|literal| literal.contains(' '));
    found
}

/// The value of a string literal whose opening quote has been read.
fn literal(rest: &mut std::str::Chars<'_>) -> String {
    let mut value = String::new();
    while let Some(character) = rest.next() {
        match character {
            '"' => break,
            '\\' => match rest.next() {
                Some('\n') => *rest = rest.as_str().trim_start().chars(),
                Some(escaped) => value.push(escaped),
                None => {}
            },
            _ => value.push(character),
        }
    }
    value
}

/// Whether `line` is the format string `template` with its placeholders filled in.
fn matches(template: &str, line: &str) -> bool {
    let pieces = template.split('{').enumerate().map(|(index, piece)| match index {
        0 => piece,
        _ => piece.split_once('}').map_or(piece, |(_, after)| after),
    });
    let mut rest = line;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

#[test]
fn a_message_that_no_golden_line_shows_is_found() {
    assert!(matches("port {port} of {} is taken", "port 2379 of etcd is taken"));
    assert!(!matches("port {port} of {} is taken", "port 2379 of etcd is free"));
    let code = "format!(\"a {x} b\"), \"it says \\\"c\\\" and \\\n        d\", one) \"not this one\"";
    assert_eq!(literals(code), ["a {x} b", "it says \"c\" and d"]);
}
