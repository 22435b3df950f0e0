//! A Kubernetes object from a file: untyped, so that every kind that a cluster serves can be
//! applied.
//!
//! Lists are expanded here. The objects themselves are not changed: a field that is null stays
//! null.

use std::fmt;

use serde_json::{Map, Value};

use super::kinds::{self, Mistake};
use crate::finding::Finding;
use crate::yaml::Document;

/// An object and where it came from. It has an apiVersion, a kind and a name.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// The object itself.
    pub value: Value,
    /// The file, as the user would name it.
    pub file: String,
    /// Where in the file, such as `document 2` and `document 2, items[3]`.
    pub place: String,
}

impl Object {
    /// The objects of a document: one, or the items of a list.
    pub fn from_document(document: Document, file: &str) -> Result<Vec<Self>, Vec<Finding>> {
        let mut found =
            Expansion { file, document: document.number, objects: Vec::new(), findings: Vec::new() };
        found.expand(document.value, "");
        match found.findings.is_empty() {
            true => Ok(found.objects),
            false => Err(found.findings),
        }
    }

    /// Group and version, such as `apps/v1`.
    pub fn api_version(&self) -> &str {
        text(&self.value["apiVersion"])
    }

    /// The group alone; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// Such as `DaemonSet`.
    pub fn kind(&self) -> &str {
        text(&self.value["kind"])
    }

    /// The namespace in the file. An object without one may still belong to the default namespace.
    pub fn namespace(&self) -> Option<&str> {
        Some(text(&self.value["metadata"]["namespace"])).filter(|namespace| !namespace.is_empty())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        text(&self.value["metadata"]["name"])
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `Kind namespace/name`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind())?;
        if let Some(namespace) = self.namespace() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(self.name())
    }
}

/// Shows names only: the object may be a Secret.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({}, {})", self.file, self.place)
    }
}

const CORRECT: &str = "correct the file, or remove it";

struct Expansion<'a> {
    file: &'a str,
    document: usize,
    objects: Vec<Object>,
    findings: Vec<Finding>,
}

impl Expansion<'_> {
    /// `path` is the place of the value in its document: empty, or like `items[3].`.
    fn expand(&mut self, value: Value, path: &str) {
        let Value::Object(mut fields) = value else {
            let problem = "an object (a mapping with apiVersion and kind) is expected here";
            return self.find(path.trim_end_matches('.'), problem, CORRECT);
        };
        match is_list(&fields) {
            true => self.expand_list(&mut fields, path),
            false => self.check(fields, path),
        }
    }

    fn expand_list(&mut self, list: &mut Map<String, Value>, path: &str) {
        let Some(Value::Array(items)) = list.remove("items") else { return };
        for (i, mut item) in items.into_iter().enumerate() {
            if let Value::Object(item) = &mut item {
                inherit(item, list);
            }
            self.expand(item, &format!("{path}items[{i}]."));
        }
    }

    fn check(&mut self, fields: Map<String, Value>, path: &str) {
        let before = self.findings.len();
        for field in ["apiVersion", "kind"] {
            self.check_text(fields.get(field), true, &format!("{path}{field}"));
        }
        if self.findings.len() == before && self.has_no_such_kind(&fields, path) {
            return;
        }
        self.check_names(fields.get("metadata").unwrap_or(&Value::Null), path);
        if self.findings.len() == before {
            let item = path.trim_end_matches('.');
            let item = if item.is_empty() { String::new() } else { format!(", {item}") };
            let place = format!("document {}{item}", self.document);
            self.objects.push(Object { value: fields.into(), file: self.file.to_owned(), place });
        }
    }

    fn has_no_such_kind(&mut self, fields: &Map<String, Value>, path: &str) -> bool {
        let field = |name| fields.get(name).map_or("", text);
        let mistake = kinds::mistake(field("apiVersion"), field("kind"));
        if let Some(Mistake { problem, cure }) = &mistake {
            self.find(&format!("{path}kind:"), problem, cure);
        }
        mistake.is_some()
    }

    /// A generated name is a new one each time, so an object that has one cannot be applied.
    fn check_names(&mut self, metadata: &Value, path: &str) {
        let generated = metadata.get("generateName").filter(|prefix| !prefix.is_null());
        let has_name = metadata.get("name").is_some_and(|name| !name.is_null() && name != "");
        if generated.is_some() && !has_name {
            let problem = "makes another object each time it is sent, so it cannot be applied";
            let cure = "give the object a name of its own (metadata.name)";
            return self.find(&format!("{path}metadata.generateName"), problem, cure);
        }
        for (field, is_needed) in [("name", true), ("namespace", false)] {
            self.check_text(metadata.get(field), is_needed, &format!("{path}metadata.{field}"));
        }
    }

    fn check_text(&mut self, value: Option<&Value>, is_needed: bool, field: &str) {
        match value.unwrap_or(&Value::Null) {
            Value::String(text) if !text.is_empty() || !is_needed => {}
            Value::Null if !is_needed => {}
            Value::Null | Value::String(_) => self.find(field, "is missing", CORRECT),
            _ => self.find(field, "is not a string (quotes make it one)", CORRECT),
        }
    }

    fn find(&mut self, field: &str, problem: &str, cure: &str) {
        self.findings.push(Finding {
            field: self.file.to_owned(),
            value: format!("document {}", self.document),
            problem: format!("{field} {problem}").trim_start().to_owned(),
            cure: cure.to_owned(),
        });
    }
}

/// Whether this is `v1` `List`, or a typed list as `kubectl get` once wrote them. A list has no
/// name; a custom resource whose kind happens to end so has one.
fn is_list(fields: &Map<String, Value>) -> bool {
    let kind = fields.get("kind").map_or("", text);
    let has_name = fields.get("metadata").is_some_and(|metadata| metadata["name"].is_string());
    kind == "List"
        || (kind.ends_with("List") && fields.get("items").is_some_and(Value::is_array) && !has_name)
}

/// Items of a typed list may leave out what the list says.
fn inherit(item: &mut Map<String, Value>, list: &Map<String, Value>) {
    let kind = list.get("kind").map_or("", text);
    let kind = kind.strip_suffix("List").unwrap_or_default();
    if let (false, Some(version)) = (kind.is_empty(), list.get("apiVersion")) {
        item.entry("apiVersion").or_insert_with(|| version.clone());
        item.entry("kind").or_insert_with(|| kind.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn expand(value: Value) -> Result<Vec<String>, Vec<String>> {
        match Object::from_document(Document { number: 2, value }, "f.yaml") {
            Ok(objects) => Ok(objects.iter().map(ToString::to_string).collect()),
            Err(findings) => Err(findings.iter().map(ToString::to_string).collect()),
        }
    }

    fn pod(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n"}})
    }

    #[test]
    fn objects_are_shown_by_kind_namespace_and_name() {
        assert_eq!(expand(pod("a")).unwrap(), ["Pod n/a"]);
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "x", "namespace": null}});
        assert_eq!(expand(node).unwrap(), ["Node x"]);
    }

    #[test]
    fn lists_are_taken_apart() {
        let inner = json!({"apiVersion": "v1", "kind": "List", "items": [pod("c")]});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod("a"), pod("b"), inner]});
        assert_eq!(expand(list).unwrap(), ["Pod n/a", "Pod n/b", "Pod n/c"]);
        let typed = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"name": "d"}}]});
        assert_eq!(expand(typed).unwrap(), ["Deployment d"]);
        assert_eq!(expand(json!({"apiVersion": "v1", "kind": "List"})).unwrap(), [] as [String; 0]);
        let custom =
            json!({"apiVersion": "a.b/v1", "kind": "AllowList", "metadata": {"name": "x"}, "items": []});
        assert_eq!(expand(custom).unwrap(), ["AllowList x"]);
    }

    #[test]
    fn an_object_knows_its_place() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [pod("a"), {"apiVersion": "v1", "kind": "List", "items": [pod("b")]}]});
        let objects = Object::from_document(Document { number: 2, value: list }, "f").unwrap();
        let places: Vec<&str> = objects.iter().map(|object| object.place.as_str()).collect();
        assert_eq!(places, ["document 2, items[0]", "document 2, items[1].items[0]"]);
    }

    #[test]
    fn a_generated_name_and_a_kind_that_no_api_serves_are_refused() {
        let job = |metadata| expand(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata}));
        let said = job(json!({"generateName": "j-"})).unwrap_err().remove(0);
        assert!(said.contains("metadata.generateName") && said.contains("metadata.name"), "{said}");
        assert!(job(json!({"generateName": "j-", "name": ""})).is_err());
        assert_eq!(job(json!({"generateName": "j-", "name": "j"})).unwrap(), ["Job j"]);
        let misspelt = json!({"apiVersion": "apps/v1", "kind": "Deploymnet", "metadata": {"name": "d"}});
        let said = expand(misspelt).unwrap_err().remove(0);
        assert!(
            said.starts_with("f.yaml: document 2: kind: ") && said.contains("did you mean Deployment"),
            "{said}"
        );
    }

    #[test]
    fn nulls_stay() {
        let value =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": null}});
        let document = Document { number: 1, value: value.clone() };
        assert_eq!(Object::from_document(document, "f").unwrap()[0].value, value);
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let list =
            json!({"kind": "List", "items": [pod("a"), {"apiVersion": "v1", "metadata": {"name": 5}}, 7]});
        let expected = [
            "f.yaml: document 2: items[1].kind is missing; correct the file, or remove it",
            "f.yaml: document 2: items[1].metadata.name is not a string (quotes make it one); correct the file, or remove it",
            "f.yaml: document 2: items[2] an object (a mapping with apiVersion and kind) is expected here; correct the file, or remove it",
        ];
        assert_eq!(expand(list).unwrap_err(), expected);
        let no_name = json!({"apiVersion": "v1", "kind": "Pod", "metadata": null});
        assert_eq!(
            expand(no_name).unwrap_err(),
            ["f.yaml: document 2: metadata.name is missing; correct the file, or remove it"]
        );
    }
}
