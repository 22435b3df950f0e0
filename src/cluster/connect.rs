//! From an [`Access`] to a client, and what an apiserver answers about its readiness.
//!
//! With an endpoint on this machine, connections go only there, but the certificate must still name the host of
//! the server's URL: DNS and load balancers are out of the path, trust is not. Connections are HTTP/1.1, one for
//! each request in flight, so that a failed write does not break a watch, and each new connection goes to the
//! apiserver that the kernel picks at that moment. Proxies from the environment are never used.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use kube::core::Status;
use kube::{Client, Config};

use super::error::Error;
use super::kubeconfig::{Access, Identity};
use crate::patience::{ACCEPT, Late};

/// Where an apiserver says whether it has done everything that it does at its start.
pub const READY: &str = "/readyz";
/// Silence on a connection with a request on it. Longer than the 30 s that an admission webhook may take, so that
/// the apiserver's own answer comes first. Watches end every [`super::wait::WATCH_SECONDS`] and never get here.
const READ_TIMEOUT: Duration = Duration::from_secs(35);
/// How requests name this program.
pub(super) const AGENT: http::HeaderValue =
    http::HeaderValue::from_static(concat!("bootkube/", env!("CARGO_PKG_VERSION")));
/// Lines of a verbose answer that are quoted.
const PROBE_LINES: usize = 3;

/// A client for `access` that connects to `endpoint`, where given, instead of the server's URL.
///
/// Needs a tokio runtime. Connects when first used.
pub fn connect(access: &Access, endpoint: Option<SocketAddr>) -> Result<Client, Error> {
    connect_within(ACCEPT, access, endpoint)
}

/// The same, for connections of which each may take `limit`, TLS handshake included.
pub fn connect_within(
    limit: Duration,
    access: &Access,
    endpoint: Option<SocketAddr>,
) -> Result<Client, Error> {
    let mut config = config(access, endpoint)?;
    config.connect_timeout = Some(limit);
    config.read_timeout = Some(READ_TIMEOUT);
    build(access, config)
}

/// How an apiserver answers a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readyz {
    /// It accepts requests.
    Ready,
    /// It answers that it is not ready, and why.
    NotReady {
        /// HTTP status.
        status: u16,
        /// The checks that fail, else the first lines of the answer.
        lines: Vec<String>,
    },
    /// It accepted the connection, and has not answered in time.
    Silent(Late),
    /// There is no connection, or the answer is that of another server.
    Unreachable(String),
}

impl Readyz {
    /// The better an answer, the lower.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::NotReady { .. } => 1,
            Self::Silent(_) => 2,
            Self::Unreachable(_) => 3,
        }
    }
}

/// The failed checks (`[-]name failed: …`) of a verbose answer, or the message of a refusal, else the first lines.
pub(super) fn telling_lines(body: &str) -> Vec<String> {
    // etcd answers in JSON, too, but not with a Status.
    if let Ok(Status { message, .. }) = serde_json::from_str(body)
        && !message.is_empty()
    {
        return vec![message];
    }
    let failed: Vec<_> = body.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    let lines = if failed.is_empty() { body.lines().collect() } else { failed };
    let lines = lines.into_iter().map(|line| line.trim().trim_end_matches(": reason withheld"));
    lines.filter(|line| !line.is_empty()).take(PROBE_LINES).map(str::to_owned).collect()
}

pub(super) fn config(access: &Access, endpoint: Option<SocketAddr>) -> Result<Config, Error> {
    let server = access.server.as_str();
    let authority = endpoint.map(|endpoint| format!("https://{endpoint}"));
    let url = authority.as_deref().unwrap_or(server);
    let setup = |source| Error::Setup { server: server.to_owned(), source: Box::new(source) };
    let mut config =
        Config::new(url.parse().map_err(|error| setup(kube::Error::HttpError(http::Error::from(error))))?);
    config.root_cert = Some(ca(access)?);
    config.tls_server_name = Some(server_name(access));
    config.auth_info = auth(&access.identity);
    config.reset_reader_on_write = true; // or the time a pooled connection idled would count as silence
    config.default_retry = false; // retry.rs alone decides
    config.headers.push((http::header::USER_AGENT, AGENT));
    Ok(config)
}

fn build(access: &Access, config: Config) -> Result<Client, Error> {
    Client::try_from(config)
        .map_err(|source| Error::Setup { server: access.server.to_string(), source: Box::new(source) })
}

fn ca(access: &Access) -> Result<Vec<Vec<u8>>, Error> {
    let blocks = pem::parse_many(&access.ca)
        .map_err(|source| Error::Ca { server: access.server.to_string(), source })?;
    let certificates = blocks.into_iter().filter(|block| block.tag() == "CERTIFICATE");
    Ok(certificates.map(pem::Pem::into_contents).collect())
}

/// The name that the certificate must have. rustls takes IPv6 addresses without brackets.
pub fn server_name(access: &Access) -> String {
    let host = access.server.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    access.tls_server_name.clone().unwrap_or_else(|| host.to_owned())
}

fn auth(identity: &Identity) -> AuthInfo {
    match identity {
        Identity::Certificate { certificate, key } => AuthInfo {
            client_certificate_data: Some(STANDARD.encode(certificate)),
            client_key_data: Some(STANDARD.encode(key).into()),
            ..AuthInfo::default()
        },
        Identity::Token(token) => AuthInfo { token: Some(token.clone().into()), ..AuthInfo::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_checks_are_quoted_first() {
        let body = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]poststarthook/rbac failed: x\nreadyz check failed";
        assert_eq!(telling_lines(body), ["etcd failed", "poststarthook/rbac failed: x"]);
    }

    #[test]
    fn the_certificate_must_name_the_server_whatever_the_endpoint() {
        let access = |server: &str, name: Option<&str>| Access {
            server: server.parse().unwrap(),
            ca: Vec::new(),
            tls_server_name: name.map(str::to_owned),
            identity: Identity::Token("t".into()),
        };
        assert_eq!(server_name(&access("https://api.example.test:6443", None)), "api.example.test");
        assert_eq!(server_name(&access("https://[2001:db8::1]:6443", None)), "2001:db8::1");
        assert_eq!(server_name(&access("https://192.0.2.1:6443", Some("api"))), "api");
    }

    #[tokio::test]
    async fn a_server_may_be_named_by_an_address() {
        let key = rcgen::generate_simple_self_signed(vec!["ca".into()]).unwrap();
        for server in ["https://[2001:db8::1]:6443", "https://192.0.2.1"] {
            let access = Access {
                server: server.parse().unwrap(),
                ca: key.cert.pem().into_bytes(),
                tls_server_name: None,
                identity: Identity::Token("t".into()),
            };
            connect(&access, Some("127.0.0.1:6443".parse().unwrap())).unwrap();
            connect(&access, None).unwrap();
        }
    }

    #[test]
    fn the_first_lines_are_quoted_where_no_check_is_named() {
        assert_eq!(telling_lines("Unauthorized\n\nb\nc\nd\n"), ["Unauthorized", "b", "c"]);
        assert!(telling_lines("").is_empty());
    }
}
