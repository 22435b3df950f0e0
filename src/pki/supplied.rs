//! What the user supplies: a Kubernetes CA, an etcd client identity. This file checks it and
//! reports every mistake at once; [`Supplied::read`] reads it from disk.

use time::OffsetDateTime;

use super::certificate::Certificate;
use super::key::PrivateKey;
use super::problem::Problem;
use super::signer::{Authority, problems};
use crate::finding::{Finding, Findings};

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
}

/// The user's files, checked.
#[derive(Default)]
pub struct Supplied {
    pub(super) ca: Option<SuppliedAuthority>,
    pub(super) etcd_client: Option<EtcdClient>,
}

/// A CA, and how messages name it.
pub(super) struct SuppliedAuthority {
    pub(super) authority: Authority,
    pub(super) field: String,
    pub(super) path: String,
}

/// PEM of an etcd client identity, without text around the blocks.
pub(super) struct EtcdClient {
    pub(super) ca: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// Checks that keys belong to certificates, that a CA may sign, and that everything is valid at
/// `now`.
pub fn check_supplied(files: &SuppliedFiles, now: OffsetDateTime) -> Result<Supplied, Findings> {
    let SuppliedFiles { ca, etcd_client } = files;
    let mut findings = Vec::new();
    let supplied = Supplied {
        ca: ca.as_ref().and_then(|(certificate, key)| authority(certificate, key, now, &mut findings)),
        etcd_client: etcd_client.as_ref().and_then(|files| client(files, now, &mut findings)),
    };
    if findings.is_empty() { Ok(supplied) } else { Err(Findings(findings)) }
}

fn authority(
    certificate_file: &NamedFile,
    key_file: &NamedFile,
    now: OffsetDateTime,
    findings: &mut Vec<Finding>,
) -> Option<SuppliedAuthority> {
    let NamedFile { field, path, pem } = certificate_file;
    let certificate = note(Certificate::read(pem), certificate_file, findings);
    for problem in certificate.iter().flat_map(|certificate| problems(certificate, now)) {
        findings.push(problem.finding(field, path));
    }
    let (certificate, key) = pair(certificate, path, key_file, findings)?;
    let (certificate_pem, key_pem) = (certificate.pem(), Some(key.pem.clone()));
    let authority = Authority { certificate, certificate_pem, key: Some(key), key_pem };
    Some(SuppliedAuthority { authority, field: field.clone(), path: path.clone() })
}

fn client(
    (ca_file, certificate_file, key_file): &(NamedFile, NamedFile, NamedFile),
    now: OffsetDateTime,
    findings: &mut Vec<Finding>,
) -> Option<EtcdClient> {
    // Both files may hold several certificates: a trust bundle may outlive one of its authorities,
    // and a client may have a chain.
    let authorities = note(Certificate::read_all(&ca_file.pem), ca_file, findings);
    let trusted = authorities.as_ref().map_or(Ok(()), |all| any_valid(all, now));
    note(trusted, ca_file, findings);
    let chain = note(Certificate::read_all(&certificate_file.pem), certificate_file, findings);
    let chain_pem = chain.as_deref().map(joined);
    let certificate = chain.map(|mut chain| chain.swap_remove(0));
    let valid = certificate.as_ref().map_or(Ok(()), |certificate| certificate.check_time(now));
    note(valid, certificate_file, findings);
    let (_, key) = pair(certificate, &certificate_file.path, key_file, findings)?;
    Some(EtcdClient { ca: joined(&authorities?), certificate: chain_pem?, key: key.pem })
}

fn any_valid(certificates: &[Certificate], now: OffsetDateTime) -> Result<(), Problem> {
    let mut checks = certificates.iter().map(|certificate| certificate.check_time(now));
    let first = checks.next().unwrap_or(Ok(()));
    if checks.any(|check| check.is_ok()) { Ok(()) } else { first }
}

fn joined(certificates: &[Certificate]) -> Vec<u8> {
    certificates.iter().flat_map(Certificate::pem).collect()
}

/// The certificate with its key, if both could be read and belong together.
fn pair(
    certificate: Option<Certificate>,
    certificate_path: &str,
    key_file: &NamedFile,
    findings: &mut Vec<Finding>,
) -> Option<(Certificate, PrivateKey)> {
    let key = note(PrivateKey::read(&key_file.pem), key_file, findings)?;
    let certificate = certificate?;
    if !certificate.was_made_for(&key) {
        let problem = Problem::Mismatch(certificate_path.to_owned());
        findings.push(problem.finding(&key_file.field, &key_file.path));
        return None;
    }
    Some((certificate, key))
}

fn note<T>(result: Result<T, Problem>, file: &NamedFile, findings: &mut Vec<Finding>) -> Option<T> {
    result.map_err(|problem| findings.push(problem.finding(&file.field, &file.path))).ok()
}
