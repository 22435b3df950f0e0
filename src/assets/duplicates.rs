//! Objects that a directory holds twice. All objects of a stage are sent at the same time, so chance
//! would decide which of the two stays.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::kinds;
use super::object::Object;
use crate::finding::Finding;

/// What the API takes for one object: versions of a group are views of the same objects.
type Key = (String, String, String, String);

/// A finding for each object that another one before it is, too.
pub fn find(objects: &[Object]) -> Vec<Finding> {
    pairs(objects).into_iter().map(|(object, first)| finding(object, first)).collect()
}

/// Each object that another one before it is, too, with that one.
pub fn pairs(objects: &[Object]) -> Vec<(&Object, &Object)> {
    let scopes = scopes(objects);
    let mut seen: BTreeMap<Key, &Object> = BTreeMap::new();
    let mut pairs = Vec::new();
    for object in objects {
        match seen.entry(key(object, &scopes)) {
            Entry::Occupied(first) => pairs.push((object, *first.get())),
            Entry::Vacant(free) => drop(free.insert(object)),
        }
    }
    pairs
}

fn finding(object: &Object, first: &Object) -> Finding {
    Finding {
        field: object.file.clone(),
        value: object.place.clone(),
        problem: format!("{object} is in {}, {}, too", first.file, first.place),
        cure: "remove one of the two, or give it another name".to_owned(),
    }
}

fn key(object: &Object, scopes: &BTreeMap<(String, String), bool>) -> Key {
    let (group, kind) = (object.group().to_owned(), object.kind().to_owned());
    let defined = || scopes.get(&(group.clone(), kind.clone())).copied();
    let is_namespaced = kinds::is_namespaced(&group, &kind).or_else(defined).unwrap_or(true);
    let namespace = if is_namespaced { object.namespace().unwrap_or("default") } else { "" };
    (group, kind, namespace.to_owned(), object.name().to_owned())
}

/// Whether objects of each kind are in namespaces, by the definitions among `objects`.
fn scopes(objects: &[Object]) -> BTreeMap<(String, String), bool> {
    let definitions = objects.iter().filter(|object| object.kind() == "CustomResourceDefinition");
    let scope = |object: &Object| {
        let spec = &object.value["spec"];
        let (group, kind) = (spec["group"].as_str()?, spec["names"]["kind"].as_str()?);
        Some(((group.to_owned(), kind.to_owned()), spec["scope"] != "Cluster"))
    };
    definitions.filter_map(scope).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn found(text: &str) -> Vec<String> {
        let documents = yaml::documents(text, "f").unwrap();
        let objects: Vec<Object> = documents
            .into_iter()
            .flat_map(|document| Object::from_document(document, "f").unwrap())
            .collect();
        find(&objects).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_object_is_the_same_across_versions_and_spellings_of_its_namespace() {
        for (one, other) in [
            (
                "v1, kind: ConfigMap, metadata: {name: a}",
                "v1, kind: ConfigMap, metadata: {name: a, namespace: default}",
            ),
            (
                "v1, kind: Namespace, metadata: {name: a}",
                "v1, kind: Namespace, metadata: {name: a, namespace: x}",
            ),
            (
                "autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: a}",
                "autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: a}",
            ),
            (
                "example.com/v1, kind: Toy, metadata: {name: a}",
                "example.com/v2, kind: Toy, metadata: {name: a}",
            ),
        ] {
            let said = found(&format!("{{apiVersion: {one}}}\n---\n{{apiVersion: {other}}}\n"));
            assert_eq!(said.len(), 1, "{one}: {said:?}");
            assert!(
                said[0].starts_with("f: document 2: ") && said[0].contains("is in f, document 1, too"),
                "{said:?}"
            );
        }
    }

    #[test]
    fn a_definition_says_whether_a_namespace_counts() {
        let definition = |scope| {
            format!(
                "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{name: toys.example.com}}, \
                 spec: {{group: example.com, scope: {scope}, names: {{kind: Toy}}}}}}\n"
            )
        };
        let toys = "---\n{apiVersion: example.com/v1, kind: Toy, metadata: {name: a}}\n\
            ---\n{apiVersion: example.com/v1, kind: Toy, metadata: {name: a, namespace: b}}\n";
        assert_eq!(found(&(definition("Cluster") + toys)).len(), 1);
        assert_eq!(found(&(definition("Namespaced") + toys)), [] as [&str; 0]);
    }

    #[test]
    fn objects_that_only_look_alike_are_two() {
        let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n\
            {apiVersion: v1, kind: Secret, metadata: {name: a}}\n---\n\
            {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}\n---\n\
            {apiVersion: example.com/v1, kind: ConfigMap, metadata: {name: a}}\n";
        assert_eq!(found(text), [] as [&str; 0]);
    }
}
