//! The command line of a component as a map of flags: set, removed, and written in alphabetical
//! order.

use std::collections::BTreeMap;

use crate::assets::command;

/// A program and its `--flag=value` arguments.
pub struct Args {
    program: Vec<String>,
    /// A flag is given once for each of its values.
    flags: BTreeMap<String, Vec<String>>,
}

impl Args {
    /// Reads `["kube-apiserver", "--a=b", …]`. Words before the first flag are the program.
    pub fn parse(command: &[String]) -> Self {
        let first = command.iter().position(|word| word.starts_with("--")).unwrap_or(command.len());
        let mut flags: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (flag, value) in command[first..].iter().map(|word| split(word)) {
            flags.entry(flag).or_default().push(value);
        }
        Self { program: command[..first].to_vec(), flags }
    }

    /// Sets a flag, in place of what it was.
    pub fn set(&mut self, flag: &str, value: impl Into<String>) -> &mut Self {
        self.flags.insert(flag.to_owned(), vec![value.into()]);
        self
    }

    /// Sets a flag to several values, in place of what it was. No value removes it.
    pub fn set_all(&mut self, flag: &str, values: &[String]) -> &mut Self {
        if values.is_empty() {
            return self.remove(flag);
        }
        self.flags.insert(flag.to_owned(), values.to_vec());
        self
    }

    /// Removes a flag.
    pub fn remove(&mut self, flag: &str) -> &mut Self {
        self.flags.remove(flag);
        self
    }

    /// Back to a command.
    pub fn command(&self) -> Vec<String> {
        let of_flag = |(flag, values): (&String, &Vec<String>)| {
            values.iter().map(|value| format!("--{flag}={value}")).collect::<Vec<_>>()
        };
        let flags = self.flags.iter().flat_map(of_flag);
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

    #[test]
    fn a_flag_that_is_given_twice_stays_so() {
        let command = ["kube-apiserver", "--a=1", "--a=2"].map(String::from);
        let mut args = Args::parse(&command);
        assert_eq!(args.command(), command);
        args.set_all("b", &["3".into(), "4".into()]).set_all("a", &[]);
        assert_eq!(args.command(), ["kube-apiserver", "--b=3", "--b=4"]);
    }
}
