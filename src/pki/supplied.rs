//! What the user supplies: a Kubernetes CA, an etcd client identity. This file checks the CA and
//! reports every mistake at once; [`Supplied::read`] reads the files from disk.

use time::OffsetDateTime;

use super::certificate::Certificate;
use super::signer::{Authority, Source, problems};
use super::supplied_check::{Check, NamedFile, SuppliedFiles};
use super::supplied_etcd::{self, EtcdClient};
use crate::finding::Findings;

/// The user's files, checked.
#[derive(Default)]
pub struct Supplied {
    pub(super) ca: Option<Authority>,
    pub(super) etcd_client: Option<EtcdClient>,
}

/// Checks that keys belong to certificates, that a CA may sign, that a client is accepted, and that
/// everything is valid at `now`.
pub fn check_supplied(files: &SuppliedFiles, now: OffsetDateTime) -> Result<Supplied, Findings> {
    let mut findings = Vec::new();
    let mut check = Check { files, now, findings: &mut findings };
    let supplied = Supplied {
        ca: files.ca.as_ref().and_then(|(certificate, key)| authority(certificate, key, &mut check)),
        etcd_client: files.etcd_client.as_ref().and_then(|client| supplied_etcd::client(client, &mut check)),
    };
    if findings.is_empty() { Ok(supplied) } else { Err(Findings(findings)) }
}

fn authority(certificate_file: &NamedFile, key_file: &NamedFile, check: &mut Check<'_>) -> Option<Authority> {
    if check.exchanged(certificate_file, key_file) {
        return None;
    }
    let certificate = check.note(Certificate::read(&certificate_file.pem), certificate_file);
    let found = certificate.as_ref().map(|certificate| problems(certificate, check.now));
    found.into_iter().flatten().for_each(|problem| check.refuse(problem, certificate_file));
    let (certificate, key) = check.pair(certificate, certificate_file, key_file)?;
    let (certificate_pem, key_pem) = (certificate.pem(), Some(key.pem.clone()));
    let source = Source { field: certificate_file.field.clone(), path: certificate_file.path.clone() };
    Some(Authority { certificate, certificate_pem, key: Some(key), key_pem, source })
}
