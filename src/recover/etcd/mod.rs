//! A live etcd, read and never written to: its `Range` question, page by page.
//!
//! Reads are serializable: the member that is asked answers from its own data. One of three that is left alone has no quorum, and it is in
//! just such a moment that a control plane is recovered. What it may have missed is the last second before it lost the others. All
//! pages are of one revision, which is told.

mod grpc;

use std::path::PathBuf;

use prost::Message;
use url::Url;

use super::store::{Entry, KeyValue};
use grpc::{Channel, Tls};

const RANGE: &str = "/etcdserverpb.KV/Range";
/// Keys of a page. A value is 1.5 MiB at most and a few KiB as a rule.
const PAGE: i64 = 128;

/// Where etcd is, and who we are to it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its servers. The first that answers is asked.
    pub servers: Vec<Url>,
    /// The CA of their certificates.
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// Why etcd gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("failed to read {what} {}", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no certificate or key, or they do not belong together.
    #[error("etcd's {what} cannot be used: {why}")]
    Credentials {
        /// Of what.
        what: &'static str,
        /// In the TLS library's words.
        why: String,
    },
    /// Its servers' certificates cannot be verified.
    #[error("{0} needs the CA of etcd; name it with --etcd-ca-path")]
    NoAuthority(Url),
    /// Nobody answers.
    #[error("no etcd server answers: {}", .0.join("; "))]
    Unreachable(Vec<String>),
    /// It answers something else than asked.
    #[error("etcd at {server} refuses to be read: {reason}")]
    Refused {
        /// Which.
        server: Url,
        /// In its words.
        reason: String,
    },
}

/// `RangeRequest`.
#[derive(Clone, PartialEq, Message)]
struct RangeRequest {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    range_end: Vec<u8>,
    #[prost(int64, tag = "3")]
    limit: i64,
    #[prost(int64, tag = "4")]
    revision: i64,
    #[prost(bool, tag = "7")]
    serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(int64, tag = "3")]
    revision: i64,
}

/// `RangeResponse`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
struct RangeResponse {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    more: bool,
}

/// A server that answers.
pub struct Client {
    server: Url,
    channel: Channel,
    /// Of the first answer; 0 before it.
    pub revision: i64,
}

impl Client {
    /// Connects to the first server that answers.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let tls = Tls::new(options)?;
        let mut reasons = Vec::new();
        for server in &options.servers {
            let tls = match (server.scheme(), &tls) {
                ("https", None) => return Err(Error::NoAuthority(server.clone())),
                ("https", tls) => tls.as_ref(),
                _ => None,
            };
            match Channel::open(server, tls).await {
                Ok(channel) => return Ok(Self { server: server.clone(), channel, revision: 0 }),
                Err(why) => reasons.push(format!("{server}: {why}")),
            }
        }
        Err(Error::Unreachable(reasons))
    }

    /// Every key that begins with `prefix`, in order.
    pub async fn below(&mut self, prefix: &str) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        let mut key = prefix.as_bytes().to_vec();
        let range_end = successor(prefix.as_bytes());
        loop {
            let range_end = range_end.clone();
            let request =
                RangeRequest { key, range_end, limit: PAGE, revision: self.revision, serializable: true };
            let answer = self.channel.ask(RANGE, &request.encode_to_vec()).await;
            let answer = answer
                .and_then(|bytes| RangeResponse::decode(bytes.as_slice()).map_err(|error| error.to_string()));
            let answer = answer.map_err(|reason| Error::Refused { server: self.server.clone(), reason })?;
            if let (0, Some(header)) = (self.revision, &answer.header) {
                self.revision = header.revision;
            }
            let last = answer.entries.last().map(|entry| entry.key.clone());
            found.extend(answer.entries.into_iter().map(|KeyValue { key, value }| Entry { key, value }));
            match last.filter(|_| answer.more) {
                Some(last) => key = [last.as_slice(), &[0]].concat(),
                None => return Ok(found),
            }
        }
    }
}

/// The first key that does not begin with `prefix`.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.iter().rposition(|byte| *byte < u8::MAX).map_or(0, |at| at + 1);
    let mut end = prefix[..kept].to_vec();
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(0), // to etcd that is the end of all keys
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_at_the_first_key_that_begins_otherwise() {
        assert_eq!(successor(b"/registry/"), b"/registry0");
        assert_eq!(successor(b"a\xff\xff"), b"b");
        assert_eq!(successor(b"\xff"), b"\0");
    }

    #[tokio::test]
    async fn https_without_a_ca_and_a_server_that_is_not_there_are_told() {
        let at = |url: &str| Options { servers: vec![url.parse().unwrap()], ..Options::default() };
        let error = Client::connect(&at("https://127.0.0.1:1")).await.err().unwrap();
        assert!(error.to_string().contains("--etcd-ca-path"), "{error}");
        let error = Client::connect(&at("http://127.0.0.1:1")).await.err().unwrap();
        assert!(matches!(&error, Error::Unreachable(reasons) if reasons.len() == 1), "{error}");
    }
}
