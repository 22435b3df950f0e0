//! The little HTTP that a smoke test needs: its pods answer with their name, and it asks them.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use super::error::Error;
use crate::patience::{self, Late};

/// The first line of a pod's log.
pub const GREETING: &str = "smoke-test: listening on port";
/// Longest answer that is read: the name of a host is at most 253 bytes long.
const LONGEST: usize = 1024;
/// How long one connection or one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers every request with `name`, until the process ends.
pub async fn serve(port: u16, name: String) -> io::Result<Infallible> {
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await?, // a kernel without IPv6
    };
    println!("{GREETING} {port}");
    let body = Full::new(Bytes::from(name));
    loop {
        let (stream, _) = listener.accept().await?;
        let body = body.clone();
        let answer = service_fn(move |_: Request<Incoming>| {
            let response = Response::new(body.clone());
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            connection.unwrap_or_else(|error| tracing::debug!("a connection ended: {error}"));
        });
    }
}

/// The answer at `url`, whose host is looked up first.
pub async fn fetch(url: &Uri) -> Result<String, Error> {
    let (host, port) = (url.host().unwrap_or_default(), url.port_u16().unwrap_or(80));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = within("DNS", tokio::net::lookup_host((host, port))).await?;
    let addresses: Vec<SocketAddr> =
        found.map_err(|source| Error::Resolve { host: host.to_owned(), source })?.collect();
    let mut last = Error::Resolve { host: host.to_owned(), source: io::ErrorKind::NotFound.into() };
    for address in addresses {
        match get(address).await {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The answer of the server at `address`.
pub async fn get(address: SocketAddr) -> Result<String, Error> {
    let to = address.to_string();
    let stream = within(&to, TcpStream::connect(address)).await?;
    let stream = stream.map_err(|source| Error::Connect { to: to.clone(), source })?;
    ask(stream, &to).await
}

/// The answer of the server at the other end of `stream`, which errors call `to`.
pub async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    to: &str,
) -> Result<String, Error> {
    let failed = |source| Error::Http { to: to.to_owned(), source };
    let (mut sender, connection) = within(to, handshake(TokioIo::new(stream))).await?.map_err(failed)?;
    let driver = tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    request.headers_mut().insert("host", HeaderValue::from_static("smoke-test"));
    let answer = within(to, async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|source| Error::Body { to: to.to_owned(), source })?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    });
    let answer = answer.await;
    driver.abort();
    answer?
}

async fn within<T>(what: &str, act: impl Future<Output = T>) -> Result<T, Error> {
    let late = |Late(limit): Late| Error::Late { what: what.to_owned(), seconds: limit.as_secs() };
    patience::within(PATIENCE, act).await.map_err(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_answers_with_its_name() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let server = tokio::spawn(serve(port, "pod-1".into()));
        let url: Uri = format!("http://localhost:{port}/").parse().unwrap();
        let answer = loop {
            match fetch(&url).await {
                Err(Error::Connect { .. }) => tokio::task::yield_now().await,
                answer => break answer,
            }
        };
        assert_eq!(answer.unwrap(), "pod-1");
        server.abort();
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_told_from_a_server_that_does_not_answer() {
        let unknown = fetch(&"http://does-not-exist.invalid:1/".parse().unwrap()).await.unwrap_err();
        assert!(matches!(unknown, Error::Resolve { .. }), "{unknown}");
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let refused = fetch(&format!("http://127.0.0.1:{port}/").parse().unwrap()).await.unwrap_err();
        assert!(matches!(refused, Error::Connect { .. }), "{refused}");
    }
}
