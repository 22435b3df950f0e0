//! A gRPC channel to one server of etcd, with or without TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use h2::client::SendRequest;
use hyper::body::Bytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use url::Url;

use super::access::{Access, Error};
use crate::dial::dial;
use crate::error::chain;
use crate::grpc::{self, Answer};

/// Timeout of a connection: v0.14's.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout of an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Flow-control window.
const WINDOW: u32 = 8 << 20;

/// The CA, and the client certificate if there is one.
pub struct Tls(TlsConnector);

impl Tls {
    /// `None` without a CA.
    pub fn new(access: &Access) -> Result<Option<Self>, Error> {
        let Some(ca) = &access.ca else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca, "CA")? {
            roots.add(certificate).map_err(|error| unusable("CA", &error))?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match (&access.certificate, &access.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate, "client certificate")?;
                let key = PrivateKeyDer::from_pem_slice(&read(key, "client key")?);
                let key = key.map_err(|error| unusable("client key", &error))?;
                config
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| unusable("client certificate", &error))?
            }
            _ => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Self(TlsConnector::from(Arc::new(config)))))
    }
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { what, path: path.to_owned(), source })
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path, what)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match found.map_err(|error| unusable(what, &error))? {
        found if found.is_empty() => {
            Err(Error::Credentials { what, why: format!("{} holds no certificate", path.display()) })
        }
        found => Ok(found),
    }
}

fn unusable(what: &'static str, error: &dyn std::error::Error) -> Error {
    Error::Credentials { what, why: chain(error) }
}

/// A connection.
pub struct Channel {
    sender: SendRequest<Bytes>,
    base: String,
    driver: AbortHandle,
}

impl Channel {
    /// Connects to `server`.
    ///
    /// # Errors
    /// In words for a message.
    pub async fn open(server: &Url, tls: Option<&Tls>) -> Result<Self, String> {
        let host =
            server.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = server.port().unwrap_or(2379);
        let connect = async {
            let stream = dial((host.as_str(), port)).await.map_err(|error| error.to_string())?;
            let base = format!("{}://{}:{port}", server.scheme(), server.host_str().unwrap_or_default());
            match tls {
                None => Self::over(stream, base).await,
                Some(Tls(connector)) => {
                    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
                    let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
                    Self::over(stream, base).await
                }
            }
        };
        let answer = tokio::time::timeout(CONNECT, connect).await;
        answer.unwrap_or_else(|_| Err(format!("no connection within {} s", CONNECT.as_secs())))
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        base: String,
    ) -> Result<Self, String> {
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (sender, connection) = builder.handshake(stream).await.map_err(|error| error.to_string())?;
        // An error that ends the connection also ends the request on it, which reports it.
        let driver = tokio::spawn(async { connection.await.unwrap_or_default() }).abort_handle();
        Ok(Self { sender, base, driver })
    }

    /// Sends `message` and returns the bytes of the answer.
    ///
    /// # Errors
    /// In words for a message.
    pub async fn request(&mut self, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let answer = tokio::time::timeout(ANSWER, self.exchange(method, message)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER.as_secs())))
    }

    async fn exchange(&self, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
        let uri = format!("{}{method}", self.base);
        let uri = uri.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        match grpc::ask(self.sender.clone(), uri, message).await.map_err(|error| error.to_string())? {
            Answer::Message(message) => Ok(message),
            Answer::Refused(reason) => Err(reason),
            Answer::Empty => Err("the answer is empty".to_owned()),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
