use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use time::macros::datetime;

use super::*;
use crate::pki::examine;

const NOW: OffsetDateTime = datetime!(2026-11-01 0:00 UTC);

fn pair(certificate: &rcgen::Certificate, key: &KeyPair) -> Pair {
    Pair { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
}

fn params(name: &str, not_before: OffsetDateTime, not_after: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (not_before, not_after);
    params
}

fn authority(not_after: OffsetDateTime) -> Pair {
    authority_of(&KeyPair::generate().unwrap(), not_after)
}

fn authority_of(key: &KeyPair, not_after: OffsetDateTime) -> Pair {
    let mut params = params("kubernetes-ca", datetime!(2026-01-01 0:00 UTC), not_after);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    pair(&params.self_signed(key).unwrap(), key)
}

/// The certificate of a year, which ends 2027-01-01.
fn client(authority: &Pair) -> Pair {
    let ca = String::from_utf8(authority.certificate.clone()).unwrap();
    let ca_key = KeyPair::from_pem(std::str::from_utf8(&authority.key).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&ca, ca_key).unwrap();
    let mut params = params("bootkube-agent", datetime!(2026-01-01 0:00 UTC), datetime!(2027-01-01 0:00 UTC));
    params.distinguished_name.push(DnType::OrganizationName, "one");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    pair(&params.signed_by(&key, &issuer).unwrap(), &key)
}

#[test]
fn a_certificate_is_due_with_a_third_of_its_term_left_and_outside_of_its_term() {
    let term = Term { not_before: datetime!(2026-01-01 0:00 UTC), not_after: datetime!(2026-01-04 0:00 UTC) };
    let cases = [
        (datetime!(2025-12-31 23:59 UTC), true),
        (datetime!(2026-01-01 0:00 UTC), false),
        (datetime!(2026-01-02 23:59 UTC), false),
        (datetime!(2026-01-03 0:00 UTC), true),
        (datetime!(2027-01-03 0:00 UTC), true),
    ];
    for (now, due) in cases {
        assert_eq!(term.is_due(now), due, "{now}");
    }
    assert_eq!(term.due(), datetime!(2026-01-03 0:00 UTC));
}

#[test]
fn the_new_certificate_has_the_same_subject_and_a_term_of_the_same_length() {
    let ca = authority(datetime!(2036-01-01 0:00 UTC));
    let old = client(&ca);
    for now in [NOW, datetime!(2028-05-05 0:00 UTC)] {
        let new = renew(&old, &ca, &ca.certificate, now).unwrap();
        let (was, is) = (read("old", &old.certificate).unwrap(), read("new", &new.certificate).unwrap());
        assert_eq!(was.subject, is.subject);
        assert_eq!(is.common_name.as_deref(), Some("bootkube-agent"));
        assert!(is.usages.are_exactly(&[super::super::Usage::Client]) && !is.is_authority);
        assert_eq!(
            (is.not_before, is.not_after - is.not_before),
            (now - sign::CLOCK_SKEW, was.not_after - was.not_before)
        );
        let examined = &examine(&new.certificate).unwrap()[0];
        assert!(examined.is_signed_by(&examine(&ca.certificate).unwrap()[0]));
        assert_eq!(examined.belongs_to(&new.key), Ok(true));
        assert_eq!(examined.belongs_to(&old.key), Ok(false), "a key of its own");
        assert!(!Term::from_pem(&new.certificate).unwrap().is_due(now));
    }
}

#[test]
fn a_renewal_ends_with_the_authority_at_the_latest_and_needs_time_to_gain() {
    let ca = authority(datetime!(2027-03-01 0:00 UTC));
    let new = renew(&client(&ca), &ca, &ca.certificate, NOW).unwrap();
    assert_eq!(Term::from_pem(&new.certificate).unwrap().not_after, datetime!(2027-03-01 0:00 UTC));
    let again = renew(&new, &ca, &ca.certificate, datetime!(2027-02-01 0:00 UTC)).err().unwrap();
    assert_eq!(again.to_string(), "the cluster's CA itself expires at 2027-03-01T00:00:00Z");
    let ended = renew(&new, &ca, &ca.certificate, datetime!(2027-04-01 0:00 UTC)).err().unwrap();
    assert_eq!(
        ended.to_string(),
        "the CA's certificate holds a certificate that expired at 2027-03-01T00:00:00Z"
    );
}

#[test]
fn an_untrusted_or_foreign_authority_signs_nothing() {
    let end = datetime!(2036-01-01 0:00 UTC);
    let (ca, other) = (authority(end), authority(end));
    let old = client(&ca);
    let why = |old: &Pair, signer: &Pair, trusted: &Pair| {
        renew(old, signer, &trusted.certificate, NOW).err().unwrap().to_string()
    };
    assert!(why(&old, &other, &ca).contains("not one that the kubeconfig trusts"));
    assert!(why(&client(&other), &ca, &ca).contains("did not sign the current certificate"));
    let mixed = Pair { certificate: ca.certificate.clone(), key: other.key.clone() };
    assert!(why(&old, &mixed, &ca).contains("does not belong to the certificate"));
    assert!(why(&old, &old, &old).contains("not a CA"));
    let nothing = Pair { certificate: Vec::new(), key: Vec::new() };
    assert!(why(&old, &nothing, &ca).contains("the CA's certificate is not PEM"));
}

#[test]
fn what_servers_would_refuse_takes_the_place_of_no_certificate() {
    let key = KeyPair::generate().unwrap();
    let ca = authority_of(&key, datetime!(2036-01-01 0:00 UTC));
    let ended = authority_of(&key, datetime!(2026-10-01 0:00 UTC));
    let why = renew(&client(&ca), &ca, &ended.certificate, NOW).err().unwrap().to_string();
    assert!(why.contains("servers would refuse") && why.contains("expired at 2026-10-01"), "{why}");
    let both = [ended.certificate, ca.certificate.clone()].concat();
    assert!(renew(&client(&ca), &ca, &both, NOW).is_ok(), "a bundle keeps an ended one beside its successor");
}
