//! An authority that may sign, and what keeps a certificate from being one.

use time::OffsetDateTime;

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
}

impl Authority {
    /// Whether certificates that one of the two signed also verify against the other.
    pub(super) fn is_same_as(&self, other: &Certificate) -> bool {
        self.certificate.subject == other.subject && self.certificate.public_key == other.public_key
    }
}

/// Every reason why `certificate` may not sign server and client certificates at `now`.
pub(super) fn problems(certificate: &Certificate, now: OffsetDateTime) -> Vec<Problem> {
    let Certificate { is_authority, may_sign, usages, .. } = certificate;
    let mut problems = Vec::new();
    if !is_authority {
        problems.push(Problem::NotAuthority);
    } else if !may_sign {
        problems.push(Problem::MayNotSign);
    } else if !usages.allow_servers_and_clients() {
        problems.push(Problem::UsageForbidden);
    }
    problems.extend(certificate.check_time(now).err());
    problems
}
