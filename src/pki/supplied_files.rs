//! Reads what the user supplies from disk. No other file of `pki` does I/O.

use std::fs;

use time::OffsetDateTime;

use super::supplied::{NamedFile, Supplied, SuppliedFiles, check_supplied};
use crate::config::{ClusterConfig, Etcd};
use crate::finding::{Finding, Findings};

impl Supplied {
    /// Reads and checks the files that `config` names. Messages name the flags; each has a field of
    /// the config file as its equal.
    pub fn read(config: &ClusterConfig, now: OffsetDateTime) -> Result<Self, Findings> {
        let mut findings = Vec::new();
        let mut read =
            |field: &str, path: &str| open(field, path).map_err(|finding| findings.push(finding)).ok();
        let ca = config.ca.as_ref().map(|files| {
            (
                read("--ca-certificate-path", &files.certificate),
                read("--ca-private-key-path", &files.private_key),
            )
        });
        let etcd_client = match &config.etcd {
            Etcd::External { client: Some(files), .. } if config.etcd_tls() => Some((
                read("--etcd-ca-path", &files.ca),
                read("--etcd-certificate-path", &files.certificate),
                read("--etcd-private-key-path", &files.private_key),
            )),
            _ => None,
        };
        let files = SuppliedFiles {
            ca: ca.and_then(|(certificate, key)| certificate.zip(key)),
            etcd_client: etcd_client.and_then(|(ca, certificate, key)| Some((ca?, certificate?, key?))),
        };
        // Files that cannot be read and mistakes in those that can are reported together.
        match check_supplied(&files, now) {
            Ok(supplied) if findings.is_empty() => Ok(supplied),
            Ok(_) => Err(Findings(findings)),
            Err(Findings(more)) => Err(Findings(findings.into_iter().chain(more).collect())),
        }
    }
}

fn open(field: &str, path: &str) -> Result<NamedFile, Finding> {
    let read = fs::read(path).map(|pem| NamedFile { field: field.to_owned(), path: path.to_owned(), pem });
    read.map_err(|error| Finding {
        field: field.to_owned(),
        value: path.to_owned(),
        problem: format!("cannot be read: {error}"),
        cure: "give the path of a readable file".to_owned(),
    })
}
