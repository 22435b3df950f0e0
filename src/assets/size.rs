//! Objects that are too large for the API, by its own limits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::kinds::{self, Mistake};
use crate::limits::table::{ANNOTATIONS, DATA, STORED, Size};

/// What is too large about `object`, and what to do.
pub fn mistake(object: &Value) -> Option<Mistake> {
    let annotations = &object["metadata"]["annotations"];
    let annotations = pairs(annotations).map(|(key, value)| key.len() + length(value)).sum();
    let cure = "move the annotations' text into a ConfigMap, or leave it out";
    let data = "split it into several, or bring the data in an image or a volume";
    match data_of(object) {
        _ if annotations > ANNOTATIONS.bytes => {
            Some(told("its annotations have", annotations, ANNOTATIONS, cure))
        }
        Some(size) => (size > DATA.bytes).then(|| told("its data has", size, DATA, data)),
        None => {
            let size = least_stored(object);
            (size > STORED.bytes).then(|| told("it has", size, STORED, "split it, or shorten its texts"))
        }
    }
}

fn told(what: &str, size: usize, limit: Size, cure: &str) -> Mistake {
    let Size { bytes, shown, .. } = limit;
    let problem = format!("is too large: {what} {size} bytes, and the API takes {bytes} ({shown})");
    Mistake { problem, cure: cure.to_owned() }
}

/// The bytes of an object as it is sent.
pub fn sent(object: &Value) -> usize {
    object.to_string().len()
}

/// Whether the limit of an object is that of its data alone.
pub fn is_data(object: &Value) -> bool {
    data_of(object).is_some()
}

/// The bytes of the values of a ConfigMap or a Secret, decoded.
fn data_of(object: &Value) -> Option<usize> {
    let (texts, encoded) = match (object["apiVersion"].as_str()?, object["kind"].as_str()?) {
        ("v1", "ConfigMap") => ("data", "binaryData"),
        ("v1", "Secret") => ("stringData", "data"),
        _ => return None,
    };
    let texts = &object[texts];
    // A text of a Secret takes the place of the value that has its key.
    let encoded = pairs(&object[encoded]).filter(|(key, _)| texts.get(key).is_none());
    let bytes = |value: &Value| {
        let text: String = value.as_str().unwrap_or_default().split_whitespace().collect();
        STANDARD.decode(&text).map_or(text.len(), |bytes| bytes.len())
    };
    let encoded: usize = encoded.map(|(_, value)| bytes(value)).sum();
    Some(encoded + pairs(texts).map(|(_, value)| length(value)).sum::<usize>())
}

/// The least that etcd gets: of kinds that Kubernetes stores as protocol buffers the texts, of all
/// others the JSON.
fn least_stored(object: &Value) -> usize {
    let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/'));
    match kinds::is_built_in_group(group.map_or("", |(group, _)| group)) {
        true => texts(object),
        false => sent(object),
    }
}

fn texts(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(texts).sum(),
        Value::Object(fields) => fields.values().map(texts).sum(),
        _ => length(value),
    }
}

fn length(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

fn pairs(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MIB: usize = 1 << 20;

    fn said(object: &Value) -> String {
        mistake(object).map(|Mistake { problem, cure }| format!("{problem}; {cure}")).unwrap_or_default()
    }

    fn config_map(fields: Value) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let Value::Object(fields) = fields else { panic!("fields") };
        object.as_object_mut().unwrap().extend(fields);
        object
    }

    fn secret(fields: Value) -> Value {
        let mut object = config_map(fields);
        object["kind"] = "Secret".into();
        object
    }

    #[test]
    fn data_is_counted_as_the_api_counts_it() {
        let text = |bytes: usize| "\n".repeat(bytes); // each is two bytes of JSON
        let coded = |bytes: usize| STANDARD.encode(text(bytes));
        for well in [
            config_map(json!({"data": {"a": text(MIB)}})),
            config_map(json!({"data": {"a": text(MIB / 2)}, "binaryData": {"b": coded(MIB / 2)}})),
            config_map(json!({"data": null})),
            secret(json!({"data": {"a": coded(MIB)}})),
            secret(json!({"data": {"a": coded(MIB)}, "stringData": {"a": "short"}})),
        ] {
            assert_eq!(said(&well), "");
        }
        for large in [
            config_map(json!({"data": {"a": text(MIB + 1)}})),
            config_map(json!({"data": {"a": text(MIB)}, "binaryData": {"b": coded(1)}})),
            secret(json!({"data": {"a": coded(MIB + 1)}})),
            secret(json!({"stringData": {"a": text(MIB + 1)}})),
        ] {
            let said = said(&large);
            assert!(said.contains("1048577 bytes, and the API takes 1048576 (1 MiB); split it"), "{said}");
        }
    }

    #[test]
    fn annotations_and_whole_objects_have_limits_of_their_own() {
        let annotated = |bytes| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"annotations": {"a": "x".repeat(bytes)}}});
        assert_eq!(said(&annotated((256 << 10) - 1)), "");
        assert!(said(&annotated(256 << 10)).contains("262145 bytes, and the API takes 262144 (256 KiB)"));
        let toy = |bytes| json!({"apiVersion": "example.com/v1", "kind": "Toy", "spec": "x".repeat(bytes)});
        assert_eq!(said(&toy(3 * MIB / 2 - 100)), "");
        assert!(said(&toy(3 * MIB / 2)).contains("the API takes 1572864 (1.5 MiB)"));
        let job = |text: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "spec": text});
        assert_eq!(said(&job(&"\n".repeat(MIB))), "", "protocol buffers escape nothing");
        assert!(said(&job(&"x".repeat(2 * MIB))).contains("2097163 bytes"));
    }
}
