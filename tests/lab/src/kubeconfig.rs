//! As much of a kubeconfig as the lab needs: its first cluster and its first user, with data inside
//! the file.

use std::path::Path;

use base64::Engine as _;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::files;

/// Where the API is, its CA, and the user.
pub(crate) struct Kubeconfig {
    pub(crate) server: String,
    /// PEM.
    pub(crate) authority: Vec<u8>,
    /// PEM of the client's certificate and key, where the user has them.
    pub(crate) identity: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Deserialize)]
struct File {
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: String,
}

#[derive(Deserialize)]
struct NamedUser {
    user: User,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Kubeconfig {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(&files::read_text(path)?).map_err(Error::parse(path))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let Cluster { server, certificate_authority_data } =
            file.clusters.into_iter().next().ok_or("it names no cluster")?.cluster;
        let user = file.users.into_iter().next().map(|named| named.user);
        let identity = match user {
            Some(User { client_certificate_data: Some(certificate), client_key_data: Some(key) }) => {
                Some((decode(&certificate)?, decode(&key)?))
            }
            _ => None,
        };
        Ok(Self { server, authority: decode(&certificate_authority_data)?, identity })
    }
}

fn decode(data: &str) -> Result<Vec<u8>, String> {
    base64::engine::general_purpose::STANDARD.decode(data).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "clusters:\n- name: c\n  cluster:\n    server: https://10.0.0.1:6443\n    certificate-authority-data: Y2E=\n";

    #[test]
    fn a_token_kubeconfig_has_an_authority_and_no_identity() {
        let read =
            Kubeconfig::parse(&format!("{CLUSTER}users:\n- name: u\n  user:\n    token: a.b\n")).unwrap();
        assert_eq!((read.server.as_str(), read.authority.as_slice()), ("https://10.0.0.1:6443", &b"ca"[..]));
        assert!(read.identity.is_none());
    }

    #[test]
    fn an_admin_kubeconfig_has_both() {
        let users = "users:\n- user:\n    client-certificate-data: Yw==\n    client-key-data: aw==\n";
        let read = Kubeconfig::parse(&format!("{CLUSTER}{users}")).unwrap();
        assert_eq!(read.identity, Some((b"c".to_vec(), b"k".to_vec())));
    }
}
