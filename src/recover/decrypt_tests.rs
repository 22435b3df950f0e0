use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};
use serde_json::json;

use super::*;

fn configuration(resources: &Value) -> Value {
    json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": resources})
}

/// A provider with one key, of `length` bytes that are all `byte`.
fn provider(kind: &str, name: &str, byte: u8, length: usize) -> Value {
    json!({kind: {"keys": [{"name": name, "secret": STANDARD.encode(vec![byte; length])}]}})
}

fn keys(kind: &str, length: usize) -> Keys {
    let providers = [provider(kind, "k", 7, length), json!({"identity": {}})];
    Keys::from_value(&configuration(&json!([{"resources": ["secrets"], "providers": providers}]))).unwrap()
}

fn sealed_by_cbc(name: &str, secret: &[u8], plain: &[u8]) -> Vec<u8> {
    let algorithm = match secret.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, secret).unwrap()).unwrap();
    let vector = EncryptionContext::Iv128(FixedLength::from([1; VECTOR]));
    let mut content = plain.to_vec();
    key.less_safe_encrypt(&mut content, vector).unwrap();
    [format!("k8s:enc:aescbc:v1:{name}:").as_bytes(), &[1; VECTOR], &content].concat()
}

#[test]
fn a_value_that_is_not_encrypted_stays_as_it_is() {
    assert_eq!(keys("aescbc", 32).open(b"/k", b"k8s\0plain".to_vec()).unwrap(), b"k8s\0plain");
    let providers = [json!({"identity": {}}), provider("aescbc", "k", 7, 32)];
    let keys = Keys::from_value(&configuration(&json!([{"resources": ["secrets"], "providers": providers}])));
    let sealed = sealed_by_cbc("k", &[7; 32], b"k8s\0plain");
    assert_eq!(
        keys.unwrap().open(b"/k", sealed).unwrap(),
        b"k8s\0plain",
        "identity only decides how to write"
    );
}

#[test]
fn keys_of_one_name_in_several_resources_entries_are_all_tried() {
    for kind in ["aescbc", "aesgcm"] {
        let entry = |resource: &str, byte| json!({"resources": [resource], "providers": [provider(kind, "key1", byte, 32)]});
        let keys =
            Keys::from_value(&configuration(&json!([entry("secrets", 1), entry("configmaps", 2)]))).unwrap();
        for byte in [1, 2] {
            let secret = [byte; 32];
            // 512 values: a wrong key finds a padding that fits in one of 256, and must not win by
            // that.
            for number in 0..512_u32 {
                let plain = format!("k8s\0object {number}").into_bytes();
                let sealed = match kind {
                    "aescbc" => sealed_by_cbc("key1", &secret, &plain),
                    _ => sealed_by_gcm("key1", &secret, b"/k", &plain),
                };
                assert_eq!(keys.open(b"/k", sealed).unwrap(), plain, "{kind}, key {byte}");
            }
        }
    }
}

fn sealed_by_gcm(name: &str, secret: &[u8], etcd_key: &[u8], plain: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&aead::AES_256_GCM, secret).unwrap());
    let mut content = plain.to_vec();
    let nonce = Nonce::assume_unique_for_key([1; NONCE]);
    key.seal_in_place_append_tag(nonce, Aad::from(etcd_key), &mut content).unwrap();
    [format!("k8s:enc:aesgcm:v1:{name}:").as_bytes(), &[1; NONCE], &content].concat()
}

#[test]
fn a_key_may_have_a_colon_in_its_name_and_any_length_of_aes() {
    for length in [16, 24, 32] {
        let providers = [provider("aescbc", "2026:a", 7, length)];
        let keys = Keys::from_value(&configuration(&json!([{"resources": ["*.*"], "providers": providers}])));
        let sealed = sealed_by_cbc("2026:a", &vec![7; length], b"{\"kind\": \"Secret\"}");
        assert_eq!(keys.unwrap().open(b"/k", sealed).unwrap(), b"{\"kind\": \"Secret\"}", "{length}");
    }
}

#[test]
fn an_unknown_key_a_kms_plugin_and_damage_are_told_apart() {
    let open = |value: &str| keys("aesgcm", 32).open(b"/registry/secrets/a/b", value.into()).unwrap_err();
    let unknown = open("k8s:enc:aescbc:v1:other:xyz").to_string();
    assert!(unknown.contains("`other` of aescbc") && unknown.contains("--encryption-config"), "{unknown}");
    assert!(matches!(open("k8s:enc:kms:v2:plugin:xyz"), Error::Kms { .. }));
    assert!(matches!(open("k8s:enc:aesgcm:v1:k:short"), Error::Refused { .. }));
}

#[test]
fn a_value_of_secretbox_is_decrypted() {
    let seal = XSalsa20Poly1305::new_from_slice(&[7; 32]).unwrap();
    let sealed = seal.encrypt((&[1; BOX_NONCE]).into(), b"plain".as_slice()).unwrap();
    let value = [b"k8s:enc:secretbox:v1:k:".as_slice(), &[1; BOX_NONCE], &sealed].concat();
    assert_eq!(keys("secretbox", 32).open(b"/k", value).unwrap(), b"plain");
}

#[test]
fn a_key_of_the_wrong_length_is_refused_without_being_shown() {
    let configuration = json!({"kind": "EncryptionConfig", "resources": [
        {"providers": [{"aescbc": {"keys": [{"name": "k", "secret": "c2VjcmV0"}]}}]},
    ]});
    let problem = Keys::from_value(&configuration).unwrap_err();
    let expected =
        "resources[0].providers[0].aescbc.keys[0].secret has 6 bytes; a key of aescbc has 16, 24, 32";
    assert_eq!(problem, expected);
}
