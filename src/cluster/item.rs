//! An object to apply, and what the API has to be sent for it.

use serde_json::Value;

use super::crd;
use super::discovery::Target;
use super::retry::Expected;

/// An object to apply.
#[derive(Clone)]
pub struct Item {
    /// File it came from, for messages.
    pub file: String,
    /// The object.
    pub value: Value,
}

impl Item {
    /// `Kind namespace/name`, for messages.
    pub fn label(&self) -> String {
        let text = |pointer| self.value.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind").unwrap_or("object without kind");
        let name = text("/metadata/name").unwrap_or("(no name)");
        match text("/metadata/namespace") {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }
    }
}

/// The namespaces and kinds that `items` will create.
pub(super) fn expected(items: &[&Item]) -> Expected {
    let text = |item: &Item, pointer| item.value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut expected = Expected::default();
    let aggregated: Vec<(String, String)> = items
        .iter()
        .filter(|item| text(item, "/kind").as_deref() == Some("APIService"))
        .filter_map(|item| text(item, "/spec/group").zip(text(item, "/spec/version")))
        .collect();
    for item in items {
        let of_item = |(group, version): &&(String, String)| {
            text(item, "/apiVersion").is_some_and(|own| own == format!("{group}/{version}"))
        };
        if let Some((group, _)) = aggregated.iter().find(of_item) {
            expected.kinds.extend(text(item, "/kind").map(|kind| (group.clone(), kind)));
        }
        match text(item, "/kind").as_deref() {
            Some("Namespace") => expected.namespaces.extend(text(item, "/metadata/name")),
            Some(crd::KIND) => {
                let kind = text(item, "/spec/group").zip(text(item, "/spec/names/kind"));
                expected.kinds.extend(kind);
            }
            _ => {}
        }
    }
    expected
}

/// What identifies an object.
pub(super) struct Identity {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

impl Identity {
    pub(super) fn from_value(value: &Value) -> Result<Self, String> {
        let text = |pointer: &str| {
            value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let need = |pointer: &str, field: &str| {
            text(pointer).ok_or_else(|| format!("{field} is missing or not a string"))
        };
        Ok(Self {
            api_version: need("/apiVersion", "apiVersion")?,
            kind: need("/kind", "kind")?,
            name: need("/metadata/name", "metadata.name")?,
            namespace: text("/metadata/namespace"),
        })
    }
}

/// The object as server-side apply needs it:
///
/// - without the fields that only the API sets, which an exported object still has;
/// - without fields of its metadata that are null, as Helm renders `annotations:` without a value: a
///   null takes away what controllers have written there;
/// - with a namespace if and only if its kind is namespaced, since the API refuses a stray one;
/// - with `""` for null in a Secret or ConfigMap. v0.14 wrote `data: {ca.key: null}`, which the API
///   stores as an empty text, so that each further apply of the null would look like a change.
pub(super) fn normalised(value: &Value, target: &Target, namespace: Option<&str>) -> Value {
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in
            ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"]
        {
            metadata.shift_remove(field);
        }
        metadata.retain(|_, value| !value.is_null());
        match namespace {
            Some(namespace) => metadata.insert("namespace".into(), namespace.into()),
            None => metadata.shift_remove("namespace"),
        };
    }
    if target.resource.group.is_empty() && ["Secret", "ConfigMap"].contains(&target.resource.kind.as_str()) {
        for field in ["data", "stringData", "binaryData"] {
            let entries = value.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten();
            entries.filter(|(_, entry)| entry.is_null()).for_each(|(_, entry)| *entry = "".into());
        }
    }
    value
}

#[cfg(test)]
#[path = "item_tests.rs"]
mod tests;
