//! `bootkube lint`: for each rule what is found, at which line and with which cure, and what looks
//! alike and is well.
//!
//! Tier: no cluster, no root, seconds.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

#[path = "../support/command.rs"]
mod command;
mod files;
mod lifecycles;
mod machine;
mod peers;
mod start;
mod webhooks;

use std::fs;

use command::bootkube;
use serde_json::Value;
use tempfile::TempDir;

/// Files: path and content.
type Files<'a> = &'a [(&'a str, &'a str)];

fn folder(files: Files<'_>) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, content) in files {
        let path = folder.path().join("dir").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// What is found in `files`: `file:line: rule: object: reason; cure`, by JSON and text alike.
fn found(files: Files<'_>) -> Vec<String> {
    let folder = folder(files);
    let run = |more: &[&str]| {
        let output = bootkube(folder.path(), &[&["lint", "dir"], more].concat(), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&[]);
    let json: Value = serde_json::from_str(&run(&["-o", "json"])).unwrap();
    assert_eq!(json["format"], "bootkube.dev/lint/v1");
    let told = |finding: &Value| {
        let field = |name: &str| finding[name].as_str().map(str::to_owned);
        let object = field("object").map(|object| format!("{object}: ")).unwrap_or_default();
        let words = ["file", "rule", "reason", "cure"].map(|name| field(name).unwrap());
        let [file, rule, reason, cure] = words;
        format!("{file}:{}: {rule}: {object}{reason}; {cure}", finding["line"])
    };
    let found: Vec<String> = json["findings"].as_array().unwrap().iter().map(told).collect();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..lines.len() - 1], found);
    assert!(lines.last().unwrap().contains(" finding"), "{text}");
    found
}

/// There is one finding, which begins and goes on as said.
fn one(file: &str, begins: &str, says: &[&str]) {
    one_of(&[("a.yaml", file)], begins, says);
}

fn one_of(files: Files<'_>, begins: &str, says: &[&str]) {
    let found = found(files);
    assert_eq!(found.len(), 1, "{files:#?}\n{found:#?}");
    assert!(found[0].starts_with(begins), "{files:#?}\n{}\nwanted {begins}", found[0]);
    for word in says {
        assert!(found[0].contains(word), "{}\nlacks {word}", found[0]);
    }
}

/// There is none.
fn none(file: &str) {
    none_of(&[("a.yaml", file)]);
}

fn none_of(files: Files<'_>) {
    assert_eq!(found(files), [] as [&str; 0], "{files:#?}");
}

#[test]
fn findings_change_the_exit_code_only_where_that_is_asked_for() {
    let bad = "{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: c}}";
    let good = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}";
    for (content, strict, code) in [(bad, false, 0), (bad, true, 3), (good, true, 0)] {
        let folder = folder(&[("a.yaml", content)]);
        let args: &[&str] = if strict { &["lint", "--strict", "dir"] } else { &["lint", "dir"] };
        let output = bootkube(folder.path(), args, "");
        assert_eq!(output.status.code(), Some(code), "{content}");
        assert!(!output.stdout.is_empty());
        assert_eq!(output.stderr.is_empty(), code == 0, "{content}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_and_no_finding() {
    for (files, path, says) in [
        (&[("a.yaml", "a: [\n")] as Files<'_>, "dir", "a.yaml:1:4: unclosed bracket"),
        (&[("a.yaml", "a: 1\na: 2\n")], "dir/a.yaml", "a.yaml:2:4: the key `a` is given twice"),
        (&[("a.yaml", "")], "none", "none: it cannot be read"),
        (&[("a.yaml", "")], "dir/none.yaml", "none.yaml: it cannot be read"),
    ] {
        let folder = folder(files);
        let output = bootkube(folder.path(), &["lint", path], "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.starts_with("error: ") && said.contains(says), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn in_what_bootkube_renders_nothing_is_found() {
    for golden in ["default", "full", "one-machine"] {
        let folder = TempDir::new().unwrap();
        let path = format!("{}/tests/golden/{golden}", env!("CARGO_MANIFEST_DIR"));
        for path in [path.clone(), format!("{path}/manifests")] {
            let output = bootkube(folder.path(), &["lint", "--strict", &path], "");
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success() && said.ends_with("objects, 0 findings\n"), "{path}\n{said}");
        }
    }
}
