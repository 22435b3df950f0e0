//! Decides what becomes of a certificate authority: it is made, kept, or taken from what the user
//! supplied.
//!
//! An authority is made only for a new cluster. If an earlier render left any part of one, that
//! part is either used or reported. Nothing here replaces it, because a new CA would cut off every
//! kubelet and client.

use time::OffsetDateTime;

use super::catalogue::{Role, Spec};
use super::certificate::Certificate;
use super::note::Action;
use super::previous::{Previous, broken, finding};
use super::problem::{Problem, rfc3339};
use super::signer::{Authority, Source, problems};
use crate::finding::Finding;

/// The decision about one authority.
pub(super) enum AuthorityStep {
    /// Make it: the cluster is new.
    Make,
    /// Use the one that exists.
    Use { authority: Box<Authority>, action: Action, reason: String },
}

/// Decides about the authority `spec`, which signs `dependents`.
pub(super) fn decide(
    spec: &Spec,
    dependents: &[&Spec],
    supplied: Option<Authority>,
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

/// Where the earlier render has the certificate. Copies count: v0.14 wrote only copies of etcd's
/// CA.
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
    if key.as_ref().is_some_and(|key| !certificate.was_made_for(key)) {
        return Err(vec![broken(&spec.key(), &Problem::Mismatch(format!("tls/{path}")))]);
    }
    let reason = format!("valid until {}", rfc3339(certificate.not_after));
    let authority = Authority {
        certificate,
        certificate_pem: previous.files.get(path).cloned().unwrap_or_default(),
        key,
        key_pem: previous.files.get(&spec.key()).cloned(),
        source: Source::tls(path),
    };
    Ok(AuthorityStep::Use { authority: Box::new(authority), action: Action::Kept, reason })
}

fn replace(
    authority: Authority,
    previous_certificate: Option<&Certificate>,
    path: &str,
    previous: &Previous,
) -> Result<AuthorityStep, Vec<Finding>> {
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
            let Source { field, path: value } = authority.source;
            return Err(vec![Finding { field, value, problem, cure }]);
        }
    };
    Ok(AuthorityStep::Use { authority: Box::new(authority), action, reason: reason.to_owned() })
}
