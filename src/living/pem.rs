//! What certificates and keys say to each other, and how they are called in a message.

use crate::journal::digest;
use crate::pki::{descent, examine};

/// Digits of a digest that tell two keys apart.
const DIGITS: usize = 12;

/// Whether a certificate is signed by one of `authorities`; `None` if either cannot be read.
pub(super) fn is_signed_by(certificate: &str, authorities: &str) -> Option<bool> {
    descent::is_signed_by(certificate.as_bytes(), authorities.as_bytes())
}

/// Whether a certificate is for `host`; `None` if it cannot be read.
pub(super) fn names(certificate: &str, host: &str) -> Option<bool> {
    Some(examine(certificate.as_bytes()).ok()?.first()?.is_for(host))
}

/// The keys of a file, each as its bytes.
pub(super) fn blocks(text: &str) -> Vec<Vec<u8>> {
    let blocks = pem::parse_many(text).unwrap_or_default(); // a file that is none has no key
    blocks.into_iter().map(pem::Pem::into_contents).collect()
}

/// How CAs are called.
pub(super) fn authority(text: &str) -> String {
    descent::describe(text.as_bytes())
}

/// How public keys are called.
pub(super) fn key(text: &str) -> String {
    let one = |block: Vec<u8>| format!("SHA-256 {}", digest(&block).chars().take(DIGITS).collect::<String>());
    blocks(text).into_iter().map(one).collect::<Vec<_>>().join(", ")
}
