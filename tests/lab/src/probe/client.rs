//! One request: a new connection, a handshake with the client's certificate, one GET. Nothing is
//! resumed, kept or retried.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use url::Url;

use super::{Options, Sample};
use crate::error::{Error, Result};
use crate::kubeconfig::Kubeconfig;

/// Where every request goes.
pub(super) struct Target {
    host: String,
    port: u16,
    name: ServerName<'static>,
    path: String,
    tls: Arc<ClientConfig>,
    patience: Duration,
}

impl Target {
    pub(super) fn of(options: &Options) -> Result<Self> {
        let kubeconfig = Kubeconfig::read(&options.kubeconfig)?;
        let server = options.server.as_deref().unwrap_or(&kubeconfig.server);
        let url = Url::parse(server).map_err(|error| Error::Probe(format!("{server}: {error}")))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|error| Error::Probe(error.to_string()))?;
        let tls = tls(&kubeconfig).map_err(|error| Error::Probe(error.to_string()))?;
        let port = url.port_or_known_default().unwrap_or(443);
        let patience = Duration::from_secs(options.patience);
        Ok(Self { host, port, name, path: options.path.clone(), tls: Arc::new(tls), patience })
    }

    pub(super) fn ask(&self) -> Sample {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let begun = Instant::now();
        let (status, error) = match self.request() {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Sample { at, took: begun.elapsed().as_secs_f64(), status, error }
    }

    fn request(&self) -> std::io::Result<u16> {
        let address = (self.host.as_str(), self.port).to_socket_addrs()?.next();
        let mut socket =
            TcpStream::connect_timeout(&address.ok_or(std::io::ErrorKind::NotFound)?, self.patience)?;
        socket.set_read_timeout(Some(self.patience))?;
        socket.set_write_timeout(Some(self.patience))?;
        socket.set_nodelay(true)?;
        let session = ClientConnection::new(Arc::clone(&self.tls), self.name.clone());
        let mut session = session.map_err(std::io::Error::other)?;
        let mut stream = Stream::new(&mut session, &mut socket);
        write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.path, self.host)?;
        let mut answer = Vec::new();
        read_to_end(&mut stream, &mut answer)?;
        status(&answer).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// An answer counts as whole even if the connection ends without TLS's close_notify, which Go may
/// leave out.
fn read_to_end(stream: &mut impl Read, answer: &mut Vec<u8>) -> std::io::Result<()> {
    match stream.read_to_end(answer) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof && status(answer).is_some() => Ok(()),
        other => other.map(drop),
    }
}

/// The status, once all headers are there.
fn status(answer: &[u8]) -> Option<u16> {
    let text = String::from_utf8_lossy(answer);
    let (head, _) = text.split_once("\r\n\r\n")?;
    head.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()
}

/// Every connection is a new one: nothing is resumed.
fn tls(kubeconfig: &Kubeconfig) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&kubeconfig.authority) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match &kubeconfig.identity {
        Some((certificates, key)) => {
            let certificates = CertificateDer::pem_slice_iter(certificates).collect::<Result<_, _>>()?;
            builder.with_client_auth_cert(certificates, PrivateKeyDer::from_pem_slice(key)?)?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_only_with_all_headers() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nok"), Some(200));
        assert_eq!(status(b"HTTP/1.1 200 OK\r\nA: b\r\n"), None);
    }
}
