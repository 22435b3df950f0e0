//! What Go refuses to read, and the fields that its rules need.

use x509_parser::asn1_rs::{Any, FromDer as _, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, ParsedExtension, X509Extension};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Version};

use super::der::elements;
use super::names::{Constraints, Names};
use super::policy::Policies;

const RSA: &str = "1.2.840.113549.1.1.1";
const ELLIPTIC: &str = "1.2.840.10045.2.1";
/// P-224, P-256, P-384 and P-521, with the length of a coordinate.
const CURVES: [(&str, usize); 4] =
    [("1.3.132.0.33", 28), ("1.2.840.10045.3.1.7", 32), ("1.3.132.0.34", 48), ("1.3.132.0.35", 66)];
/// The extensions that Go interprets: it refuses others that are critical.
const INTERPRETED: [&str; 12] = [
    "2.5.29.14",
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.35",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.54",
];
/// Key identifiers and authorityInfoAccess, which must not be critical.
const NEVER_CRITICAL: [&str; 3] = ["2.5.29.14", "2.5.29.35", "1.3.6.1.5.5.7.1.1"];

/// What the rules need.
#[derive(Debug, Default)]
pub struct Rules {
    /// Whether there is a basicConstraints extension; none is needed before version 3.
    pub basic: Option<Basic>,
    pub is_version_3: bool,
    /// keyUsage is there and does not allow to sign certificates.
    pub forbids_signing: bool,
    pub names: Names,
    pub constraints: Option<Constraints>,
    pub policies: Policies,
    /// Critical extensions that Go does not interpret.
    pub unhandled: Vec<String>,
}

/// The extension basicConstraints.
#[derive(Clone, Copy, Debug)]
pub struct Basic {
    pub is_authority: bool,
    pub path_length: Option<u32>,
}

impl Rules {
    /// Whether a certificate that this one signed may be trusted for its sake.
    pub fn is_authority(&self) -> bool {
        match self.basic {
            Some(basic) => basic.is_authority,
            None => !self.is_version_3,
        }
    }
}

/// The rules of `certificate`.
///
/// # Errors
/// If Go does not read it, with what is wrong with it.
pub fn rules(certificate: &X509Certificate<'_>) -> Result<Rules, String> {
    let serial = certificate.raw_serial();
    if serial.first().is_none_or(|first| first & 0x80 != 0) {
        return Err("a negative serial number".to_owned());
    }
    if certificate.version().0 > X509Version::V3.0 {
        return Err("a version above 3".to_owned());
    }
    for name in [certificate.issuer(), certificate.subject()] {
        texts(name.as_raw()).ok_or("a name with a malformed text in it")?;
    }
    key(certificate.public_key())?;
    let is_version_3 = certificate.version() == X509Version::V3;
    let mut rules = Rules { is_version_3, ..Rules::default() };
    let mut seen = Vec::new();
    for extension in certificate.extensions().iter().filter(|_| is_version_3) {
        let id = extension.oid.to_id_string();
        if seen.contains(&id) {
            return Err(format!("the extension {id} twice"));
        }
        let is_interpreted = interpret(&id, extension, &mut rules)?;
        if extension.critical && !is_interpreted {
            rules.unhandled.push(id.clone());
        }
        seen.push(id);
    }
    Ok(rules)
}

/// Reads one extension. Whether Go interprets it.
fn interpret(id: &str, extension: &X509Extension<'_>, rules: &mut Rules) -> Result<bool, String> {
    if extension.critical && NEVER_CRITICAL.contains(&id) {
        return Err(format!("the extension {id} as critical"));
    }
    if !INTERPRETED.contains(&id) {
        return Ok(false);
    }
    let malformed = || format!("a malformed extension {id}");
    match extension.parsed_extension() {
        ParsedExtension::ParseError { .. } => return Err(malformed()),
        ParsedExtension::BasicConstraints(_) if has_odd_boolean(extension.value) => return Err(malformed()),
        ParsedExtension::BasicConstraints(basic) => {
            rules.basic = Some(Basic { is_authority: basic.ca, path_length: basic.path_len_constraint });
        }
        ParsedExtension::KeyUsage(usage) => {
            rules.forbids_signing = usage.flags != 0 && !usage.key_cert_sign();
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            rules.names = Names::read(&names.general_names)?;
            return Ok(!rules.names.are_empty());
        }
        ParsedExtension::NameConstraints(constraints) => {
            let (constraints, others) = Constraints::read(constraints)?;
            rules.constraints = Some(constraints);
            return Ok(!others);
        }
        other => rules.policies.read(other),
    }
    Ok(true)
}

/// Whether a sequence has a BOOLEAN other than the two of DER. x509-parser takes any as true.
fn has_odd_boolean(sequence: &[u8]) -> bool {
    let parts = elements(sequence).unwrap_or_default();
    parts.iter().any(|part| matches!(part, [1, 1, value] if ![0, 0xff].contains(value)))
}

/// Whether a list of usages limits anything: an empty one does not.
pub fn limits(usage: &ExtendedKeyUsage<'_>) -> bool {
    let ExtendedKeyUsage {
        any,
        server_auth,
        client_auth,
        code_signing,
        email_protection,
        time_stamping,
        ocsp_signing,
        other,
    } = usage;
    let known = [server_auth, client_auth, code_signing, email_protection, time_stamping, ocsp_signing];
    !any && (known.into_iter().any(|usage| *usage) || !other.is_empty())
}

/// Go reads six types of text, and only some characters in three of them.
fn texts(name: &[u8]) -> Option<()> {
    for set in elements(name)? {
        for attribute in elements(set)? {
            let (_, value) = Any::from_der(elements(attribute)?.get(1)?).ok()?;
            if !is_text(value.tag(), value.data) {
                return None;
            }
        }
    }
    Some(())
}

fn is_text(tag: Tag, text: &[u8]) -> bool {
    const MARKS: &[u8] = b"'()+,-./ :=?*&";
    match tag {
        Tag::T61String => true,
        Tag::BmpString => text.len().is_multiple_of(2),
        Tag::PrintableString => text.iter().all(|c| c.is_ascii_alphanumeric() || MARKS.contains(c)),
        Tag::Utf8String => std::str::from_utf8(text).is_ok(),
        Tag::Ia5String => text.is_ascii(),
        Tag::NumericString => text.iter().all(|c| c.is_ascii_digit() || *c == b' '),
        _ => false,
    }
}

/// RSA with the parameters NULL, and points of four curves, which are named and not described. Go
/// reads keys of kinds that it does not know, but trusts nothing that they signed.
fn key(info: &SubjectPublicKeyInfo<'_>) -> Result<(), String> {
    let parameters = info.algorithm.parameters.as_ref();
    match info.algorithm.algorithm.to_id_string().as_str() {
        RSA => match (parameters.map(|any| any.tag()), info.parsed()) {
            (Some(Tag::Null), Ok(PublicKey::RSA(_))) => Ok(()),
            _ => Err("a malformed RSA key".to_owned()),
        },
        ELLIPTIC => {
            let name = parameters.filter(|any| any.tag() == Tag::Oid);
            let Some(curve) = name.and_then(|any| any.as_oid().ok()) else {
                return Err("a key whose curve is described (explicit parameters), not named".to_owned());
            };
            let curve = curve.to_id_string();
            let Some((_, length)) = CURVES.iter().find(|(id, _)| *id == curve) else {
                return Err(format!("a key of the curve {curve}, which Go does not have"));
            };
            let point = &info.subject_public_key.data;
            let is_whole = point.first() == Some(&4) && point.len() == 1 + 2 * length;
            is_whole.then_some(()).ok_or_else(|| "a key whose point is compressed or cut off".to_owned())
        }
        _ => Ok(()),
    }
}
