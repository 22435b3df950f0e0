//! Private keys: reads the three forms that openssl writes, and generates new ones. Encrypted keys
//! are refused.

use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use pem::Pem;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize};
use rustls::pki_types::PrivateKeyDer;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::problem::Problem;
use crate::config::KeyAlgorithm;

/// A private key, and its PEM.
pub(super) struct PrivateKey {
    pub(super) pair: KeyPair,
    pub(super) pem: Vec<u8>,
}

/// Shows the kind of the key, never the key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.kind())
    }
}

impl PrivateKey {
    /// Reads the private key of `file`: PKCS#8, PKCS#1 or SEC1, RSA or EC. The form stays, because
    /// every component of Kubernetes reads all three. Text and other blocks around the key (openssl
    /// writes EC PARAMETERS) are left out.
    pub(super) fn read(file: &[u8]) -> Result<Self, Problem> {
        let blocks = pem::parse_many(file).map_err(|_| Problem::NotPem)?;
        let key = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY"));
        let block = key.ok_or(if blocks.is_empty() { Problem::NotPem } else { Problem::NoKey })?;
        if is_encrypted(block) {
            return Err(Problem::EncryptedKey);
        }
        let pair = parse(block).ok_or(Problem::UnsupportedKey)?;
        let pem = encode(&Pem::new(block.tag(), block.contents()));
        Ok(Self { pair, pem })
    }

    /// Generates a key, as PKCS#8.
    pub(super) fn generate(algorithm: KeyAlgorithm) -> Result<Self, rcgen::Error> {
        let pair = match algorithm {
            KeyAlgorithm::EcdsaP256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyAlgorithm::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            KeyAlgorithm::Rsa4096 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096),
        }?;
        let pem = encode(&Pem::new("PRIVATE KEY", pair.serialized_der()));
        Ok(Self { pair, pem })
    }

    /// Generates `count` keys on all processors. The time that an RSA key takes varies a lot, so a
    /// thread takes the next key as soon as it is done with one.
    pub(super) fn generate_many(count: usize, algorithm: KeyAlgorithm) -> Result<Vec<Self>, rcgen::Error> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(count);
        let begun = AtomicUsize::new(0);
        let is_wanted = || begun.fetch_add(1, Ordering::Relaxed) < count;
        let make = || std::iter::from_fn(|| is_wanted().then(|| Self::generate(algorithm))).collect();
        let results = thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(make)).collect();
            let joined = running.into_iter().map(|thread| thread.join());
            joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let keys: Result<Vec<Vec<Self>>, rcgen::Error> = results;
        Ok(keys?.into_iter().flatten().collect())
    }

    /// Whether the key is RSA. Only an RSA key may be used for key encipherment.
    pub(super) fn is_rsa(&self) -> bool {
        self.pair.algorithm() == &PKCS_RSA_SHA256
    }

    /// The key's kind as the configuration names it, such as `rsa-2048`.
    pub(super) fn kind(&self) -> String {
        let spki = self.pair.subject_public_key_info();
        let bits = SubjectPublicKeyInfo::from_der(&spki).ok().and_then(|(_, key)| bits(&key));
        let family = if self.is_rsa() { "rsa-" } else { "ecdsa-p" };
        bits.map_or_else(|| "unknown".to_owned(), |bits| format!("{family}{bits}"))
    }
}

/// How the configuration names `algorithm`.
pub(super) fn name(algorithm: KeyAlgorithm) -> &'static str {
    match algorithm {
        KeyAlgorithm::EcdsaP256 => "ecdsa-p256",
        KeyAlgorithm::Rsa2048 => "rsa-2048",
        KeyAlgorithm::Rsa4096 => "rsa-4096",
    }
}

fn bits(key: &SubjectPublicKeyInfo<'_>) -> Option<usize> {
    match key.parsed().ok()? {
        PublicKey::RSA(rsa) => Some(rsa.key_size()),
        // 0x04 and two coordinates. P-521 rounds up to whole bytes.
        PublicKey::EC(point) => Some(match point.data().len() {
            65 => 256,
            97 => 384,
            133 => 521,
            other => other * 4,
        }),
        _ => None,
    }
}

fn is_encrypted(block: &Pem) -> bool {
    block.tag() == "ENCRYPTED PRIVATE KEY"
        || block.headers().get("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED"))
}

/// Ed25519 is refused: not every client of a cluster accepts certificates that such a key signed.
fn parse(block: &Pem) -> Option<KeyPair> {
    let der = block.contents();
    let key = match block.tag() {
        "PRIVATE KEY" => PrivateKeyDer::Pkcs8(der.into()),
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        _ => return None,
    };
    KeyPair::try_from(&key).ok().filter(|pair| pair.algorithm() != &PKCS_ED25519)
}

/// PEM with Unix line ends, whatever the input had.
pub(super) fn encode(block: &Pem) -> Vec<u8> {
    let unix = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(block, unix).into_bytes()
}
