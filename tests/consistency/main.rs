//! A configuration that disagrees with itself, or with what a component takes, is refused by all
//! that read it, with file, field and cure.
//!
//! Tier: no cluster, no root, seconds. The lines of the sources are read where Go's module cache has
//! them, which the lab fills.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

mod characters;
#[path = "../support/command.rs"]
mod command;
mod components;
mod files;
mod flags;
mod ports;
mod programs;
mod ranges;
mod rows;
mod workloads;

use std::path::PathBuf;
use std::process::Command;

use bootkube::limits::table;

#[test]
fn the_sources_of_limits_say_what_the_table_says() {
    let output = Command::new("go").args(["env", "GOMODCACHE"]).output().unwrap();
    let cache = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let mut read = 0;
    for source in table::sources() {
        let Ok(text) = std::fs::read_to_string(cache.join(source.module).join(source.file)) else { continue };
        let line = text.lines().nth(source.line - 1).unwrap_or_default();
        assert!(line.contains(source.says), "{}/{}:{}: {line}", source.module, source.file, source.line);
        read += 1;
    }
    eprintln!("{read} of {} lines read", table::sources().len());
}
