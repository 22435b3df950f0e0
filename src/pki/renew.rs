//! Renews a client certificate before it expires. Pure; the caller holds the authority's key.
//!
//! Only the key and the dates change: subject and authority stay the same. The authority must be
//! one that the client itself trusts, and must have signed the current certificate. So every server
//! that accepts the current certificate accepts the new one.

use time::{Duration, OffsetDateTime};

use super::catalogue::Usage;
use super::certificate::Certificate;
use super::key::{self, PrivateKey};
use super::problem::{Problem, rfc3339};
use super::sign;
use super::signer;
pub use super::term::Term;
use super::verify::{Refusal, verify};
use crate::config::KeyAlgorithm;

/// What a renewal must gain. A certificate that ends with its authority cannot be made to last
/// longer.
const LEAST_GAIN: Duration = Duration::seconds(1);

/// How messages name the two certificates.
const CURRENT: &str = "the current certificate";
const AUTHORITY: &str = "the CA's certificate";

impl Term {
    /// The term of the first certificate in `pem`, which is the client's own.
    ///
    /// # Errors
    /// If `pem` holds no certificate that can be read.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Unfit> {
        let Certificate { not_before, not_after, .. } = read(CURRENT, pem)?;
        Ok(Self { not_before, not_after })
    }
}

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
}

/// Why a certificate is not renewed.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// A file is not what it should be.
    #[error("{what} {problem}")]
    Broken {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The client does not trust the authority.
    #[error("the CA whose key is available is not one that the kubeconfig trusts")]
    Untrusted,
    /// The authority did not sign the current certificate, so servers may not accept what it signs.
    #[error("the CA whose key is available did not sign the current certificate")]
    Foreign,
    /// The current certificate already lasts as long as the authority.
    #[error("the cluster's CA itself expires at {}", rfc3339(*.0))]
    AuthorityEnds(OffsetDateTime),
    /// Servers that trust what the client trusts would not accept what the authority signs.
    #[error("servers would refuse the certificate that this CA signs: {0}")]
    Refused(String),
    /// A library failed.
    #[error("failed to make a certificate")]
    Make(#[source] rcgen::Error),
}

/// A new pair in place of `old`, signed by `signer`, whose certificate must be among `trusted`
/// (PEM). Its term is as long as the old one's, and ends no later than the authority's. The key is
/// new, and this value is the only copy of it.
///
/// # Errors
/// If a file cannot be used, the authority is not the right one, or there is no time to gain.
pub fn renew(old: &Pair, signer: &Pair, trusted: &[u8], now: OffsetDateTime) -> Result<Pair, Unfit> {
    let kind = PrivateKey::read(&old.key).map(|key| key.kind()).unwrap_or_default();
    let old = read(CURRENT, &old.certificate)?;
    let authority = read(AUTHORITY, &signer.certificate)?;
    let signing = PrivateKey::read(&signer.key).map_err(|problem| broken("the CA's key", &problem))?;
    let trusted = check(&old, &authority, &signing, trusted, now)?;
    let not_before = (now - sign::CLOCK_SKEW).max(authority.not_before);
    let not_after = (not_before + (old.not_after - old.not_before)).min(authority.not_after);
    if now >= old.not_before && not_after < old.not_after + LEAST_GAIN {
        return Err(Unfit::AuthorityEnds(authority.not_after));
    }
    let key = PrivateKey::generate(algorithm(&kind)).map_err(Unfit::Make)?;
    let term = Term { not_before, not_after };
    let issued = sign::successor(&old, &key, &authority, &signing, term).map_err(Unfit::Make)?;
    verify(&issued, &[], &trusted, Usage::Client, now).map_err(|Refusal { why, .. }| Unfit::Refused(why))?;
    Ok(Pair { certificate: issued.pem(), key: key.pem })
}

/// Whether the authority is the right one. Returns those that the client trusts.
fn check(
    old: &Certificate,
    authority: &Certificate,
    key: &PrivateKey,
    trusted: &[u8],
    now: OffsetDateTime,
) -> Result<Vec<Certificate>, Unfit> {
    if let Some(problem) = signer::problems(authority, now).first() {
        return Err(broken(AUTHORITY, problem));
    }
    if !authority.was_made_for(key) {
        return Err(broken("the CA's key", &Problem::Mismatch("the CA's certificate".to_owned())));
    }
    let trusted =
        Certificate::read_all(trusted).map_err(|problem| broken("the kubeconfig's CA", &problem))?;
    let same = |one: &Certificate| one.subject == authority.subject && one.public_key == authority.public_key;
    match (trusted.iter().any(same), old.is_signed_by(authority)) {
        (true, true) => Ok(trusted),
        (true, false) => Err(Unfit::Foreign),
        (false, _) => Err(Unfit::Untrusted),
    }
}

/// The algorithm of the old key; P-256 if bootkube does not generate keys of that kind.
fn algorithm(kind: &str) -> KeyAlgorithm {
    let known = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa4096];
    known.into_iter().find(|algorithm| kind == key::name(*algorithm)).unwrap_or(KeyAlgorithm::EcdsaP256)
}

/// The first certificate of a file. Those behind it are intermediate authorities.
fn read(what: &'static str, pem: &[u8]) -> Result<Certificate, Unfit> {
    let all = Certificate::read_all(pem).map_err(|problem| broken(what, &problem))?;
    all.into_iter().next().ok_or_else(|| broken(what, &Problem::NoCertificate))
}

fn broken(what: &'static str, problem: &Problem) -> Unfit {
    Unfit::Broken { what, problem: problem.to_string() }
}

#[cfg(test)]
#[path = "renew_tests.rs"]
mod tests;
