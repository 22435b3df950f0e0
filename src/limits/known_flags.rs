//! Flags that programs have, each with the type of its value: `known_flags.txt`.

/// The lists: a program's name and `whole` or `part`, then a flag and its type on each line.
const LISTS: &str = include_str!("known_flags.txt");

/// What a program takes for a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false, as Go reads it.
    Switch,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A duration of Go.
    Duration,
    /// An IP address.
    Address,
    /// `Name=true,Name=false`.
    Gates,
    /// Anything, as far as is known.
    Text,
}

/// The flags of a program.
pub struct List {
    /// Whether it has no others.
    pub is_whole: bool,
    /// Each with its type.
    pub flags: Vec<(&'static str, Type)>,
}

impl List {
    /// The type of a flag, if the list has it.
    pub fn type_of(&self, flag: &str) -> Option<Type> {
        self.flags.iter().find(|(name, _)| *name == flag).map(|(_, kind)| *kind)
    }
}

/// The list of a program, if there is one.
pub fn list(program: &str) -> Option<List> {
    LISTS.split("\n\n").find_map(|list| {
        let mut lines = list.lines();
        let (name, extent) = lines.next()?.split_once(' ')?;
        let flags = || lines.filter_map(|line| line.split_once(' ')).map(|(flag, kind)| (flag, named(kind)));
        (name == program).then(|| List { is_whole: extent == "whole", flags: flags().collect() })
    })
}

fn named(kind: &str) -> Type {
    match kind {
        "switch" => Type::Switch,
        "int" => Type::Whole,
        "float" => Type::Number,
        "duration" => Type::Duration,
        "ip" => Type::Address,
        "gates" => Type::Gates,
        _ => Type::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_is_found_with_its_types() {
        let api = list("kube-apiserver").unwrap();
        assert!(api.is_whole && api.flags.len() > 170);
        assert_eq!(api.type_of("profiling"), Some(Type::Switch));
        assert_eq!(api.type_of("feature-gates"), Some(Type::Gates));
        assert_eq!(api.type_of("request-timeout"), Some(Type::Duration));
        assert_eq!(api.type_of("etcd-servers"), Some(Type::Text));
        assert_eq!(api.type_of("no-such-flag"), None);
        let etcd = list("etcd").unwrap();
        assert!(!etcd.is_whole && etcd.type_of("snapshot-count") == Some(Type::Whole));
        assert!(list("pod-checkpointer").is_none());
    }
}
