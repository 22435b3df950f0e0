//! A Kubernetes object from a file: untyped, so that every kind that a cluster serves can be
//! applied.
//!
//! Lists are expanded here. The objects themselves are not changed: a field that is null stays
//! null.

use std::fmt;

use serde_json::{Map, Value};

use super::kinds::{self, Mistake};
use super::{removed, size};
use crate::finding::Finding;
use crate::yaml::{Document, Source};

/// An object and where it came from. It has an apiVersion, a kind and a name.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// The object itself.
    pub value: Value,
    /// The file, as the user would name it.
    pub file: String,
    /// Where in the file, such as `document 2` and `document 2, items[3]`.
    pub place: String,
    /// The same, for line numbers.
    pub source: Source,
}

/// Why an object is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its API version was removed.
    Removed,
    /// It is larger than the API takes.
    TooLarge,
    /// Anything else.
    Other,
}

/// A part of a document that is no object, or one that is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The line of the file.
    pub line: usize,
    /// Kind and name, as far as it has them.
    pub object: String,
    /// Why.
    pub why: Why,
    /// The same in words.
    pub finding: Finding,
}

impl Object {
    /// The objects of a document: one, or the items of a list.
    pub fn from_document(document: Document, file: &str) -> Result<Vec<Self>, Vec<Finding>> {
        match Self::read(document, file) {
            (objects, faults) if faults.is_empty() => Ok(objects),
            (_, faults) => Err(faults.into_iter().map(|fault| fault.finding).collect()),
        }
    }

    /// The same, with what is well beside what is not.
    pub fn read(document: Document, file: &str) -> (Vec<Self>, Vec<Fault>) {
        let Document { number, value, source } = document;
        let mut found = Expansion { file, document: number, source, objects: Vec::new(), faults: Vec::new() };
        found.expand(value, "");
        (found.objects, found.faults)
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

    /// The line of a part of it, by the part's JSON pointer. Empty for the object.
    pub fn line(&self, pointer: &str) -> usize {
        self.source.line(pointer)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `Kind namespace/name`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&label(&self.value))
    }
}

/// As far as they are there.
fn label(value: &Value) -> String {
    let namespace = text(&value["metadata"]["namespace"]);
    let slash = if namespace.is_empty() { "" } else { "/" };
    let label = format!("{} {namespace}{slash}{}", text(&value["kind"]), text(&value["metadata"]["name"]));
    label.trim().to_owned()
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
    source: Source,
    objects: Vec<Object>,
    faults: Vec<Fault>,
}

impl Expansion<'_> {
    /// `path` is the place of the value in its document: empty, or like `items[3].`.
    fn expand(&mut self, value: Value, path: &str) {
        if !value.is_object() {
            let problem = "an object (a mapping with apiVersion and kind) is expected here";
            return self.find(&Value::Null, path.trim_end_matches('.'), problem, CORRECT);
        }
        match is_list(&value) {
            true => self.expand_list(value, path),
            false => self.check(value, path),
        }
    }

    fn expand_list(&mut self, mut list: Value, path: &str) {
        let Value::Array(items) = list["items"].take() else { return };
        for (i, mut item) in items.into_iter().enumerate() {
            if let Value::Object(item) = &mut item {
                inherit(item, &list);
            }
            self.expand(item, &format!("{path}items[{i}]."));
        }
    }

    fn check(&mut self, value: Value, path: &str) {
        let before = self.faults.len();
        for field in ["apiVersion", "kind"] {
            self.check_text(&value, &value[field], true, &format!("{path}{field}"));
        }
        if self.faults.len() == before && self.has_no_such_kind(&value, path) {
            return;
        }
        self.check_names(&value, path);
        if self.faults.len() > before {
            return;
        }
        let item = path.trim_end_matches('.');
        if let Some(Mistake { problem, cure }) = size::mistake(&value) {
            let problem = format!("{} {problem}", label(&value));
            return self.refuse(Why::TooLarge, &value, item, &problem, &cure);
        }
        let comma = if item.is_empty() { "" } else { ", " };
        let place = format!("document {}{comma}{item}", self.document);
        let source = self.source.part(&pointer(item));
        self.objects.push(Object { value, file: self.file.to_owned(), place, source });
    }

    fn has_no_such_kind(&mut self, value: &Value, path: &str) -> bool {
        let (version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
        let Some(Mistake { problem, cure }) = kinds::mistake(version, kind) else { return false };
        match removed::find(version, kind) {
            Some(_) => {
                let problem = format!("{path}apiVersion: {problem}");
                self.refuse(Why::Removed, value, &format!("{path}apiVersion"), &problem, &cure);
            }
            None => {
                let problem = format!("{path}kind: {problem}");
                self.refuse(Why::Other, value, &format!("{path}kind"), &problem, &cure);
            }
        }
        true
    }

    /// A generated name is a new one each time, so an object that has one cannot be applied.
    fn check_names(&mut self, value: &Value, path: &str) {
        let metadata = &value["metadata"];
        let has_name = !metadata["name"].is_null() && metadata["name"] != "";
        if !metadata["generateName"].is_null() && !has_name {
            let problem = "makes another object each time it is sent, so it cannot be applied";
            let cure = "give the object a name of its own (metadata.name)";
            return self.find(value, &format!("{path}metadata.generateName"), problem, cure);
        }
        for (field, is_needed) in [("name", true), ("namespace", false)] {
            self.check_text(value, &metadata[field], is_needed, &format!("{path}metadata.{field}"));
        }
    }

    fn check_text(&mut self, object: &Value, value: &Value, is_needed: bool, field: &str) {
        match value {
            Value::String(text) if !text.is_empty() || !is_needed => {}
            Value::Null if !is_needed => {}
            Value::Null | Value::String(_) => self.find(object, field, "is missing", CORRECT),
            _ => self.find(object, field, "is not a string (quotes make it one)", CORRECT),
        }
    }

    fn find(&mut self, object: &Value, field: &str, problem: &str, cure: &str) {
        self.refuse(Why::Other, object, field, format!("{field} {problem}").trim_start(), cure);
    }

    /// `field` is the place in the document, such as `items[3].kind`.
    fn refuse(&mut self, why: Why, object: &Value, field: &str, problem: &str, cure: &str) {
        let (line, object) = (self.source.line(&pointer(field)), label(object));
        let finding = Finding {
            field: self.file.to_owned(),
            value: format!("document {}", self.document),
            problem: problem.to_owned(),
            cure: cure.to_owned(),
        };
        self.faults.push(Fault { line, object, why, finding });
    }
}

/// The JSON pointer of a place such as `items[3].kind`.
fn pointer(place: &str) -> String {
    let labels = place.split(['.', '[']).filter(|label| !label.is_empty());
    labels.map(|label| format!("/{}", label.trim_end_matches(']'))).collect()
}

/// Whether this is `v1` `List`, or a typed list as `kubectl get` once wrote them. A list has no
/// name; a custom resource whose kind happens to end so has one.
fn is_list(value: &Value) -> bool {
    let (kind, has_name) = (text(&value["kind"]), value["metadata"]["name"].is_string());
    kind == "List" || (kind.ends_with("List") && value["items"].is_array() && !has_name)
}

/// Items of a typed list may leave out what the list says.
fn inherit(item: &mut Map<String, Value>, list: &Value) {
    let kind = text(&list["kind"]).strip_suffix("List").unwrap_or_default();
    if let (false, Some(version)) = (kind.is_empty(), list.get("apiVersion")) {
        item.entry("apiVersion").or_insert_with(|| version.clone());
        item.entry("kind").or_insert_with(|| kind.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml;

    fn document(number: usize, value: Value) -> Document {
        Document { number, value, source: Source::default() }
    }

    fn expand(value: Value) -> Result<Vec<String>, Vec<String>> {
        match Object::from_document(document(2, value), "f.yaml") {
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
        let objects = Object::from_document(document(2, list), "f").unwrap();
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
    fn objects_and_faults_have_lines() {
        let text = "---\nkind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: p\n\
            - {kind: Ingress,\n   apiVersion: extensions/v1beta1, metadata: {name: i, namespace: web}}\n- kind: Pod\n";
        let document = yaml::documents(text, "f").unwrap().remove(0);
        let (objects, faults) = Object::read(document, "f");
        assert_eq!((objects[0].line(""), objects[0].line("/metadata/name")), (5, 8));
        let told: Vec<_> =
            faults.iter().map(|fault| (fault.line, fault.object.as_str(), fault.why)).collect();
        let expected =
            [(10, "Ingress web/i", Why::Removed), (11, "Pod", Why::Other), (11, "Pod", Why::Other)];
        assert_eq!(told, expected);
    }

    #[test]
    fn nulls_stay() {
        let value =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": null}});
        assert_eq!(Object::from_document(document(1, value.clone()), "f").unwrap()[0].value, value);
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
