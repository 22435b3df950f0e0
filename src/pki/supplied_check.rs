//! What all files of the user's are checked for: readable, not exchanged, key and certificate of one
//! pair.

use time::OffsetDateTime;

use super::certificate::Certificate;
use super::key::PrivateKey;
use super::problem::Problem;
use crate::finding::Finding;

/// A file of the user's, and how messages name it.
pub struct NamedFile {
    /// The flag or field that names it.
    pub field: String,
    /// Where it is.
    pub path: String,
    /// Its content.
    pub pem: Vec<u8>,
}

/// The user's files, unchecked.
#[derive(Default)]
pub struct SuppliedFiles {
    /// Certificate and key of a Kubernetes CA.
    pub ca: Option<(NamedFile, NamedFile)>,
    /// CA, certificate and key of an etcd client.
    pub etcd_client: Option<(NamedFile, NamedFile, NamedFile)>,
    /// Addresses and names of the etcd servers that the client asks.
    pub etcd_hosts: Vec<String>,
}

/// The check under way.
pub(super) struct Check<'a> {
    pub(super) files: &'a SuppliedFiles,
    pub(super) now: OffsetDateTime,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Check<'_> {
    pub(super) fn refuse(&mut self, problem: Problem, file: &NamedFile) {
        self.findings.push(problem.finding(&file.field, &file.path));
    }

    pub(super) fn note<T>(&mut self, result: Result<T, Problem>, file: &NamedFile) -> Option<T> {
        result.map_err(|problem| self.refuse(problem, file)).ok()
    }

    /// Whether a key is where a certificate should be, and a certificate where its key should be.
    pub(super) fn exchanged(&mut self, certificate: &NamedFile, key: &NamedFile) -> bool {
        let is = holds_only(&certificate.pem, "PRIVATE KEY") && holds_only(&key.pem, "CERTIFICATE");
        if is {
            let other = format!("{} ({})", key.field, key.path);
            let problem = Problem::Exchanged { holds: "a private key", other, its: "a certificate" };
            self.refuse(problem, certificate);
        }
        is
    }

    /// The certificate with its key, if both could be read and belong together.
    pub(super) fn pair(
        &mut self,
        certificate: Option<Certificate>,
        certificate_file: &NamedFile,
        key_file: &NamedFile,
    ) -> Option<(Certificate, PrivateKey)> {
        let key = self.note(PrivateKey::read(&key_file.pem), key_file)?;
        let certificate = certificate?;
        if certificate.was_made_for(&key) {
            return Some((certificate, key));
        }
        let path = certificate_file.path.clone();
        let problem = match self.owner(&key) {
            Some(owner) => Problem::OtherCertificate(path, format!("{} ({})", owner.field, owner.path)),
            None => Problem::Mismatch(path),
        };
        self.refuse(problem, key_file);
        None
    }

    /// Which of the other certificates was made for `key`.
    fn owner(&self, key: &PrivateKey) -> Option<&NamedFile> {
        let SuppliedFiles { ca, etcd_client, etcd_hosts: _ } = self.files;
        let of_ca = ca.iter().map(|(certificate, _)| certificate);
        let of_client = etcd_client.iter().flat_map(|(ca, certificate, _)| [certificate, ca]);
        let is_made = |file: &&NamedFile| {
            let all = Certificate::read_all(&file.pem).unwrap_or_default();
            all.iter().any(|certificate| certificate.was_made_for(key))
        };
        of_ca.chain(of_client).find(is_made)
    }
}

/// Whether `file` is PEM, and all its blocks are of a kind that ends with `tag`, but for the
/// parameters that openssl writes before a key.
fn holds_only(file: &[u8], tag: &str) -> bool {
    let blocks = pem::parse_many(file).unwrap_or_default();
    let mut tags = blocks.iter().map(|block| block.tag()).filter(|tag| *tag != "EC PARAMETERS").peekable();
    tags.peek().is_some() && tags.all(|found| found.ends_with(tag))
}
