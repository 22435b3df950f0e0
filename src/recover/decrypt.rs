//! Encryption at rest: what an apiserver wrote by an `EncryptionConfiguration` is read by the same one.
//!
//! ```text
//! k8s:enc:aescbc:v1:KEY-NAME:      initialisation vector (16), AES-CBC with PKCS#7
//! k8s:enc:aesgcm:v1:KEY-NAME:      nonce (12), AES-GCM with the key of etcd as additional data
//! k8s:enc:secretbox:v1:KEY-NAME:   nonce (24), XSalsa20 and Poly1305
//! ```
//!
//! A value names its provider and key, so the order of providers in the configuration, which is for writing, does not matter here. What a KMS
//! encrypted only that KMS can decrypt: it is refused, with the way around it. Keys are shown to nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead as _;
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305};
use serde_json::Value;

use crate::yaml;

const ENCRYPTED: &[u8] = b"k8s:enc:";
const VECTOR: usize = 16;
const NONCE: usize = 12;
const BOX_NONCE: usize = 24;

/// Why something stays closed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be read.
    #[error("failed to read the encryption configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The configuration is not one.
    #[error("encryption configuration {}: {problem}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong, never with a key.
        problem: String,
    },
    /// A KMS has encrypted it.
    #[error(
        "{key} is encrypted by a KMS plugin, which alone can decrypt it; recover from a live API (without --etcd-servers), or from a \
         snapshot of before the KMS"
    )]
    Kms {
        /// The key of etcd.
        key: String,
    },
    /// No key for it is known.
    #[error(
        "{key} is encrypted with key `{name}` of {provider}, which nobody named; give the apiserver's configuration with \
         --encryption-config"
    )]
    NoKey {
        /// The key of etcd.
        key: String,
        /// Such as `aescbc`.
        provider: String,
        /// Name of the key.
        name: String,
    },
    /// The key is another one.
    #[error(
        "{key} cannot be decrypted with key `{name}` of {provider}: it is another key of that name, or the value is damaged"
    )]
    Refused {
        /// The key of etcd.
        key: String,
        /// Such as `aescbc`.
        provider: String,
        /// Name of the key.
        name: String,
    },
}

/// Keys by provider and name.
#[derive(Default)]
pub struct Keys(BTreeMap<(String, String), Vec<u8>>);

/// Names only.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Keys {
    /// The keys of the `EncryptionConfiguration` at `path`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let wrong = |problem: String| Error::Configuration { path: path.to_owned(), problem };
        let documents = yaml::parse(&text, "").map_err(|error| {
            let yaml::Error { line, problem, .. } = error;
            wrong(format!("line {line}: {problem}"))
        })?;
        let [configuration] = documents.as_slice() else {
            return Err(wrong("it must be one document".to_owned()));
        };
        Self::of(configuration).map_err(wrong)
    }

    /// v0.14's time called it `EncryptionConfig`.
    fn of(configuration: &Value) -> Result<Self, String> {
        let kind = configuration["kind"].as_str().unwrap_or_default();
        if !["EncryptionConfiguration", "EncryptionConfig"].contains(&kind) {
            return Err("its kind is not EncryptionConfiguration".to_owned());
        }
        let mut keys = Self::default();
        for resource in list(&configuration["resources"]) {
            for provider in list(&resource["providers"]) {
                for (name, settings) in provider.as_object().into_iter().flatten() {
                    keys.add(name, settings)?;
                }
            }
        }
        Ok(keys)
    }

    fn add(&mut self, provider: &str, settings: &Value) -> Result<(), String> {
        for (index, key) in list(&settings["keys"]).enumerate() {
            let secret = key["secret"].as_str().and_then(|secret| STANDARD.decode(secret.trim()).ok());
            let secret = secret.ok_or_else(|| format!("{provider}.keys[{index}].secret is not base64"))?;
            let fits = match provider {
                "secretbox" => secret.len() == 32,
                // The library knows no AES-192 in CBC.
                "aescbc" => [16, 32].contains(&secret.len()),
                _ => [16, 24, 32].contains(&secret.len()),
            };
            if !fits {
                return Err(format!(
                    "{provider}.keys[{index}].secret has {} bytes, which no key of it has",
                    secret.len()
                ));
            }
            let name = key["name"].as_str().unwrap_or_default();
            self.0.insert((provider.to_owned(), name.to_owned()), secret);
        }
        Ok(())
    }

    /// The plain bytes of `value`, which stands in etcd under `key`.
    pub fn open(&self, key: &[u8], value: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Some(rest) = value.strip_prefix(ENCRYPTED) else { return Ok(value) };
        let shown = || String::from_utf8_lossy(key).into_owned();
        let mut parts = rest.splitn(4, |byte| *byte == b':');
        let mut part = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let (provider, _version, name) = (part(), part(), part());
        if provider == "kms" {
            return Err(Error::Kms { key: shown() });
        }
        let sealed = parts.next().unwrap_or_default();
        match self.0.get(&(provider.clone(), name.clone())) {
            None => Err(Error::NoKey { key: shown(), provider, name }),
            Some(secret) => unseal(&provider, secret, key, sealed).ok_or_else(|| Error::Refused {
                key: shown(),
                provider,
                name,
            }),
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn unseal(provider: &str, secret: &[u8], key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    match provider {
        "aescbc" => aes_cbc(secret, sealed),
        "aesgcm" => aes_gcm(secret, key, sealed),
        "secretbox" => {
            let (nonce, content) = sealed.split_at_checked(BOX_NONCE)?;
            XSalsa20Poly1305::new_from_slice(secret).ok()?.decrypt(nonce.into(), content).ok()
        }
        _ => None,
    }
}

fn aes_cbc(secret: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let algorithm = if secret.len() == 16 { &cipher::AES_128 } else { &cipher::AES_256 };
    let (vector, content) = sealed.split_at_checked(VECTOR)?;
    let vector = DecryptionContext::Iv128(FixedLength::try_from(vector).ok()?);
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, secret).ok()?).ok()?;
    let mut content = content.to_vec();
    key.decrypt(&mut content, vector).ok().map(|plain| plain.to_vec())
}

fn aes_gcm(secret: &[u8], key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match secret.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    let (nonce, content) = sealed.split_at_checked(NONCE)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opener = LessSafeKey::new(UnboundKey::new(algorithm, secret).ok()?);
    let mut content = content.to_vec();
    opener.open_in_place(nonce, Aad::from(key), &mut content).ok().map(|plain| plain.to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(provider: &str, length: usize) -> Keys {
        let secret = STANDARD.encode(vec![7; length]);
        let provider = json!({provider: {"keys": [{"name": "k", "secret": secret}]}});
        let configuration = json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": [provider, {"identity": {}}]}],
        });
        Keys::of(&configuration).unwrap()
    }

    #[test]
    fn what_is_not_encrypted_stays_as_it_is() {
        assert_eq!(keys("aescbc", 32).open(b"/k", b"k8s\0plain".to_vec()).unwrap(), b"k8s\0plain");
    }

    #[test]
    fn an_unknown_key_a_kms_and_damage_are_told_apart() {
        let open = |value: &str| keys("aesgcm", 32).open(b"/registry/secrets/a/b", value.into()).unwrap_err();
        let unknown = open("k8s:enc:aescbc:v1:other:xyz").to_string();
        assert!(
            unknown.contains("`other` of aescbc") && unknown.contains("--encryption-config"),
            "{unknown}"
        );
        assert!(matches!(open("k8s:enc:kms:v2:plugin:xyz"), Error::Kms { .. }));
        assert!(matches!(open("k8s:enc:aesgcm:v1:k:short"), Error::Refused { .. }));
    }

    #[test]
    fn a_secretbox_is_opened() {
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
        let problem = Keys::of(&configuration).unwrap_err();
        assert!(
            problem.contains("aescbc.keys[0].secret has 6 bytes") && !problem.contains("c2Vj"),
            "{problem}"
        );
    }
}
