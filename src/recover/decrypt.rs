//! Encryption at rest: reads what an apiserver wrote under an `EncryptionConfiguration`, with that
//! same file.
//!
//! ```text
//! k8s:enc:aescbc:v1:KEY-NAME:      initialisation vector (16), AES-CBC with PKCS#7
//! k8s:enc:aesgcm:v1:KEY-NAME:      nonce (12), AES-GCM with the etcd key as additional data
//! k8s:enc:secretbox:v1:KEY-NAME:   nonce (24), XSalsa20 and Poly1305
//! ```
//!
//! A stored value names its provider and its key. The order of providers in the file only decides
//! how the apiserver writes, so it does not matter here. A name is unique only within one provider
//! of one `resources` entry: several keys of one name are all tried, as the apiserver does. A value
//! that a KMS plugin encrypted is refused, and the error says what to do instead. No error and no
//! `Debug` output shows a key.

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

/// Why a value cannot be decrypted.
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
    /// The file is not an `EncryptionConfiguration`.
    #[error("encryption configuration {}: {problem}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong; it never quotes a key.
        problem: String,
    },
    /// A KMS plugin encrypted the value.
    #[error(
        "{key} is encrypted by a KMS plugin, and only that plugin can decrypt it; recover from a live API (without --etcd-servers), \
         or from a snapshot that is older than the KMS plugin"
    )]
    Kms {
        /// The etcd key of the value.
        key: String,
    },
    /// The configuration has no such key.
    #[error(
        "{key} is encrypted with key `{name}` of {provider}, which is not known here; give the apiserver's encryption configuration \
         with --encryption-config"
    )]
    NoKey {
        /// The etcd key of the value.
        key: String,
        /// Such as `aescbc`.
        provider: String,
        /// Name of the key.
        name: String,
    },
    /// The configuration has a key of that name, but it does not decrypt the value.
    #[error(
        "{key} cannot be decrypted with key `{name}` of {provider}: the value was written with another key of that name, or it is damaged"
    )]
    Refused {
        /// The etcd key of the value.
        key: String,
        /// Such as `aescbc`.
        provider: String,
        /// Name of the key.
        name: String,
    },
}

/// Every key of an encryption configuration.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

struct Key {
    /// Such as `aescbc`.
    provider: String,
    name: String,
    secret: Vec<u8>,
}

/// Leaves the secret out.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.name)
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
        Self::from_value(configuration).map_err(wrong)
    }

    /// Kubernetes before 1.13 called the kind `EncryptionConfig`.
    fn from_value(configuration: &Value) -> Result<Self, String> {
        let kind = configuration["kind"].as_str().unwrap_or_default();
        if !["EncryptionConfiguration", "EncryptionConfig"].contains(&kind) {
            return Err("its kind is not EncryptionConfiguration".to_owned());
        }
        let mut keys = Self::default();
        for (number, resource) in list(&configuration["resources"]).enumerate() {
            for (index, provider) in list(&resource["providers"]).enumerate() {
                for (name, settings) in provider.as_object().into_iter().flatten() {
                    let field = format!("resources[{number}].providers[{index}].{name}");
                    keys.add(name, settings, &field)?;
                }
            }
        }
        Ok(keys)
    }

    fn add(&mut self, provider: &str, settings: &Value, field: &str) -> Result<(), String> {
        for (index, key) in list(&settings["keys"]).enumerate() {
            let field = format!("{field}.keys[{index}].secret");
            let secret = key["secret"].as_str().and_then(|secret| STANDARD.decode(secret.trim()).ok());
            let secret = secret.ok_or_else(|| format!("{field} is not base64; give the apiserver's file"))?;
            let lengths: &[usize] = if provider == "secretbox" { &[32] } else { &[16, 24, 32] };
            if !lengths.contains(&secret.len()) {
                let lengths = lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(format!("{field} has {} bytes; a key of {provider} has {lengths}", secret.len()));
            }
            let name = key["name"].as_str().unwrap_or_default().to_owned();
            self.0.push(Key { provider: provider.to_owned(), name, secret });
        }
        Ok(())
    }

    /// The plain bytes of `value`, which etcd stores under `key`.
    pub fn open(&self, key: &[u8], value: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Some(rest) = value.strip_prefix(ENCRYPTED) else { return Ok(value) };
        // A key's name may hold a colon, so a value belongs to every key whose whole prefix it has.
        let candidates =
            self.0.iter().filter_map(|one| Some((one, rest.strip_prefix(one.prefix().as_bytes())?)));
        let mut refused = None;
        for (candidate, sealed) in candidates {
            match candidate.unseal(key, sealed) {
                Some(plain) => return Ok(plain),
                None => refused = Some(candidate),
            }
        }
        let shown = String::from_utf8_lossy(key).into_owned();
        if let Some(Key { provider, name, .. }) = refused {
            return Err(Error::Refused { key: shown, provider: provider.clone(), name: name.clone() });
        }
        let mut parts = rest.splitn(4, |byte| *byte == b':');
        let mut part = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let (provider, _version, name) = (part(), part(), part());
        match provider.as_str() {
            "kms" => Err(Error::Kms { key: shown }),
            _ => Err(Error::NoKey { key: shown, provider, name }),
        }
    }
}

impl Key {
    /// What a value that was encrypted with this key starts with, after [`ENCRYPTED`].
    fn prefix(&self) -> String {
        format!("{}:v1:{}:", self.provider, self.name)
    }

    fn unseal(&self, etcd_key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        match self.provider.as_str() {
            // CBC does not authenticate: the padding of one value in 256 also fits a wrong key.
            "aescbc" => aes_cbc(&self.secret, sealed).filter(|plain| is_object(plain)),
            "aesgcm" => aes_gcm(&self.secret, etcd_key, sealed),
            "secretbox" => {
                let (nonce, content) = sealed.split_at_checked(BOX_NONCE)?;
                XSalsa20Poly1305::new_from_slice(&self.secret).ok()?.decrypt(nonce.into(), content).ok()
            }
            _ => None,
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether `plain` is what an apiserver stores: a protocol buffer of Kubernetes, or JSON.
fn is_object(plain: &[u8]) -> bool {
    plain.starts_with(b"k8s\0") || plain.starts_with(b"{")
}

fn aes_cbc(secret: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match secret.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
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
#[path = "decrypt_tests.rs"]
mod tests;
