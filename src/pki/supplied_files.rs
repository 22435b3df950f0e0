//! Reads what the user supplies from disk. No other file of `pki` does I/O.

use std::fs;

use time::OffsetDateTime;
use url::Url;

use super::Bundle;
use super::ending::warnings;
use super::error::Error;
use super::issue::issue;
use super::previous::Previous;
use super::supplied::{Supplied, check_supplied};
use super::supplied_check::{NamedFile, SuppliedFiles};
use crate::config::{ClusterConfig, Etcd, KeyAlgorithm, UserFile};
use crate::finding::{Finding, Findings};

impl Supplied {
    /// Reads and checks the files that `config` names. Messages name the flag or the field of the
    /// config file in which the user named the file.
    pub fn read(config: &ClusterConfig, now: OffsetDateTime) -> Result<Self, Findings> {
        let (files, unread) = read(config);
        // Files that cannot be read and mistakes in those that can are reported together.
        match check_supplied(&files, now) {
            Ok(supplied) if unread.is_empty() => Ok(supplied),
            Ok(_) => Err(Findings(unread)),
            Err(Findings(more)) => Err(Findings(unread.into_iter().chain(more).collect())),
        }
    }
}

/// Checks the files that `config` names as a render of a new cluster does. Returns what that would
/// issue, but for the keys' algorithm, and warnings. A file that is not here becomes a warning: the
/// configuration may be checked on another machine.
///
/// # Errors
/// Every mistake in the files.
pub fn validate(config: &ClusterConfig, now: OffsetDateTime) -> Result<(Bundle, Vec<String>), Error> {
    let (files, unread) = read(config);
    let supplied = check_supplied(&files, now).map_err(Error::Findings)?;
    let mut config = config.clone();
    // The keys are thrown away, and these are made at once.
    config.certificates.key_algorithm = KeyAlgorithm::EcdsaP256;
    if !unread.is_empty() {
        let warning = |Finding { field, value, problem, .. }| format!("{field}: {value}: {problem}");
        let (bundle, _) = issue(&without_files(config), Supplied::default(), &Previous::default(), now)?;
        return Ok((bundle, unread.into_iter().map(warning).collect()));
    }
    let (bundle, _) = issue(&config, supplied, &Previous::default(), now)?;
    let warnings = warnings(&config, &bundle, now);
    Ok((bundle, warnings))
}

/// The same cluster with authorities of its own.
fn without_files(mut config: ClusterConfig) -> ClusterConfig {
    config.ca = None;
    if let Etcd::External { client, .. } = &mut config.etcd {
        *client = None;
    }
    config
}

/// The files that could be read, and a finding for each other one.
fn read(config: &ClusterConfig) -> (SuppliedFiles, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut read = |file: &UserFile| open(file).map_err(|finding| findings.push(finding)).ok();
    let ca = config.ca.as_ref().map(|files| (read(&files.certificate), read(&files.private_key)));
    let (client, servers) = match &config.etcd {
        Etcd::External { client, servers } if config.etcd_tls() => (client.as_ref(), servers.as_slice()),
        _ => (None, [].as_slice()),
    };
    let etcd_client =
        client.map(|files| (read(&files.ca), read(&files.certificate), read(&files.private_key)));
    let files = SuppliedFiles {
        ca: ca.and_then(|(certificate, key)| certificate.zip(key)),
        etcd_client: etcd_client.and_then(|(ca, certificate, key)| Some((ca?, certificate?, key?))),
        etcd_hosts: servers.iter().filter_map(host).collect(),
    };
    (files, findings)
}

/// The host as certificates name it: an IPv6 address without brackets. Plain http needs none.
fn host(server: &Url) -> Option<String> {
    let host = server.host_str().filter(|_| server.scheme() == "https")?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn open(UserFile { field, path }: &UserFile) -> Result<NamedFile, Finding> {
    let read = fs::read(path).map(|pem| NamedFile { field: field.clone(), path: path.clone(), pem });
    read.map_err(|error| Finding {
        field: field.clone(),
        value: path.clone(),
        problem: format!("cannot be read: {error}"),
        cure: "give the path of a readable file".to_owned(),
    })
}
