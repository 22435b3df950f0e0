//! Connections for probes. [`Questions`] are to one of several apiservers that share a port, for `handover` and
//! through it for `unpivot`; every other probe is in [`super::probe`].
//!
//! A question has a connection of its own from a chosen address of this machine, by which a steering
//! program can pick the listener. The apiserver that accepted the connection answers every request
//! on it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt as _;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::connect::{self, Readyz};
use super::current::{Current, Made};
use super::error::Error;
use super::kubeconfig::{Access, Identity};
use crate::error::chain;
use crate::patience::{ANSWER, Late, Pace};

/// Limit of the first question: others are not asked meanwhile.
const FIRST: Duration = Duration::from_secs(2);
/// Whom a request is made for, and that user's group.
const IMPERSONATE: [HeaderName; 2] =
    [HeaderName::from_static("impersonate-user"), HeaderName::from_static("impersonate-group")];
/// The group of all authenticated users.
const AUTHENTICATED: HeaderValue = HeaderValue::from_static("system:authenticated");

/// Opens connections for probes.
pub struct Questions {
    credentials: Made<Credentials>,
    pace: Pace,
}

/// Client credentials, and what the server's certificate must be. Kept, since keys are parsed for it.
#[derive(Clone)]
pub(super) struct Credentials {
    tls: TlsConnector,
    name: ServerName<'static>,
    headers: HeaderMap,
}

/// A connection that an apiserver has accepted.
pub struct Connection {
    /// Its local address.
    pub from: SocketAddr,
    sender: http1::SendRequest<Empty<Bytes>>,
    headers: HeaderMap,
    driver: Option<JoinHandle<hyper::Result<()>>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection was accepted, and a step took too long.
    Silent(Late),
    /// There is no connection, or it broke off.
    Broken(String),
}

impl From<Late> for Failed {
    fn from(late: Late) -> Self {
        Self::Silent(late)
    }
}

impl From<Failed> for Readyz {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Silent(late) => Self::Silent(late),
            Failed::Broken(why) => Self::Unreachable(why),
        }
    }
}

impl Credentials {
    pub(super) fn new(access: &Access) -> Result<Self, Error> {
        let setup = |source| Error::Setup { server: access.server.to_string(), source: Box::new(source) };
        let config = connect::config(access, None)?;
        let tls = TlsConnector::from(Arc::new(config.rustls_client_config().map_err(setup)?));
        let name = connect::server_name(access);
        let name =
            ServerName::try_from(name).map_err(|error| setup(kube::Error::Service(Box::new(error))))?;
        let mut headers = HeaderMap::from_iter([(USER_AGENT, connect::AGENT)]);
        if let Identity::Token(token) = &access.identity {
            let bearer = HeaderValue::try_from(format!("Bearer {token}"));
            headers
                .insert(AUTHORIZATION, bearer.map_err(|error| setup(kube::Error::HttpError(error.into())))?);
        }
        Ok(Self { tls, name, headers })
    }

    /// For requests as `user`.
    pub(super) fn impersonating(mut self, user: &'static str) -> Self {
        let [as_user, as_group] = IMPERSONATE;
        self.headers.insert(as_user, HeaderValue::from_static(user));
        self.headers.insert(as_group, AUTHENTICATED);
        self
    }

    /// Begins TLS on `stream`. Requests name `authority` as their host.
    pub(super) async fn open(self, stream: TcpStream, authority: String) -> Result<Connection, Failed> {
        let failed = |error: std::io::Error| Failed::Broken(error.to_string());
        let Self { tls, name, mut headers } = self;
        let from = stream.local_addr().map_err(failed)?;
        let stream = tls.connect(name, stream).await.map_err(failed)?;
        let host = HeaderValue::try_from(authority).map_err(|error| Failed::Broken(error.to_string()))?;
        headers.insert(HOST, host);
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let (sender, driver) = opened.map_err(|error| Failed::Broken(chain(&error)))?;
        Ok(Connection { from, sender, headers, driver: Some(tokio::spawn(driver)) })
    }
}

impl Questions {
    /// With credentials that do not change.
    pub fn new(access: &Access) -> Result<Self, Error> {
        let (_, unchanging) = watch::channel(access.clone());
        Self::following(unchanging)
    }

    /// With credentials that may change.
    pub fn following(access: Current) -> Result<Self, Error> {
        Ok(Self { credentials: Made::new(access, Credentials::new)?, pace: Pace::new(FIRST, ANSWER) })
    }

    /// Forgets silences, because another listener may answer from now on.
    pub fn forget_silence(&self) {
        self.pace.forget_silence();
    }

    /// Connects from `source` to `endpoint`; else says why there is no answer.
    pub async fn connect(&self, source: IpAddr, endpoint: SocketAddr) -> Result<Connection, Readyz> {
        let opened = self.pace.within(self.open(source, endpoint)).await;
        opened.map_err(Readyz::Silent)?.map_err(Readyz::from)
    }

    async fn open(&self, source: IpAddr, endpoint: SocketAddr) -> Result<Connection, Failed> {
        let failed = |error: std::io::Error| Failed::Broken(error.to_string());
        let socket =
            if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
        socket.bind(SocketAddr::new(source, 0)).map_err(failed)?;
        let stream = socket.connect(endpoint).await.map_err(failed)?;
        self.credentials.get().open(stream, endpoint.to_string()).await
    }

    /// Requests `path`, such as `/readyz`.
    pub async fn probe(&self, connection: &mut Connection, path: &str) -> Readyz {
        match self.pace.within(connection.get(path)).await {
            Ok(answer) => answer.unwrap_or_else(Readyz::from),
            Err(late) => Readyz::Silent(late),
        }
    }
}

impl Connection {
    /// The answer to a request for `path`.
    pub(super) async fn get(&mut self, path: &str) -> Result<Readyz, Failed> {
        let mut request = http::Request::new(Empty::new());
        *request.uri_mut() =
            format!("{path}?verbose").parse().map_err(|error| Failed::Broken(format!("{path}: {error}")))?;
        *request.headers_mut() = self.headers.clone();
        let answer = match self.sender.send_request(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(Failed::Broken(self.cause(&error).await)),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(Readyz::Ready);
        }
        let body = answer.into_body().collect().await.map_err(|error| Failed::Broken(chain(&error)))?;
        let lines = connect::telling_lines(&String::from_utf8_lossy(&body.to_bytes()));
        Ok(Readyz::NotReady { status: status.as_u16(), lines })
    }

    /// Why a request failed. If the connection broke before the request was sent, only its driver knows: a server
    /// that refuses a client certificate says so after the handshake.
    async fn cause(&mut self, error: &hyper::Error) -> String {
        match self.driver.take() {
            Some(driver) if error.is_canceled() || error.is_closed() => match driver.await {
                Ok(Err(cause)) => chain(&cause),
                _ => chain(error),
            },
            _ => chain(error),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}
