//! Decides whether a certificate of an earlier render is kept.
//!
//! It is kept while it is valid, signed by the current authority, made for the key beside it, and
//! has the subject, usages and names of the catalogue. Two changes of the configuration renew
//! nothing, because rendering again should not replace certificates without need: a name that is no
//! longer wanted does no harm until the certificate expires, and an existing key keeps its
//! algorithm.
//!
//! A certificate that is about to end is renewed if that gains time and the authority's key is there.
//! Without the key it is kept: it still serves. `status` tells people to render when the last tenth of
//! the term has begun.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::catalogue::{Role, Spec};
use super::certificate::Certificate;
use super::key::{self, PrivateKey};
use super::note::Action;
use super::previous::Previous;
use super::problem::rfc3339;
use super::sign;
use super::term::Term;
use super::verify::verify;
use crate::config::Certificates;
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

/// What signs a certificate.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    /// `None` means that the authority is still to be made.
    pub(super) authority: Option<&'a Certificate>,
    /// Whether its key is there, or will be.
    pub(super) can_sign: bool,
}

/// Decides about the certificate `spec`, which `signer` signs.
pub(super) fn decide(
    spec: &Spec,
    signer: Signer<'_>,
    previous: &Previous,
    settings: &Certificates,
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
        (Some(certificate), Some(key)) => flaw(spec, certificate, key, signer.authority, now),
    };
    let early = certificate.as_ref().zip(signer.authority).and_then(|(certificate, authority)| {
        ends_early(spec, certificate, later_end(authority, settings, now), previous, now)
    });
    let of_old_kind =
        key.as_ref().map(PrivateKey::kind).filter(|kind| kind != key::name(settings.key_algorithm));
    let remark = of_old_kind.map(|kind| format!("; its key stays {kind}")).unwrap_or_default();
    let is_early = early.is_some();
    Ok(match (reason.or(early.filter(|_| signer.can_sign)), certificate) {
        (None, Some(certificate)) => {
            LeafStep::Keep { reason: kept(spec, certificate.not_after, is_early) + &remark }
        }
        (reason, _) => {
            let pem = previous.files.get(&spec.key()).cloned().unwrap_or_default();
            let key = key.map(|key| OldKey { key, pem });
            LeafStep::Issue { key, action: Action::Renewed, reason: reason.unwrap_or_default() + &remark }
        }
    })
}

/// What is said of a certificate that is kept until `end`. `is_early`: although the authority's key
/// would gain time.
fn kept(spec: &Spec, end: OffsetDateTime, is_early: bool) -> String {
    let end = rfc3339(end);
    match &spec.role {
        Role::Leaf { signer, .. } if is_early => {
            format!("ends at {end}; to renew it, put tls/{signer}.key back and render again")
        }
        _ => format!("valid until {end}"),
    }
}

/// Until when a certificate is valid that `authority` signs now. Certificates have whole seconds.
fn later_end(authority: &Certificate, settings: &Certificates, now: OffsetDateTime) -> OffsetDateTime {
    sign::later(now, settings.validity).min(authority.not_after).truncate_to_second()
}

/// Why `certificate` is to be replaced by one that is valid until `later`, if that gains time.
fn ends_early(
    spec: &Spec,
    certificate: &Certificate,
    later: OffsetDateTime,
    previous: &Previous,
    now: OffsetDateTime,
) -> Option<String> {
    let Role::Leaf { signer, .. } = spec.role else { return None };
    let Certificate { not_before, not_after, .. } = certificate;
    if later <= *not_after {
        return None;
    }
    let earlier = previous.certificate(&format!("{signer}.crt")).ok().flatten();
    if earlier.is_some_and(|earlier| earlier.not_after == *not_after) {
        return Some("it ended with the earlier certificate of its CA".to_owned());
    }
    let term = Term { not_before: *not_before, not_after: *not_after };
    term.is_ending(now).then(|| format!("it would have ended at {}", rfc3339(*not_after)))
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
