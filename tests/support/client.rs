//! Client certificates of any life, signed by a rendered CA.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use time::OffsetDateTime;

/// A certificate for `name` and its key, PEM, signed by `ca` with `ca_key`, valid between two
/// moments.
pub fn client(
    name: &str,
    (ca, ca_key): (&str, &str),
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
) -> (String, String) {
    let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::from_pem(ca_key).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (not_before, not_after);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
}
