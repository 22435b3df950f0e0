//! Decides whether a certificate of an earlier render is kept.
//!
//! It is kept while it is valid, signed by the current authority, made for the key beside it, and
//! has the subject, usages and names of the catalogue. Two changes of the configuration renew
//! nothing, because rendering again should not replace certificates without need: a name that is no
//! longer wanted does no harm until the certificate expires, and an existing key keeps its
//! algorithm.
//!
//! A certificate that is about to end is renewed if that gains time. `status` tells people to render
//! when the last tenth of the term has begun.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::catalogue::{Role, Spec};
use super::certificate::Certificate;
use super::key::{self, PrivateKey};
use super::note::Action;
use super::previous::Previous;
use super::problem::rfc3339;
use super::verify::verify;
use crate::config::KeyAlgorithm;
use crate::finding::Finding;

/// The decision about one certificate.
pub(super) enum LeafStep {
    /// Keep certificate and key as they are.
    Keep { reason: String },
    /// Issue a certificate, for the old key if there is one.
    Issue { key: Option<OldKey>, action: Action, reason: String },
}

/// A key of an earlier render, and its PEM as the file has it.
pub(super) struct OldKey {
    pub(super) key: PrivateKey,
    pub(super) pem: Vec<u8>,
}

/// Decides about the certificate `spec`. `authority` signs it; `None` means that the authority is
/// still to be made.
pub(super) fn decide(
    spec: &Spec,
    authority: Option<&Certificate>,
    previous: &Previous,
    algorithm: KeyAlgorithm,
    now: OffsetDateTime,
) -> Result<LeafStep, Vec<Finding>> {
    let read = (previous.certificate(&spec.certificate()), previous.key(&spec.key()));
    let (certificate, key) = match read {
        (Ok(certificate), Ok(key)) => (certificate, key),
        (certificate, key) => return Err(certificate.err().into_iter().chain(key.err()).collect()),
    };
    let reason = match (&certificate, &key) {
        (None, None) => {
            return Ok(LeafStep::Issue { key: None, action: Action::Created, reason: String::new() });
        }
        (None, Some(_)) => Some("it was missing beside its key".to_owned()),
        (Some(_), None) => Some("its key was missing".to_owned()),
        (Some(certificate), Some(key)) => flaw(spec, certificate, key, authority, now)
            .or_else(|| ends_early(spec, certificate, authority?, previous, now)),
    };
    let of_old_kind = key.as_ref().map(PrivateKey::kind).filter(|kind| kind != key::name(algorithm));
    let remark = of_old_kind.map(|kind| format!("; its key stays {kind}")).unwrap_or_default();
    Ok(match (reason, certificate) {
        (None, Some(certificate)) => {
            LeafStep::Keep { reason: format!("valid until {}{remark}", rfc3339(certificate.not_after)) }
        }
        (reason, _) => {
            let pem = previous.files.get(&spec.key()).cloned().unwrap_or_default();
            let key = key.map(|key| OldKey { key, pem });
            LeafStep::Issue { key, action: Action::Renewed, reason: reason.unwrap_or_default() + &remark }
        }
    })
}

/// One such part of the term is left when a certificate is renewed.
const LAST_PART: i32 = 10;

/// Why `certificate` ends earlier than it has to.
fn ends_early(
    spec: &Spec,
    certificate: &Certificate,
    authority: &Certificate,
    previous: &Previous,
    now: OffsetDateTime,
) -> Option<String> {
    let Role::Leaf { signer, .. } = spec.role else { return None };
    let Certificate { not_before, not_after, .. } = certificate;
    if authority.not_after <= *not_after {
        return None;
    }
    let earlier = previous.certificate(&format!("{signer}.crt")).ok().flatten();
    if earlier.is_some_and(|earlier| earlier.not_after == *not_after) {
        return Some("it ended with the earlier certificate of its CA".to_owned());
    }
    let is_last_part = *not_after - now < (*not_after - *not_before) / LAST_PART;
    is_last_part.then(|| format!("it would have ended at {}", rfc3339(*not_after)))
}

/// The first reason not to keep `certificate`.
fn flaw(
    spec: &Spec,
    certificate: &Certificate,
    key: &PrivateKey,
    authority: Option<&Certificate>,
    now: OffsetDateTime,
) -> Option<String> {
    if !certificate.was_made_for(key) {
        return Some("it did not belong to its key".to_owned());
    }
    if certificate.check_time(now).is_err() {
        let (from, until) = (rfc3339(certificate.not_before), rfc3339(certificate.not_after));
        return Some(format!("it was valid from {from} until {until}"));
    }
    if !authority.is_some_and(|authority| certificate.is_signed_by(authority)) {
        return Some("it was not signed by the current CA".to_owned());
    }
    identity_flaw(spec, certificate).or_else(|| refusal(spec, certificate, authority?, now))
}

/// Why Kubernetes refuses it, for one of its usages.
fn refusal(
    spec: &Spec,
    certificate: &Certificate,
    authority: &Certificate,
    now: OffsetDateTime,
) -> Option<String> {
    let Role::Leaf { usages, .. } = &spec.role else { return None };
    let trusted = std::slice::from_ref(authority);
    let refusal = usages.iter().find_map(|usage| verify(certificate, &[], trusted, *usage, now).err());
    refusal.map(|refusal| format!("Kubernetes refused it: {}", refusal.why))
}

fn identity_flaw(spec: &Spec, certificate: &Certificate) -> Option<String> {
    let Role::Leaf { usages, alt_names, .. } = &spec.role else { return None };
    let same_name = certificate.common_name.as_deref() == Some(spec.common_name);
    if !same_name || !certificate.organizations.iter().eq(&spec.organization) {
        return Some("its subject differed".to_owned());
    }
    if certificate.is_authority || !certificate.usages.are_exactly(usages) {
        return Some("its usages differed".to_owned());
    }
    let dns: BTreeSet<String> = alt_names.dns_names.iter().cloned().collect();
    let missing_dns = dns.difference(&certificate.dns_names).cloned();
    let ips = alt_names.ips.iter().filter(|ip| !certificate.ips.contains(ip)).map(ToString::to_string);
    let missing: Vec<String> = missing_dns.chain(ips).collect();
    (!missing.is_empty()).then(|| format!("it lacked {}", missing.join(", ")))
}
