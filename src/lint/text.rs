//! Texts of a pod in which a program may be given names: command lines, environment, files of
//! ConfigMaps. Variables are replaced as far as their values are known.

use std::collections::BTreeMap;

use serde_json::Value;

use super::workload::{Workload, namespace};
use crate::assets::command::container_words;
use crate::assets::object::Object;

/// What stands for a value that is not known: it is no character of a host name.
pub const UNKNOWN: char = '*';

/// Environment of a container: name to value.
pub type Environment = BTreeMap<String, String>;

/// The environment of `container`, with values from ConfigMaps that are among `objects`.
pub fn environment(workload: &Workload<'_>, container: &Value, objects: &[Object]) -> Environment {
    let mut known = Environment::new();
    let data = |name: &Value| config_map(workload, name.as_str().unwrap_or_default(), objects);
    for source in list(&container["envFrom"]) {
        let prefix = source["prefix"].as_str().unwrap_or_default();
        let pairs = data(&source["configMapRef"]["name"]).and_then(Value::as_object).into_iter().flatten();
        let text =
            |(key, value): (&String, &Value)| Some((format!("{prefix}{key}"), value.as_str()?.to_owned()));
        known.extend(pairs.filter_map(text));
    }
    for variable in list(&container["env"]) {
        let (Some(name), from) = (variable["name"].as_str(), &variable["valueFrom"]) else { continue };
        let reference = &from["configMapKeyRef"];
        let of_map =
            || data(&reference["name"])?.get(reference["key"].as_str()?)?.as_str().map(str::to_owned);
        let of_pod = || {
            (from["fieldRef"]["fieldPath"] == "metadata.namespace")
                .then(|| namespace(workload.object).to_owned())
        };
        let value = match variable["value"].as_str() {
            Some(text) => expand(text, &known),
            None if from.is_null() => String::new(),
            None => of_map().or_else(of_pod).unwrap_or_else(|| UNKNOWN.to_string()),
        };
        known.insert(name.to_owned(), value);
    }
    known
}

/// The words of a container's command line.
pub fn command_line(container: &Value, environment: &Environment) -> Vec<String> {
    container_words(container).map(|word| expand(word, environment)).collect()
}

/// The texts of ConfigMaps among `objects` that the pods mount.
pub fn mounted<'a>(workload: &Workload<'_>, objects: &'a [Object]) -> Vec<&'a str> {
    let names = list(&workload.spec()["volumes"]).filter_map(|volume| volume["configMap"]["name"].as_str());
    let maps = names.filter_map(|name| config_map(workload, name, objects)?.as_object());
    maps.flat_map(|map| map.values().filter_map(Value::as_str)).collect()
}

fn config_map<'a>(workload: &Workload<'_>, name: &str, objects: &'a [Object]) -> Option<&'a Value> {
    let is_it = |object: &&Object| {
        (object.group(), object.kind(), object.name()) == ("", "ConfigMap", name)
            && namespace(object) == namespace(workload.object)
    };
    objects.iter().find(is_it).map(|object| &object.value["data"])
}

/// The items of a list, if it is one.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Replaces `$(NAME)`, `${NAME}` and `$NAME` by what is known, and by [`UNKNOWN`] what else a shell
/// would replace, such as `$(hostname)` and `{0,1,2}`.
pub fn expand(text: &str, environment: &Environment) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '{', '`']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let (replaced, length) = match rest.as_bytes() {
            [b'$', b'(' | b'{', ..] => enclosed(rest, 2),
            [b'$', ..] => (Some(identifier(&rest[1..])), 1 + identifier(&rest[1..]).len()),
            [b'{', ..] if is_braces(rest) => enclosed(rest, 1),
            [b'`', ..] if rest[1..].contains('`') => (None, 2 + rest[1..].find('`').unwrap_or(0)),
            _ => (Some(""), 1),
        };
        match replaced {
            Some("") => expanded.push_str(&rest[..length]),
            Some(name) => match environment.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.push(UNKNOWN),
            },
            None => expanded.push(UNKNOWN),
        }
        rest = &rest[length..];
    }
    expanded + rest
}

/// What is between brackets that begin before `start`, if it is a name, and where it ends.
fn enclosed(text: &str, start: usize) -> (Option<&str>, usize) {
    let Some(end) = text.find([')', '}']) else { return (Some(""), start) };
    let inner = &text[start..end];
    (Some(inner).filter(|inner| !inner.is_empty() && identifier(inner) == *inner), end + 1)
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether a shell would make several words of `{…}`.
fn is_braces(text: &str) -> bool {
    let inner = text[1..].split_once('}').map(|(inner, _)| inner);
    inner.is_some_and(|inner| {
        (inner.contains(',') || inner.contains(".."))
            && inner.chars().all(|c| c.is_ascii_alphanumeric() || ",.-".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_far_as_they_are_known() {
        let known =
            Environment::from([("NAME".to_owned(), "hab".to_owned()), ("N_1".to_owned(), "x".to_owned())]);
        for (text, expected) in [
            ("a $(NAME).b", "a hab.b"),
            ("${NAME}-${N_1}", "hab-x"),
            ("$NAME.$N_1/$OTHER", "hab.x/*"),
            ("$(hostname -f).${X:-y}", "*.*"),
            ("`hostname`.b", "*.b"),
            ("hab-{0,1,2}.hab {0..2}", "hab-*.hab *"),
            ("{\"a\": {b}} $ 5$", "{\"a\": {b}} $ 5$"),
            ("$(open", "$(open"),
            ("ä$NAMEä", "ähabä"),
        ] {
            assert_eq!(expand(text, &known), expected, "{text}");
        }
    }
}
