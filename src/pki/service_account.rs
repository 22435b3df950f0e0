//! The key pair that signs service-account tokens. It is never renewed, because that would
//! invalidate every token of the cluster.

use pem::Pem;
use rcgen::PublicKeyData;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::key::{self, PrivateKey};
use super::previous::{Previous, finding};
use crate::finding::Finding;

pub(super) const KEY: &str = "service-account.key";
pub(super) const PUBLIC: &str = "service-account.pub";

/// The decision about the key pair.
pub(super) enum KeyPairStep {
    /// Make it: the cluster is new.
    Make,
    /// Keep the private half. `public` is the public half, if its file is missing and has to be
    /// written again.
    Keep { public: Option<Vec<u8>> },
}

/// Decides about the key pair.
pub(super) fn decide(previous: &Previous) -> Result<KeyPairStep, Finding> {
    let public = previous.files.get(PUBLIC);
    match (previous.key(KEY)?, public) {
        (None, None) => Ok(KeyPairStep::Make),
        (None, Some(_)) => {
            let problem = "is missing beside tls/service-account.pub of an earlier render, and a new key would end every \
                           service account's token";
            Err(finding(KEY, problem, "put it back, or render into an empty directory to make a new cluster"))
        }
        (Some(key), None) => Ok(KeyPairStep::Keep { public: Some(public_pem(&key)) }),
        (Some(key), Some(public)) if holds(public, &key) => Ok(KeyPairStep::Keep { public: None }),
        (Some(_), Some(_)) => {
            let cure = "put the right one back, or remove it to have it written anew";
            Err(finding(PUBLIC, "does not hold the public half of tls/service-account.key", cure))
        }
    }
}

/// The public half, as PKIX.
pub(super) fn public_pem(key: &PrivateKey) -> Vec<u8> {
    key::encode(&Pem::new("PUBLIC KEY", key.pair.subject_public_key_info()))
}

/// Whether `public` holds the public half of `key`. It may hold further keys: that is how such keys
/// are rotated.
fn holds(public: &[u8], key: &PrivateKey) -> bool {
    let blocks = pem::parse_many(public).unwrap_or_default();
    blocks.iter().any(|block| match block.tag() {
        "PUBLIC KEY" => SubjectPublicKeyInfo::from_der(block.contents())
            .is_ok_and(|(_, public)| public.subject_public_key.data == key.pair.public_key_raw()),
        "RSA PUBLIC KEY" => block.contents() == key.pair.public_key_raw(),
        _ => false,
    })
}
