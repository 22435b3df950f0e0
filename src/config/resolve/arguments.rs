//! Flags of components (`extraArgs`): each in the one form in which Kubernetes reads it, with its
//! values. A flag that belongs to a field or to the hand-over is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Component;
use super::super::settings::ComponentSettings;
use crate::limits::flags::{self, Owner, Several};
use crate::values::mistakes::{Checked, Given, Mistakes, fault};

/// A flag that the user sets: its name in normal form, where it is, and its values. None of them
/// removes the flag.
pub(in super::super) struct Argument {
    pub part: Component,
    pub name: String,
    pub at: String,
    pub values: Vec<String>,
}

/// Every flag of every component that is rendered. Wrong ones become findings and are left out.
pub(super) fn read(
    settings: &BTreeMap<Component, ComponentSettings>,
    is_rendered: impl Fn(Component) -> bool,
    mistakes: &mut Mistakes,
) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    for (&part, given) in settings.iter().filter(|(part, _)| is_rendered(**part)) {
        for (written, value) in &given.extra_args {
            let Some(argument) = argument(part, written, value, mistakes) else { continue };
            match arguments.iter().find(|earlier| earlier.part == part && earlier.name == argument.name) {
                Some(earlier) => {
                    let problem = format!("is the same flag as {}", earlier.at);
                    let cure = "keep one of them; Kubernetes reads `_` in a flag as `-`";
                    mistakes.refuse(&argument.at, "", problem, cure);
                }
                None => arguments.push(argument),
            }
        }
    }
    arguments
}

/// The flags of one component, as they are rendered.
pub(super) fn of(part: Component, arguments: &[Argument]) -> BTreeMap<String, Vec<String>> {
    let own = arguments.iter().filter(|argument| argument.part == part);
    own.map(|argument| (argument.name.clone(), argument.values.clone())).collect()
}

fn argument(
    part: Component,
    written: &str,
    value: &Given<Value>,
    mistakes: &mut Mistakes,
) -> Option<Argument> {
    let name = flags::normal(part.name(), written);
    let checked = free(part, &name).and_then(|()| spelt(part, written, &name));
    let checked = checked.and_then(|()| values(part, &name, &value.value));
    let checked = checked.and_then(|values| several_issuers(&name, values));
    match checked {
        Ok(values) => {
            if name != written {
                mistakes.warn(&value.at, format!("is read as {name}"));
            }
            Some(Argument { part, name, at: value.at.clone(), values })
        }
        Err(fault) => {
            let shown = match &value.value {
                Value::Bool(_) | Value::Number(_) => value.value.to_string(),
                _ => String::new(),
            };
            mistakes.refuse(&value.at, &shown, fault.problem, fault.cure);
            None
        }
    }
}

/// Whether nothing else sets the flag.
fn free(part: Component, name: &str) -> Checked<()> {
    match flags::owner(part.name(), name) {
        None => Ok(()),
        Some(Owner::Field(field)) => fault(
            format!("is set by bootkube from {field}, which other parts of the cluster follow, too"),
            format!("remove it and set {field}"),
        ),
        Some(Owner::Bootkube(problem, cure)) => fault(problem, cure),
        Some(Owner::Gone(cure)) => {
            fault(format!("is no flag of {}: no supported version has it any more", part.name()), cure)
        }
    }
}

/// Whether the flag is written as its component reads it.
fn spelt(part: Component, written: &str, name: &str) -> Checked<()> {
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_');
    if name.is_empty() || !name.bytes().all(inner) {
        return fault("is not a flag name", "use letters, digits and dashes");
    }
    let component = part.name();
    let dashed = if component == "flannel" { written.to_owned() } else { written.replace('_', "-") };
    if dashed == name && (dashed == written || flags::reads_underscores(component)) {
        return Ok(());
    }
    let problem = match () {
        () if dashed != name && dashed.to_ascii_lowercase() == name => {
            "has a capital letter, which no flag has"
        }
        () if dashed == name => "has a `_`, which this program does not read as `-`",
        () => "is not a bare flag name",
    };
    fault(problem, format!("write `{name}: \"value\"`, without dashes in front and `=`"))
}

/// The values of a flag: none for `null`, one for a text, each of a list.
fn values(part: Component, name: &str, value: &Value) -> Checked<Vec<String>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => single(part, name, text),
        Value::Array(items) => list(part, name, items),
        Value::Bool(_) | Value::Number(_) => fault("is not a text", format!("put it in quotes: \"{value}\"")),
        Value::Object(_) => fault("is a mapping", "write the flag's value as one text in quotes"),
    }
}

/// A field says the issuer. Several are for the flag: the field has no place for them.
fn several_issuers(name: &str, values: Vec<String>) -> Checked<Vec<String>> {
    match name {
        "service-account-issuer" if values.len() < 2 => fault(
            "is set by bootkube from serviceAccountIssuer",
            "remove it and set serviceAccountIssuer; for several issuers write a list, the one that signs first",
        ),
        _ => Ok(values),
    }
}

fn single(part: Component, name: &str, text: &str) -> Checked<Vec<String>> {
    // The name of a key pair has a comma of its own: `certificate,key`.
    let is_list = name.starts_with("service-account-") && text.contains(',');
    if is_list && flags::several(part.name(), name) == Several::Repeated {
        let items = text.split(',').map(|item| format!("\"{}\"", item.trim())).collect::<Vec<_>>();
        return fault(
            "holds a comma, which this flag takes for a part of its one value",
            format!("write a list: [{}]; the flag is then given once for each", items.join(", ")),
        );
    }
    Ok(vec![text.into()])
}

fn list(part: Component, name: &str, items: &[Value]) -> Checked<Vec<String>> {
    let texts: Option<Vec<String>> = items.iter().map(|item| Some(item.as_str()?.to_owned())).collect();
    let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
        return fault("is not a list of texts", "put each item in quotes, or write null to remove the flag");
    };
    if let Some(twice) = texts.iter().enumerate().find(|(at, text)| texts[..*at].contains(text)) {
        return fault(format!("has {} twice", twice.1), "keep it once");
    }
    match flags::several(part.name(), name) {
        Several::No if texts.len() > 1 => fault(
            "is a list, but this flag takes one value: of several the last alone would count",
            "write one text in quotes",
        ),
        _ => Ok(texts),
    }
}
