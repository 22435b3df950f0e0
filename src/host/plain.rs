//! A GET over plain HTTP: for kubelet's health, and for an etcd without TLS.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::ToSocketAddrs;

use crate::dial::dial;
use crate::patience::{self, Pace};

/// How long a server elsewhere, such as a registry, may take to accept a connection that is only
/// tried.
const REACH: Duration = Duration::from_secs(2);
/// The pace of kubelet's health endpoint, and of an etcd without TLS.
static PACE: Pace = Pace::new(Duration::from_secs(2), Duration::from_secs(3));
/// Limit of an answer: those that are expected are far shorter.
const LONGEST: u64 = 64 * 1024;

/// Status and body of the answer to `GET path`.
pub async fn get(address: impl ToSocketAddrs, path: &str) -> io::Result<(u16, String)> {
    match PACE.within(exchange(address, path)).await {
        Ok(answer) => parse(&answer?).ok_or_else(|| io::Error::other("the answer is not HTTP")),
        Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late)),
    }
}

/// Whether a connection is accepted.
pub async fn reach(address: impl ToSocketAddrs) -> io::Result<()> {
    match patience::within(REACH, dial(address)).await {
        Ok(connected) => connected.map(drop),
        Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late)),
    }
}

/// In HTTP/1.0 the answer ends with the connection.
async fn exchange(address: impl ToSocketAddrs, path: &str) -> io::Result<String> {
    let mut stream = dial(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/")?.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn status_and_body_are_read_from_a_real_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nnot well").unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        assert_eq!(get(address, "/healthz").await.unwrap(), (503, "not well".to_owned()));
        assert!(server.join().unwrap().starts_with("GET /healthz HTTP/1.0\r\n"));
        assert_eq!(get(address, "/").await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(reach(address).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_answer_that_is_not_http_is_refused() {
        assert_eq!(parse("SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\nok"), Some((200, "ok".to_owned())));
    }
}
