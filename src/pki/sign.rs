//! Builds and signs certificates.
//!
//! rcgen encodes everything but the issuer's name. It would encode that name anew from a map of
//! attributes, which loses a second OU and may change the type of a string; verifiers compare names
//! byte by byte. So the certificate is built unsigned with a placeholder as its issuer, the
//! placeholder is replaced by the authority's own subject, and the result is signed here.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use time::{Duration, OffsetDateTime};
use x509_parser::asn1_rs::{BitString, ToDer};

use super::catalogue::{Spec, Usage};
use super::certificate::Certificate;
use super::error::Error;
use super::key::PrivateKey;
use super::term::Term;
use crate::config::AltNames;
use crate::x509::der::{elements, sequence};

/// How far the clock of another machine may lag behind this one's before that machine refuses a
/// certificate made just now.
pub(super) const CLOCK_SKEW: Duration = Duration::minutes(5);

/// The latest time that a certificate can hold.
const END_OF_TIME: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59 UTC);

/// A self-signed certificate.
pub(super) fn authority(
    spec: &Spec,
    key: &PrivateKey,
    now: OffsetDateTime,
    validity: std::time::Duration,
) -> Result<Certificate, Error> {
    let make = || {
        let mut params = params(spec)?;
        params.not_before = now - CLOCK_SKEW;
        params.not_after = later(now, validity);
        // No authority below this one: every certificate of a cluster is signed by its root.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.self_signed(&key.pair)
    };
    let built = make().map_err(|source| Error::Build { path: spec.certificate(), source })?;
    parsed(spec, built.der())
}

/// The parts of a leaf.
pub(super) struct Leaf<'a> {
    pub(super) spec: &'a Spec,
    pub(super) usages: &'a [Usage],
    pub(super) alt_names: &'a AltNames,
    pub(super) key: &'a PrivateKey,
}

/// A certificate signed by `authority`. It begins no earlier and ends no later than the authority
/// itself.
pub(super) fn leaf(
    leaf: &Leaf<'_>,
    authority: &Certificate,
    authority_key: &PrivateKey,
    now: OffsetDateTime,
    validity: std::time::Duration,
) -> Result<Certificate, Error> {
    let make = || {
        let mut params = leaf_params(leaf)?;
        params.not_before = (now - CLOCK_SKEW).max(authority.not_before);
        params.not_after = later(now, validity).min(authority.not_after);
        signed(&params, &leaf.key.pair, authority, &authority_key.pair)
    };
    let der = make().map_err(|source| Error::Build { path: leaf.spec.certificate(), source })?;
    parsed(leaf.spec, &der)
}

/// A client's certificate in place of `old`, of the same subject, for another key.
pub(super) fn successor(
    old: &Certificate,
    key: &PrivateKey,
    authority: &Certificate,
    authority_key: &PrivateKey,
    term: Term,
) -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial_number()?);
    params.not_before = term.not_before;
    params.not_after = term.not_after;
    restrict(&mut params, key, &[Usage::Client]);
    let der = signed_as(Some(&old.subject), &params, &key.pair, authority, &authority_key.pair)?;
    Certificate::parse(&der).map_err(|_| UNEXPECTED)
}

fn parsed(spec: &Spec, der: &[u8]) -> Result<Certificate, Error> {
    let source = rcgen::Error::CouldNotParseCertificate;
    Certificate::parse(der).map_err(|_| Error::Build { path: spec.certificate(), source })
}

/// Random: rcgen derives the serial number from the key, so a certificate that is renewed with its
/// key would repeat it.
fn serial_number() -> Result<SerialNumber, rcgen::Error> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    Ok(SerialNumber::from_slice(&serial))
}

/// Subject and serial number.
fn params(spec: &Spec) -> Result<CertificateParams, rcgen::Error> {
    let mut name = DistinguishedName::new();
    if let Some(organization) = &spec.organization {
        name.push(DnType::OrganizationName, organization.as_str());
    }
    name.push(DnType::CommonName, spec.common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.serial_number = Some(serial_number()?);
    Ok(params)
}

fn leaf_params(leaf: &Leaf<'_>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(leaf.spec)?;
    restrict(&mut params, leaf.key, leaf.usages);
    params.subject_alt_names = san(leaf.alt_names)?;
    Ok(params)
}

/// What the certificate may be used for.
fn restrict(params: &mut CertificateParams, key: &PrivateKey, usages: &[Usage]) {
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if key.is_rsa() {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages = usages.iter().map(|usage| purpose(*usage)).collect();
}

fn purpose(usage: Usage) -> ExtendedKeyUsagePurpose {
    match usage {
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
    }
}

fn san(names: &AltNames) -> Result<Vec<SanType>, rcgen::Error> {
    let dns = names.dns_names.iter().map(|name| Ok(SanType::DnsName(name.as_str().try_into()?)));
    let ips = names.ips.iter().map(|ip: &IpAddr| Ok(SanType::IpAddress(*ip)));
    dns.chain(ips).collect()
}

/// `now` plus `by`, at most [`END_OF_TIME`].
pub(super) fn later(now: OffsetDateTime, by: std::time::Duration) -> OffsetDateTime {
    Duration::try_from(by).ok().and_then(|by| now.checked_add(by)).unwrap_or(END_OF_TIME).min(END_OF_TIME)
}

/// In place of the authority's key: rcgen asks for a signature that is thrown away.
struct Unsigned<'a>(&'a KeyPair);

impl PublicKeyData for Unsigned<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for Unsigned<'_> {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

fn signed(
    params: &CertificateParams,
    key: &KeyPair,
    authority: &Certificate,
    authority_key: &KeyPair,
) -> Result<Vec<u8>, rcgen::Error> {
    signed_as(None, params, key, authority, authority_key)
}

/// As [`signed`], with a subject that is already encoded.
fn signed_as(
    subject: Option<&[u8]>,
    params: &CertificateParams,
    key: &KeyPair,
    authority: &Certificate,
    authority_key: &KeyPair,
) -> Result<Vec<u8>, rcgen::Error> {
    let mut placeholder = CertificateParams::default();
    if let Some(id) = &authority.subject_key_id {
        placeholder.key_identifier_method = KeyIdMethod::PreSpecified(id.clone());
    }
    let unsigned = params.signed_by(key, &Issuer::new(placeholder, Unsigned(authority_key)))?;
    let [body, algorithm, _signature] = elements(unsigned.der()).ok_or(UNEXPECTED)?[..] else {
        return Err(UNEXPECTED);
    };
    let body = with_names(body, &authority.subject, subject).ok_or(UNEXPECTED)?;
    let signature = BitString::new(0, &authority_key.sign(&body)?).to_der_vec().map_err(|_| UNEXPECTED)?;
    sequence(&[&body, algorithm, &signature]).ok_or(UNEXPECTED)
}

/// rcgen did not build a certificate of three parts.
const UNEXPECTED: rcgen::Error = rcgen::Error::CouldNotParseCertificate;

/// A TBSCertificate (version, serial number, algorithm, issuer, validity, subject, …) with another
/// issuer, and another subject if one is given.
fn with_names(body: &[u8], issuer: &[u8], subject: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut parts = elements(body)?;
    *parts.get_mut(3)? = issuer;
    let own = parts.get_mut(5)?;
    *own = subject.unwrap_or(own);
    sequence(&parts)
}
