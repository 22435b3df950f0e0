//! Golden files pin the help of every command as users see it on a terminal of 100 columns.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

#[path = "../src/golden_tests.rs"]
#[allow(dead_code, reason = "messages are compared by unit tests")]
mod golden;

use clap::Command;

const WIDTH: usize = 100;

/// The help of `command` and of its subcommands, by golden file.
fn helps(command: &mut Command, files: &mut Vec<(String, String)>) {
    let name = command.get_bin_name().unwrap_or(command.get_name()).replace(' ', "-");
    files.push((format!("{name}.short.txt"), command.render_help().to_string()));
    files.push((format!("{name}.txt"), command.render_long_help().to_string()));
    for subcommand in command.get_subcommands_mut().filter(|subcommand| subcommand.get_name() != "help") {
        helps(subcommand, files);
    }
}

#[test]
fn the_help_of_every_command_is_as_recorded() {
    let mut command = bootkube::cli::command().term_width(WIDTH);
    command.build();
    let mut files = Vec::new();
    helps(&mut command, &mut files);
    assert!(files.len() > 20, "short and long help of every command: {}", files.len());
    golden::check_folder("help", &files);
}
