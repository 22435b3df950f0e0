//! A certificate authority: whose word counts in one corner of the cluster, and whether we can sign in its name.
//!
//! An authority is made once, for a new cluster. Whatever is left of an earlier one is either used or reported; nothing
//! here replaces it.

use time::OffsetDateTime;

use super::catalogue::{Role, Spec};
use super::certificate::Certificate;
use super::issue::Action;
use super::key::PrivateKey;
use super::previous::{Previous, broken, finding};
use super::problem::{Problem, rfc3339};
use super::supplied::SuppliedAuthority;
use crate::finding::Finding;

/// A checked authority. Without its key nothing new can be signed, which is fine while nothing has to be.
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    pub(super) certificate_pem: Vec<u8>,
    pub(super) key: Option<PrivateKey>,
    /// How the key is written, which a re-render must not change.
    pub(super) key_pem: Option<Vec<u8>>,
}

/// What becomes of one authority.
pub(super) enum AuthorityStep {
    /// The cluster is new.
    Make,
    /// It is there.
    Use { authority: Box<Authority>, action: Action, reason: String },
}

impl Authority {
    /// Whether replacing one by the other leaves every certificate that either signed verifiable.
    fn is_same_as(&self, other: &Certificate) -> bool {
        self.certificate.subject == other.subject && self.certificate.public_key == other.public_key
    }
}

/// Everything that keeps `certificate` from signing servers and clients at `now`.
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

/// Decides about the authority `spec`, which `dependents` are signed by.
pub(super) fn decide(
    spec: &Spec,
    dependents: &[&Spec],
    supplied: Option<SuppliedAuthority>,
    previous: &Previous,
    now: OffsetDateTime,
) -> Result<AuthorityStep, Vec<Finding>> {
    let path = path(spec, previous);
    let certificate = previous.certificate(&path).map_err(|finding| vec![finding])?;
    match (supplied, certificate) {
        (Some(supplied), certificate) => replace(supplied, certificate.as_ref(), &path, previous),
        (None, Some(certificate)) => keep(spec, &path, certificate, previous, now),
        (None, None) => make(spec, dependents, previous),
    }
}

/// Where the earlier render has the certificate: copies count, since v0.14 wrote nothing else of etcd's CA.
fn path(spec: &Spec, previous: &Previous) -> String {
    let Role::Authority { copies } = spec.role else { return spec.certificate() };
    let mut paths = std::iter::once(spec.certificate()).chain(copies.iter().map(|&copy| copy.to_owned()));
    paths.find(|path| previous.files.contains_key(path)).unwrap_or_else(|| spec.certificate())
}

fn make(spec: &Spec, dependents: &[&Spec], previous: &Previous) -> Result<AuthorityStep, Vec<Finding>> {
    let mut left = std::iter::once(spec.key()).chain(dependents.iter().map(|spec| spec.certificate()));
    let Some(left) = left.find(|path| previous.files.contains_key(path)) else {
        return Ok(AuthorityStep::Make);
    };
    let problem = format!(
        "is missing beside tls/{left} of an earlier render, and a new CA would cut off every kubelet and client"
    );
    let cure = "put it back, or render into an empty directory to make a new cluster";
    Err(vec![finding(&spec.certificate(), problem, cure)])
}

fn keep(
    spec: &Spec,
    path: &str,
    certificate: Certificate,
    previous: &Previous,
    now: OffsetDateTime,
) -> Result<AuthorityStep, Vec<Finding>> {
    let problems = problems(&certificate, now);
    if !problems.is_empty() {
        return Err(problems.iter().map(|problem| broken(path, problem)).collect());
    }
    let key = previous.key(&spec.key()).map_err(|finding| vec![finding])?;
    if key.as_ref().is_some_and(|key| !key.matches(&certificate)) {
        return Err(vec![broken(&spec.key(), &Problem::Mismatch(format!("tls/{path}")))]);
    }
    let reason = format!("valid until {}", rfc3339(certificate.not_after));
    let authority = Authority {
        certificate,
        certificate_pem: previous.files.get(path).cloned().unwrap_or_default(),
        key,
        key_pem: previous.files.get(&spec.key()).cloned(),
    };
    Ok(AuthorityStep::Use { authority: Box::new(authority), action: Action::Kept, reason })
}

fn replace(
    supplied: SuppliedAuthority,
    previous_certificate: Option<&Certificate>,
    path: &str,
    previous: &Previous,
) -> Result<AuthorityStep, Vec<Finding>> {
    let SuppliedAuthority { authority, field, path: value } = supplied;
    let (action, reason) = match previous_certificate {
        None => (Action::Created, "as supplied"),
        Some(_) if previous.files.get(path) == Some(&authority.certificate_pem) => {
            (Action::Kept, "supplied again")
        }
        Some(certificate) if authority.is_same_as(certificate) => {
            (Action::Renewed, "as supplied, with the same subject and key")
        }
        Some(_) => {
            let problem = format!(
                "is another CA than tls/{path} of the earlier render; it would cut off every kubelet and client"
            );
            let cure =
                "supply that one again, or render into an empty directory to make a new cluster".to_owned();
            return Err(vec![Finding { field, value, problem, cure }]);
        }
    };
    Ok(AuthorityStep::Use { authority: Box::new(authority), action, reason: reason.to_owned() })
}
