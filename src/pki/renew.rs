//! A client's certificate, issued anew by whoever holds the key of the authority, before it ends. Pure: when, and what.
//!
//! Nothing but the key and the dates changes: the same subject, signed by the same authority. Refuses to sign in the name of an authority
//! other than the one that the client itself believes and that signed the certificate in use: whoever takes that one takes the new one.

use time::{Duration, OffsetDateTime};

use super::authority;
use super::certificate::Certificate;
use super::key::{self, PrivateKey};
use super::problem::{Problem, rfc3339};
use super::sign;
use crate::config::KeyAlgorithm;

/// A certificate with less than this part of its life before it is due.
const LAST_PART: i32 = 3;
/// What a new certificate must add to the life that the old one has left: one that ends with its authority cannot be made longer.
const LEAST_GAIN: Duration = Duration::seconds(1);

/// In messages.
const PRESENT: &str = "the present certificate";
const AUTHORITY: &str = "the CA's certificate";

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// From when.
    pub not_before: OffsetDateTime,
    /// Until when.
    pub not_after: OffsetDateTime,
}

impl Term {
    /// That of the first certificate in `pem`, the client's own; else why it cannot be told.
    pub fn of(pem: &[u8]) -> Result<Self, Unfit> {
        let Certificate { not_before, not_after, .. } = read(PRESENT, pem)?;
        Ok(Self { not_before, not_after })
    }

    /// Whether another certificate is wanted at `now`: less than a third of this one's life is left, it is over, or it has not begun (it was
    /// made while the clock was wrong).
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        now < self.not_before || now >= self.due()
    }

    /// From when on another one is wanted.
    pub fn due(&self) -> OffsetDateTime {
        self.not_after - (self.not_after - self.not_before) / LAST_PART
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

/// Why no certificate is issued.
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
    /// Another authority.
    #[error("the CA whose key is at hand is none of those that the kubeconfig names")]
    Untrusted,
    /// Others may not take what it signs.
    #[error("the CA whose key is at hand did not sign the present certificate")]
    Foreign,
    /// There is no time to be gained.
    #[error("the cluster's CA itself ends at {}", rfc3339(*.0))]
    AuthorityEnds(OffsetDateTime),
    /// It could not be made.
    #[error("failed to make a certificate")]
    Make(#[source] rcgen::Error),
}

/// A new pair in place of `old`, signed by `signer`, whose certificate must be among `trusted` (PEM). It is valid for as long as the old one was,
/// and never longer than its authority. The key is made for it and is nowhere else.
pub fn renew(old: &Pair, signer: &Pair, trusted: &[u8], now: OffsetDateTime) -> Result<Pair, Unfit> {
    let kind = PrivateKey::read(&old.key).map(|key| key.kind()).unwrap_or_default();
    let old = read(PRESENT, &old.certificate)?;
    let authority = read(AUTHORITY, &signer.certificate)?;
    let signing = PrivateKey::read(&signer.key).map_err(|problem| broken("the CA's key", &problem))?;
    check(&old, &authority, &signing, trusted, now)?;
    let not_before = (now - sign::CLOCK_SKEW).max(authority.not_before);
    let not_after = (not_before + (old.not_after - old.not_before)).min(authority.not_after);
    if now >= old.not_before && not_after < old.not_after + LEAST_GAIN {
        return Err(Unfit::AuthorityEnds(authority.not_after));
    }
    let key = PrivateKey::generate(algorithm(&kind)).map_err(Unfit::Make)?;
    let term = Term { not_before, not_after };
    let issued = sign::successor(&old, &key, &authority, &signing, term).map_err(Unfit::Make)?;
    Ok(Pair { certificate: issued.pem(), key: key.pem })
}

fn check(
    old: &Certificate,
    authority: &Certificate,
    key: &PrivateKey,
    trusted: &[u8],
    now: OffsetDateTime,
) -> Result<(), Unfit> {
    if let Some(problem) = authority::problems(authority, now).first() {
        return Err(broken(AUTHORITY, problem));
    }
    if !key.matches(authority) {
        return Err(broken("the CA's key", &Problem::Mismatch("the CA's certificate".to_owned())));
    }
    let trusted =
        Certificate::read_all(trusted).map_err(|problem| broken("the kubeconfig's CA", &problem))?;
    let same = |one: &Certificate| one.subject == authority.subject && one.public_key == authority.public_key;
    match (trusted.iter().any(same), old.is_signed_by(authority)) {
        (true, true) => Ok(()),
        (true, false) => Err(Unfit::Foreign),
        (false, _) => Err(Unfit::Untrusted),
    }
}

/// Such a key as before; P-256 where that was none that we make.
fn algorithm(kind: &str) -> KeyAlgorithm {
    let known = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::Rsa4096];
    known.into_iter().find(|algorithm| kind == key::name(*algorithm)).unwrap_or(KeyAlgorithm::EcdsaP256)
}

/// The first certificate of a file: others are between it and its authority.
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
