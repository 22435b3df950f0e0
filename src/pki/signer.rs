//! An authority that may sign, and what keeps a certificate from being one.

use time::OffsetDateTime;

use super::catalogue::Usage;
use super::certificate::Certificate;
use super::key::PrivateKey;
use super::problem::Problem;

/// A checked authority. Without its key nothing new can be signed; that is an error only if
/// something has to be.
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    pub(super) certificate_pem: Vec<u8>,
    pub(super) key: Option<PrivateKey>,
    /// The key as the file has it: rendering again must not change its form.
    pub(super) key_pem: Option<Vec<u8>>,
    pub(super) source: Source,
}

/// Where an authority comes from, for messages.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// The flag or field, or `tls/ca.crt`.
    pub(super) field: String,
    /// The user's file; empty for one below `tls/`.
    pub(super) path: String,
}

impl Source {
    /// An authority that bootkube makes, or has made.
    pub(super) fn tls(path: &str) -> Self {
        Self { field: format!("tls/{path}"), path: String::new() }
    }
}

impl Authority {
    /// Whether certificates that one of the two signed also verify against the other.
    pub(super) fn is_same_as(&self, other: &Certificate) -> bool {
        self.certificate.subject == other.subject && self.certificate.public_key == other.public_key
    }
}

/// Every reason why `certificate` may not sign server and client certificates at `now`.
pub(super) fn problems(certificate: &Certificate, now: OffsetDateTime) -> Vec<Problem> {
    problems_for(certificate, &[Usage::Server, Usage::Client], now)
}

/// Every reason why `certificate` may not sign certificates for `wanted` at `now`.
pub(super) fn problems_for(certificate: &Certificate, wanted: &[Usage], now: OffsetDateTime) -> Vec<Problem> {
    let Certificate { rules, usages, .. } = certificate;
    let mut problems = Vec::new();
    if !rules.is_authority() {
        problems.push(Problem::NotAuthority);
    } else if rules.forbids_signing {
        problems.push(Problem::MayNotSign);
    } else if !wanted.iter().all(|usage| usages.allow(*usage)) {
        problems.push(Problem::UsageForbidden);
    }
    problems.extend(rules.unhandled.iter().cloned().map(Problem::UnknownCritical));
    problems.extend(certificate.check_time(now).err());
    problems
}
