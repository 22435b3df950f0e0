//! Reads a running etcd with `Range` requests, page by page. It is never written to.
//!
//! Reads are serializable: the member answers from its own data, without a quorum. The last member
//! of three has no quorum, and that is when a control plane is recovered. It may lack the writes of
//! the last second before it lost the others. All pages are read at one revision, which the report
//! shows.

mod access;
mod grpc;

use prost::Message;
use url::Url;

use super::store::{Entry, KeyValue};
pub use access::{Access, Error};
use grpc::{Channel, Tls};

const RANGE: &str = "/etcdserverpb.KV/Range";
/// Keys per page. A value has at most 1.5 MiB, and usually a few KiB.
const PAGE: i64 = 128;

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

/// A connection to the server that answered.
pub struct Client {
    server: Url,
    channel: Channel,
    /// Revision of the first answer; 0 before it.
    pub revision: i64,
}

impl Client {
    /// Connects to the first server that answers.
    ///
    /// # Errors
    /// If a credential cannot be used, or no server answers.
    pub async fn connect(access: &Access) -> Result<Self, Error> {
        let tls = Tls::new(access)?;
        let mut reasons = Vec::new();
        for server in &access.servers {
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

    /// Every entry whose key begins with `prefix`, in order.
    pub async fn below(&mut self, prefix: &str) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        let mut key = prefix.as_bytes().to_vec();
        let range_end = successor(prefix.as_bytes());
        loop {
            let range_end = range_end.clone();
            let request =
                RangeRequest { key, range_end, limit: PAGE, revision: self.revision, serializable: true };
            let answer = self.channel.request(RANGE, &request.encode_to_vec()).await;
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
    async fn https_without_a_ca_and_an_unreachable_server_are_errors() {
        let at = |url: &str| Access { servers: vec![url.parse().unwrap()], ..Access::default() };
        let error = Client::connect(&at("https://127.0.0.1:1")).await.err().unwrap();
        assert!(error.to_string().contains("--etcd-ca-path"), "{error}");
        let error = Client::connect(&at("http://127.0.0.1:1")).await.err().unwrap();
        assert!(matches!(&error, Error::Unreachable(reasons) if reasons.len() == 1), "{error}");
    }
}
