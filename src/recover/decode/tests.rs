use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A field that holds bytes.
fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![u8::try_from(number << 3 | 2).unwrap(), u8::try_from(bytes.len()).unwrap()];
    field.extend_from_slice(bytes);
    field
}

fn number(number: u32, value: u8) -> Vec<u8> {
    vec![u8::try_from(number << 3).unwrap(), value]
}

fn object(version: &str, kind: &str, content: &[u8]) -> Vec<u8> {
    let meta = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC, &field(1, &meta), &field(2, content)].concat()
}

fn config_map() -> Vec<u8> {
    let labels = [field(1, b"a"), field(2, b"b")].concat();
    let created = field(8, &number(1, 9));
    let metadata = [field(1, b"m"), field(3, b"kube-system"), created, field(11, &labels)].concat();
    let entry = [field(1, b"k"), field(2, b"v")].concat();
    let binary = [field(1, b"x"), field(2, &[0, 1])].concat();
    object("v1", "ConfigMap", &[field(1, &metadata), field(2, &entry), field(3, &binary)].concat())
}

#[test]
fn an_object_is_read_by_the_numbers_of_its_fields() {
    let decoded = decode(&config_map()).unwrap();
    let expected = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": "m", "namespace": "kube-system", "labels": {"a": "b"},
            "creationTimestamp": "1970-01-01T00:00:09Z",
        },
        "data": {"k": "v"}, "binaryData": {"x": "AAE="},
    });
    assert_eq!(decoded, Decoded { object: expected, unknown: BTreeSet::new() });
}

#[test]
fn an_older_version_of_a_kind_is_read_as_the_current_one() {
    let metadata = field(1, &field(1, b"d"));
    let decoded = decode(&object("extensions/v1beta1", "DaemonSet", &metadata)).unwrap();
    assert_eq!(decoded.object["apiVersion"], "apps/v1");
    let foreign = decode(&object("example.com/v1", "DaemonSet", &metadata)).unwrap_err();
    assert!(matches!(foreign, Error::Kind { .. }));
}

#[test]
fn an_unknown_field_is_reported() {
    let decoded = decode(&object("v1", "Secret", &number(15, 1))).unwrap();
    assert_eq!(decoded.unknown, BTreeSet::from(["Secret.15".to_owned()]));
}

#[test]
fn custom_resources_are_json_already_and_everything_else_is_refused() {
    assert_eq!(decode(br#"{"kind": "X"}"#).unwrap().object, json!({"kind": "X"}));
    assert!(matches!(decode(b"{").unwrap_err(), Error::Json(_)));
    assert_eq!(decode(b"k8s:enc:aescbc:v1:k:").unwrap_err(), Error::Unknown);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), end in any::<prop::sample::Index>()) {
        let mut bytes = config_map();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        // Whatever comes of it, it comes as a value.
        decode(&bytes).ok();
    }
}
