//! From an [`Access`] to a client, and probes of readiness on connections of their own.
//!
//! With an endpoint on this machine, connections go only there, but the certificate must still name the host of
//! the server's URL: DNS and load balancers are out of the path, trust is not. Connections are HTTP/1.1, one for
//! each request in flight, so that a failed write does not break a watch, and each new connection goes to the
//! apiserver that the kernel picks at that moment. Proxies from the environment are never used.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::try_join_all;
use kube::client::Body;
use kube::config::AuthInfo;
use kube::core::Status;
use kube::{Client, Config};

use super::error::Error;
use super::kubeconfig::{Access, Identity};
use super::retry::{describe, no_answer};

/// Where an apiserver says whether it has done everything that it does at its start.
pub const READY: &str = "/readyz";
/// TCP and TLS handshake. Local ones take milliseconds, but two starting apiservers can starve each other for a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence on a connection with a request on it. Longer than the 30 s that an admission webhook may take, so that
/// the apiserver's own answer comes first. Watches end every [`super::wait::WATCH_SECONDS`] and never get here.
const READ_TIMEOUT: Duration = Duration::from_secs(35);
/// For a whole probe, which its caller repeats soon.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The same for a server on another machine: TLS takes two round trips.
const FAR_TIMEOUT: Duration = Duration::from_secs(5);
/// The group of all authenticated users.
const AUTHENTICATED: &str = "system:authenticated";
/// Lines of a verbose answer that are quoted.
const PROBE_LINES: usize = 3;

/// A client for `access` that connects to `endpoint`, where given, instead of the server's URL.
///
/// Needs a tokio runtime. Connects when first used.
pub fn connect(access: &Access, endpoint: Option<SocketAddr>) -> Result<Client, Error> {
    let mut config = config(access, endpoint)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
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
    /// There is no answer, or one of another server.
    Unreachable(String),
}

impl Readyz {
    /// The better an answer, the lower.
    fn rank(&self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::NotReady { .. } => 1,
            Self::Unreachable(_) => 2,
        }
    }
}

/// Probes `path` (such as [`READY`]) once, on a connection of its own, within a second.
pub async fn probe(access: &Access, endpoint: Option<SocketAddr>, path: &str) -> Result<Readyz, Error> {
    probe_with(access, config(access, endpoint)?, path, PROBE_TIMEOUT).await
}

/// Probes all `endpoints` at once and returns the best answer and where it came from; `None` if there are none.
pub async fn probe_best(
    access: &Access,
    endpoints: &[SocketAddr],
    path: &str,
) -> Result<Option<(SocketAddr, Readyz)>, Error> {
    let probes = endpoints
        .iter()
        .map(async |endpoint| probe(access, Some(*endpoint), path).await.map(|answer| (*endpoint, answer)));
    let answers = try_join_all(probes).await?;
    Ok(answers.into_iter().min_by_key(|(_, answer)| answer.rank()))
}

/// As [`probe`], for a server on another machine.
pub async fn probe_far(access: &Access, path: &str) -> Result<Readyz, Error> {
    probe_with(access, config(access, None)?, path, FAR_TIMEOUT).await
}

/// As [`probe`], as `user` of the group `system:authenticated`. RBAC decides on that user's requests, while an
/// administrator passes without it.
pub async fn probe_as(
    user: &str,
    access: &Access,
    endpoint: Option<SocketAddr>,
    path: &str,
) -> Result<Readyz, Error> {
    let mut config = config(access, endpoint)?;
    config.auth_info.impersonate = Some(user.to_owned());
    config.auth_info.impersonate_groups = Some(vec![AUTHENTICATED.to_owned()]);
    probe_with(access, config, path, PROBE_TIMEOUT).await
}

async fn probe_with(
    access: &Access,
    config: Config,
    path: &str,
    patience: Duration,
) -> Result<Readyz, Error> {
    let client = build(access, config)?;
    match tokio::time::timeout(patience, get(&client, path)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Ok(Readyz::Unreachable(describe(&error))),
        Err(_) => Ok(Readyz::Unreachable(no_answer(patience))),
    }
}

async fn get(client: &Client, path: &str) -> Result<Readyz, kube::Error> {
    let request = http::Request::get(format!("{path}?verbose")).body(Body::empty());
    let response = client.send(request.map_err(kube::Error::HttpError)?).await?;
    let status = response.status();
    if status.is_success() {
        return Ok(Readyz::Ready);
    }
    let body = response.into_body().collect_bytes().await?;
    Ok(Readyz::NotReady { status: status.as_u16(), lines: telling_lines(&String::from_utf8_lossy(&body)) })
}

/// The failed checks (`[-]name failed: …`) of a verbose answer, or the message of a refusal, else the first lines.
pub(super) fn telling_lines(body: &str) -> Vec<String> {
    if let Ok(Status { message, .. }) = serde_json::from_str(body) {
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
    let agent = http::HeaderValue::from_static(concat!("bootkube/", env!("CARGO_PKG_VERSION")));
    config.headers.push((http::header::USER_AGENT, agent));
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
