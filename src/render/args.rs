//! The command line of a component as a map of flags: set, removed, and written in alphabetical
//! order.

use std::collections::BTreeMap;

use crate::assets::command;

/// A program and its `--flag=value` arguments.
pub struct Args {
    program: Vec<String>,
    flags: BTreeMap<String, String>,
}

impl Args {
    /// Reads `["kube-apiserver", "--a=b", …]`. Words before the first flag are the program.
    pub fn parse(command: &[String]) -> Self {
        let first = command.iter().position(|word| word.starts_with("--")).unwrap_or(command.len());
        let flags = command[first..].iter().map(|word| split(word)).collect();
        Self { program: command[..first].to_vec(), flags }
    }

    /// Sets a flag, in place of what it was.
    pub fn set(&mut self, flag: &str, value: impl Into<String>) -> &mut Self {
        self.flags.insert(flag.to_owned(), value.into());
        self
    }

    /// Removes a flag.
    pub fn remove(&mut self, flag: &str) -> &mut Self {
        self.flags.remove(flag);
        self
    }

    /// Back to a command.
    pub fn command(&self) -> Vec<String> {
        let flags = self.flags.iter().map(|(flag, value)| format!("--{flag}={value}"));
        self.program.iter().cloned().chain(flags).collect()
    }
}

/// `--flag=value`; a flag alone is a switch that is on.
fn split(word: &str) -> (String, String) {
    let (flag, value) = command::split(word).unwrap_or((word, None));
    (flag.to_owned(), value.unwrap_or("true").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_replaced_removed_and_sorted() {
        let command = ["kube-apiserver", "--b=1", "--a=2", "--switch", "--gone=x"].map(String::from);
        let mut args = Args::parse(&command);
        args.set("b", "3").set("c", "x=y").remove("gone");
        assert_eq!(args.command(), ["kube-apiserver", "--a=2", "--b=3", "--c=x=y", "--switch=true"]);
    }
}
