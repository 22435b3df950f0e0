//! One X.509 certificate, read into the facts that decide whether it is used, kept or renewed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pem::Pem;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::catalogue::Usage;
use super::key::{self, PrivateKey};
use super::problem::Problem;
use crate::x509::{self, Unsigned};

/// The fields of a certificate that decisions need. Names that are not text are left out: nothing
/// that bootkube issues has any.
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    /// The subject, encoded: certificates that it signs must repeat these bytes as their issuer.
    pub(super) subject: Vec<u8>,
    /// The subject of what signed it, encoded.
    pub(super) issuer: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    pub(super) common_name: Option<String>,
    pub(super) organizations: Vec<String>,
    pub(super) dns_names: BTreeSet<String>,
    pub(super) ips: BTreeSet<IpAddr>,
    pub(super) usages: Usages,
    /// basicConstraints has CA:TRUE.
    pub(super) is_authority: bool,
    /// What Go's rules need beside these fields.
    pub(super) rules: x509::Rules,
    pub(super) subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
}

/// The extended key usages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Usages {
    /// No such extension, or one that allows anything.
    Any,
    /// The known usages, and whether there are others.
    Only { known: BTreeSet<Usage>, others: bool },
}

impl Certificate {
    /// Reads the single certificate of `file`.
    pub(super) fn read(file: &[u8]) -> Result<Self, Problem> {
        let mut certificates = Self::read_all(file)?;
        match certificates.len() {
            1 => certificates.pop().ok_or(Problem::NoCertificate),
            several => Err(Problem::SeveralCertificates(several)),
        }
    }

    /// Reads every certificate of `file`, of which there is at least one.
    pub(super) fn read_all(file: &[u8]) -> Result<Vec<Self>, Problem> {
        let blocks = pem::parse_many(file).map_err(|_| Problem::NotPem)?;
        if blocks.is_empty() {
            return Err(Problem::NotPem);
        }
        let certificates = blocks.iter().filter(|block| block.tag() == "CERTIFICATE");
        let certificates: Vec<Self> =
            certificates.map(|block| Self::parse(block.contents())).collect::<Result<_, _>>()?;
        if certificates.is_empty() { Err(Problem::NoCertificate) } else { Ok(certificates) }
    }

    /// Reads DER.
    pub(super) fn parse(der: &[u8]) -> Result<Self, Problem> {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => {
                let rules = x509::rules(&certificate).map_err(Problem::Unreadable)?;
                facts(der, &certificate, rules).ok_or(Problem::BadCertificate)
            }
            _ => Err(Problem::BadCertificate),
        }
    }

    /// How messages name it: by the CN of its subject.
    pub(super) fn label(&self) -> String {
        let name = self.common_name.as_deref().filter(|name| !name.is_empty());
        name.map_or_else(|| "the certificate without CN".to_owned(), |name| format!("{name:?}"))
    }

    /// The certificate alone, as PEM.
    pub(super) fn pem(&self) -> Vec<u8> {
        key::encode(&Pem::new("CERTIFICATE", self.der.as_slice()))
    }

    /// Whether it certifies the public half of `key`.
    pub(super) fn was_made_for(&self, key: &PrivateKey) -> bool {
        key.pair.public_key_raw() == self.public_key
    }

    /// Whether a client that connects to `host`, an address or a name, accepts it.
    pub(super) fn is_for(&self, host: &str) -> bool {
        match host.parse::<IpAddr>() {
            Ok(address) => self.ips.contains(&address),
            Err(_) => self.dns_names.iter().any(|name| covers(name, &host.to_ascii_lowercase())),
        }
    }

    /// Whether it is valid at `now`.
    pub(super) fn check_time(&self, now: OffsetDateTime) -> Result<(), Problem> {
        if now > self.not_after {
            Err(Problem::Expired(self.not_after))
        } else if now < self.not_before {
            Err(Problem::NotYetValid(self.not_before))
        } else {
            Ok(())
        }
    }

    /// Whether `authority` signed this certificate: by name, key identifier (openssl insists) and
    /// signature.
    pub(super) fn is_signed_by(&self, authority: &Self) -> bool {
        let other_key = self
            .authority_key_id
            .as_ref()
            .zip(authority.subject_key_id.as_ref())
            .is_some_and(|(a, b)| a != b);
        if other_key {
            return false;
        }
        self.issuer == authority.subject && self.is_signature_by(authority).is_ok()
    }

    /// Whether the key of `authority` made the signature.
    pub(super) fn is_signature_by(&self, authority: &Self) -> Result<(), Unsigned> {
        match (X509Certificate::from_der(&self.der), X509Certificate::from_der(&authority.der)) {
            (Ok((_, this)), Ok((_, authority))) => x509::is_signature_of(authority.public_key(), &this),
            _ => Err(Unsigned::Wrong),
        }
    }
}

/// Whether the name `name` of a certificate matches `host`. An asterisk stands for the whole first
/// label.
pub(super) fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host,
    }
}

/// `None` where an extension occurs twice or does not parse.
fn facts(der: &[u8], certificate: &X509Certificate<'_>, rules: x509::Rules) -> Option<Certificate> {
    let mut dns_names = BTreeSet::new();
    let mut ips = BTreeSet::new();
    for name in certificate.subject_alternative_name().ok()?.iter().flat_map(|ext| &ext.value.general_names) {
        match name {
            GeneralName::DNSName(name) => drop(dns_names.insert(name.to_ascii_lowercase())),
            GeneralName::IPAddress(octets) => ips.extend(ip(octets)),
            _ => {}
        }
    }
    let subject = certificate.subject();
    let validity = certificate.validity();
    Some(Certificate {
        der: der.to_vec(),
        subject: subject.as_raw().to_vec(),
        issuer: certificate.issuer().as_raw().to_vec(),
        public_key: certificate.public_key().subject_public_key.data.to_vec(),
        not_before: validity.not_before.to_datetime(),
        not_after: validity.not_after.to_datetime(),
        common_name: texts(subject.iter_common_name()).pop(),
        organizations: texts(subject.iter_organization()),
        dns_names,
        ips,
        usages: Usages::new(certificate.extended_key_usage().ok()?.map(|ext| ext.value)),
        is_authority: certificate.basic_constraints().ok()?.is_some_and(|ext| ext.value.ca),
        rules,
        subject_key_id: subject_key_id(certificate),
        authority_key_id: authority_key_id(certificate),
    })
}

fn texts<'a>(
    attributes: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Vec<String> {
    attributes.filter_map(|attribute| attribute.as_str().ok().map(str::to_owned)).collect()
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

fn authority_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => Some(id.key_identifier.as_ref()?.0.to_vec()),
        _ => None,
    })
}

impl Usages {
    fn new(extension: Option<&ExtendedKeyUsage<'_>>) -> Self {
        let Some(usage) = extension.filter(|usage| x509::limits(usage)) else { return Self::Any };
        let known = [(usage.server_auth, Usage::Server), (usage.client_auth, Usage::Client)];
        let others = usage.code_signing
            || usage.email_protection
            || usage.time_stamping
            || usage.ocsp_signing
            || !usage.other.is_empty();
        Self::Only {
            known: known.into_iter().filter_map(|(on, usage)| on.then_some(usage)).collect(),
            others,
        }
    }

    /// Whether the certificate may be used for `wanted` and nothing else.
    pub(super) fn are_exactly(&self, wanted: &[Usage]) -> bool {
        *self == Self::Only { known: wanted.iter().copied().collect(), others: false }
    }

    /// Whether the certificate, and what it signed, may be used for `wanted`: verifiers nest the
    /// extension.
    pub(super) fn allow(&self, wanted: Usage) -> bool {
        match self {
            Self::Any => true,
            Self::Only { known, .. } => known.contains(&wanted),
        }
    }
}
