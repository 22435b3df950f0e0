//! Probes of one of several apiservers that share a port, for `handover` and through it for
//! `unpivot`. Every other probe is in [`connect`].
//!
//! A probe has a connection of its own from a chosen address of this machine, by which a steering
//! program can pick the listener. The apiserver that accepted the connection answers every request
//! on it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt as _;
use rustls::pki_types::ServerName;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::connect::{self, Readyz};
use super::current::{Current, Made};
use super::error::Error;
use super::kubeconfig::{Access, Identity};
use super::retry::no_answer;
use crate::error::chain;

/// For connecting, and for each request: the caller probes again soon.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Opens connections for probes.
pub struct Questions(Made<Credentials>);

/// Client credentials, and what the server's certificate must be. Kept, since keys are parsed for it.
#[derive(Clone)]
struct Credentials {
    tls: TlsConnector,
    name: ServerName<'static>,
    token: Option<String>,
}

/// A connection that an apiserver has accepted.
pub struct Connection {
    /// Its local address.
    pub from: SocketAddr,
    sender: http1::SendRequest<Empty<Bytes>>,
    authority: String,
    token: Option<String>,
    driver: AbortHandle,
}

impl Credentials {
    fn new(access: &Access) -> Result<Self, Error> {
        let setup = |source| Error::Setup { server: access.server.to_string(), source: Box::new(source) };
        let config = connect::config(access, None)?;
        let tls = TlsConnector::from(Arc::new(config.rustls_client_config().map_err(setup)?));
        let name = connect::server_name(access);
        let name =
            ServerName::try_from(name).map_err(|error| setup(kube::Error::Service(Box::new(error))))?;
        let token = match &access.identity {
            Identity::Token(token) => Some(token.clone()),
            Identity::Certificate { .. } => None,
        };
        Ok(Self { tls, name, token })
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
        Made::new(access, Credentials::new).map(Self)
    }

    /// Connects from `source` to `endpoint`; else says why there is no answer.
    pub async fn connect(&self, source: IpAddr, endpoint: SocketAddr) -> Result<Connection, String> {
        within(self.open(source, endpoint)).await
    }

    async fn open(&self, source: IpAddr, endpoint: SocketAddr) -> Result<Connection, String> {
        let failed = |error: std::io::Error| error.to_string();
        let socket =
            if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
        socket.bind(SocketAddr::new(source, 0)).map_err(failed)?;
        let stream = socket.connect(endpoint).await.map_err(failed)?;
        let from = stream.local_addr().map_err(failed)?;
        let Credentials { tls, name, token } = self.0.get();
        let stream = tls.connect(name, stream).await.map_err(failed)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
        // An error of the connection also fails the request on it, which reports it.
        let driver = tokio::spawn(driver.unwrap_or_else(drop)).abort_handle();
        let authority = endpoint.to_string();
        Ok(Connection { from, sender, authority, token, driver })
    }
}

impl Connection {
    /// Requests `path`, such as `/readyz`.
    pub async fn probe(&mut self, path: &str) -> Readyz {
        let (status, body) = match within(self.get(path)).await {
            Ok(answer) => answer,
            Err(why) => return Readyz::Unreachable(why),
        };
        match status.is_success() {
            true => Readyz::Ready,
            false => {
                let lines = connect::telling_lines(&String::from_utf8_lossy(&body));
                Readyz::NotReady { status: status.as_u16(), lines }
            }
        }
    }

    async fn get(&mut self, path: &str) -> Result<(http::StatusCode, Bytes), String> {
        let mut request =
            http::Request::get(format!("{path}?verbose")).header(http::header::HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let answer = self.sender.send_request(request).await.map_err(|error| chain(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| chain(&error))?;
        Ok((status, body.to_bytes()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| Err(no_answer(TIMEOUT)))
}
