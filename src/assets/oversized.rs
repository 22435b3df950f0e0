//! Files of an asset directory whose objects are too large for the API.

use std::collections::BTreeMap;

use super::object::{Object, Why};
use crate::finding::Finding;
use crate::yaml;

/// Whether the file at `path` of an asset directory is one of objects.
pub fn is_manifest(path: &str) -> bool {
    path.starts_with("manifests") && !path.contains("/.")
}

/// A finding for each object of `files` that is too large. Other mistakes are not its business.
pub fn find(files: &BTreeMap<String, Vec<u8>>) -> Vec<Finding> {
    let texts = files.iter().filter_map(|(path, content)| Some((path, std::str::from_utf8(content).ok()?)));
    let manifests = texts.filter(|(path, _)| is_manifest(path));
    let documents = manifests.flat_map(|(path, text)| {
        yaml::documents(text, path).unwrap_or_default().into_iter().map(move |document| (path, document))
    });
    let faults = documents.flat_map(|(path, document)| Object::read(document, path).1);
    faults.filter(|fault| fault.why == Why::TooLarge).map(|fault| fault.finding).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_files_objects_that_are_too_large_are_named_and_nothing_else() {
        let data = json!({"a": "x".repeat((1 << 20) + 1)});
        let large = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        let text = format!("{{apiVersion: v1, kind: Secert, metadata: {{name: s}}}}\n---\n{large}\n");
        let files = [("manifests/a.yaml", text.as_str()), ("manifests/b.yaml", "["), ("tls/ca.key", &text)];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let found = find(&BTreeMap::from(files));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("manifests/a.yaml: document 2: ConfigMap a is too large"));
    }
}
