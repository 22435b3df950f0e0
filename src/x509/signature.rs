//! Signatures: those that Go accepts and that bootkube can verify, too.

use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, UnparsedPublicKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Signatures with MD5 and SHA-1, which Go refuses.
const WEAK: [&str; 4] =
    ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.3.14.3.2.29", "1.2.840.10045.4.1"];
/// ECDSA, by the curve of the key and the algorithm of the signature.
const ECDSA: [(&str, &str, &EcdsaVerificationAlgorithm); 9] = [
    (P256, WITH_SHA256, &signature::ECDSA_P256_SHA256_ASN1),
    (P256, WITH_SHA384, &signature::ECDSA_P256_SHA384_ASN1),
    (P256, WITH_SHA512, &signature::ECDSA_P256_SHA512_ASN1),
    (P384, WITH_SHA256, &signature::ECDSA_P384_SHA256_ASN1),
    (P384, WITH_SHA384, &signature::ECDSA_P384_SHA384_ASN1),
    (P384, WITH_SHA512, &signature::ECDSA_P384_SHA512_ASN1),
    (P521, WITH_SHA256, &signature::ECDSA_P521_SHA256_ASN1),
    (P521, WITH_SHA384, &signature::ECDSA_P521_SHA384_ASN1),
    (P521, WITH_SHA512, &signature::ECDSA_P521_SHA512_ASN1),
];
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const P521: &str = "1.3.132.0.35";
const WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const WITH_SHA384: &str = "1.2.840.10045.4.3.3";
const WITH_SHA512: &str = "1.2.840.10045.4.3.4";

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// With MD5 or SHA-1.
    Weak,
    /// Of a kind that Go may have, and bootkube's TLS library has not: P-224, and RSA below 2048
    /// bits.
    Unknown,
    /// By another key.
    Wrong,
}

/// Whether `key` made the signature of `certificate`.
pub fn is_signature_of(
    key: &SubjectPublicKeyInfo<'_>,
    certificate: &X509Certificate<'_>,
) -> Result<(), Unsigned> {
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    if WEAK.contains(&algorithm.as_str()) {
        return Err(Unsigned::Weak);
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    let curve = curve.map(|curve| curve.to_id_string()).unwrap_or_default();
    let ecdsa = ECDSA.iter().find(|(of, by, _)| *of == curve && *by == algorithm);
    let Some((.., ecdsa)) = ecdsa else {
        return certificate.verify_signature(Some(key)).map_err(|error| match error {
            X509Error::SignatureUnsupportedAlgorithm => Unsigned::Unknown,
            _ if is_short(key) => Unsigned::Unknown,
            _ => Unsigned::Wrong,
        });
    };
    let signed = certificate.tbs_certificate.as_ref();
    let key = UnparsedPublicKey::new(*ecdsa, &key.subject_public_key.data);
    key.verify(signed, &certificate.signature_value.data).map_err(|_| Unsigned::Wrong)
}

/// The shortest RSA key that the TLS library takes.
const LEAST_RSA: usize = 2048;

fn is_short(key: &SubjectPublicKeyInfo<'_>) -> bool {
    use x509_parser::public_key::PublicKey;
    matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if rsa.key_size() < LEAST_RSA)
}
