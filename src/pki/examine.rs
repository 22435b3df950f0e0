//! Read-only view of a certificate for the rest of bootkube: subject, term, names, and whether a
//! key belongs to it.

use time::OffsetDateTime;

use super::certificate::Certificate;
use super::key::PrivateKey;

/// A certificate, parsed.
pub struct Examined(Certificate);

/// The certificates of a PEM file.
///
/// # Errors
/// If the file holds none, or one that cannot be parsed; in words for a message.
pub fn examine(pem: &[u8]) -> Result<Vec<Examined>, String> {
    let certificates = Certificate::read_all(pem).map_err(|problem| problem.to_string())?;
    Ok(certificates.into_iter().map(Examined).collect())
}

impl Examined {
    /// Common name of the subject; empty where there is none.
    pub fn name(&self) -> &str {
        self.0.common_name.as_deref().unwrap_or_default()
    }

    /// Whether its subject is in the group `organization`.
    pub fn is_of(&self, organization: &str) -> bool {
        self.0.organizations.iter().any(|one| one == organization)
    }

    /// Start of its term.
    pub fn not_before(&self) -> OffsetDateTime {
        self.0.not_before
    }

    /// End of its term.
    pub fn not_after(&self) -> OffsetDateTime {
        self.0.not_after
    }

    /// Whether it is a CA.
    pub fn is_authority(&self) -> bool {
        self.0.is_authority
    }

    /// Whether `authority` signed it.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        self.0.is_signed_by(&authority.0)
    }

    /// Whether it certifies the private key in `pem`.
    ///
    /// # Errors
    /// If `pem` holds no usable key; in words for a message.
    pub fn belongs_to(&self, pem: &[u8]) -> Result<bool, String> {
        PrivateKey::read(pem).map(|key| self.0.was_made_for(&key)).map_err(|problem| problem.to_string())
    }

    /// Whether a client that connects to `host`, an address or a name, accepts it.
    pub fn is_for(&self, host: &str) -> bool {
        self.0.is_for(host)
    }

    /// Every name and address that it is for.
    pub fn hosts(&self) -> Vec<String> {
        let addresses = self.0.ips.iter().map(ToString::to_string);
        self.0.dns_names.iter().cloned().chain(addresses).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::covers;
    use super::*;

    #[test]
    fn an_asterisk_covers_one_label() {
        assert!(covers("*.example.test", "api.example.test") && covers("a.b", "a.b"));
        assert!(!covers("*.example.test", "a.api.example.test") && !covers("*.example.test", "example.test"));
    }

    #[test]
    fn a_certificate_knows_its_key_and_its_hosts() {
        let names = vec!["api.example.test".to_owned(), "192.0.2.1".to_owned()];
        let issued = rcgen::generate_simple_self_signed(names).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).unwrap();
        let certificate = &examine(issued.cert.pem().as_bytes()).unwrap()[0];
        assert!(certificate.is_for("API.example.test") && certificate.is_for("192.0.2.1"));
        assert!(!certificate.is_for("192.0.2.2") && !certificate.is_for("example.test"));
        let belongs = |key: &rcgen::KeyPair| certificate.belongs_to(key.serialize_pem().as_bytes());
        assert_eq!(belongs(&issued.signing_key), Ok(true));
        assert_eq!(belongs(&other.signing_key), Ok(false));
        assert!(examine(b"no certificate").err().unwrap().contains("not PEM"));
    }
}
