//! The lists of flags, held against the programs.

use std::collections::BTreeMap;
use std::process::Command;

use bootkube::limits::known_flags::{Type, list};

use crate::support::hyperkube;

/// Programs, with words that end them once they have read their flags.
const PROGRAMS: [(&str, &str); 4] = [
    ("kube-apiserver", "--etcd-servers=none"),
    ("kube-controller-manager", "--kubeconfig=/nowhere"),
    ("kube-scheduler", "--kubeconfig=/nowhere"),
    ("kube-proxy", "--write-config-to=/dev/null"),
];

/// What the program says to these words, on both streams.
fn says(program: &str, words: &[&str]) -> String {
    let output = Command::new(hyperkube()).arg(program).args(words).output().unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

/// Types by flag, of the help. It leaves out flags that are on their way out.
fn helped(program: &str) -> BTreeMap<String, Type> {
    let help = says(program, &["--help"]);
    let lines = help.lines().filter_map(|line| line.trim_start().split_once("--"));
    let flags = lines.filter(|(before, _)| before.is_empty() || before.len() == 4).map(|(_, rest)| {
        let (usage, _) = rest.split_once("  ").unwrap_or((rest, ""));
        let (name, kind) = usage.split_once(' ').unwrap_or((usage, ""));
        let kind = match kind {
            "" => Type::Switch,
            "int" | "int32" | "uint" | "Level" => Type::Whole,
            "float" | "float32" => Type::Number,
            "duration" => Type::Duration,
            "ip" => Type::Address,
            "colonSeparatedMultimapStringString" | "mapStringBool" => Type::Gates,
            _ => Type::Text,
        };
        (name.split('[').next().unwrap_or_default().to_owned(), kind)
    });
    flags.collect()
}

#[test]
fn the_lists_of_flags_are_those_of_the_programs() {
    for (program, end) in PROGRAMS {
        let said = says(program, &["-v=1", end]);
        let names = said
            .lines()
            .filter_map(|line| line.split_once("FLAG: --")?.1.split_once('='))
            .map(|(name, _)| name);
        let helped = helped(program);
        let found: BTreeMap<String, Type> = names
            .filter(|name| !matches!(*name, "help" | "version"))
            .map(|name| (name.to_owned(), helped.get(name).copied().unwrap_or(Type::Text)))
            .collect();
        let listed: BTreeMap<String, Type> =
            list(program).unwrap().flags.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        assert_eq!(listed, found, "{program}");
    }
}
