//! The container runtime, asked over its socket in the language kubelet speaks to it: CRI v1, a gRPC service.
//!
//! A question here is one message on a connection of its own. That needs HTTP/2 (`h2`) and protocol buffers (`prost`), but neither
//! generated code nor a gRPC framework. Only what is asked for is declared: fields that are unknown here are passed over.

use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

use http::{HeaderMap, Request};
use prost::Message;
use tokio::net::UnixStream;

/// A runtime answers these questions in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Flag and length before each message.
const PREFIX: usize = 5;

/// Why a runtime gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody behind the socket, or nobody who may be asked.
    #[error("failed to connect to {socket}")]
    Connect {
        /// Path of the socket.
        socket: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody is there but speaks otherwise.
    #[error("{socket} does not speak HTTP/2")]
    Transport {
        /// Path of the socket.
        socket: String,
        /// What the protocol's library says.
        source: h2::Error,
    },
    /// The runtime refuses.
    #[error("{socket} refuses {method}: {reason}")]
    Refused {
        /// Path of the socket.
        socket: String,
        /// Service and method.
        method: &'static str,
        /// In its words.
        reason: String,
    },
    /// The answer cannot be read.
    #[error("{socket} answers {method} with something unreadable")]
    Malformed {
        /// Path of the socket.
        socket: String,
        /// Service and method.
        method: &'static str,
    },
    /// No answer in time.
    #[error("{socket} does not answer {method} within {} s", TIMEOUT.as_secs())]
    Silent {
        /// Path of the socket.
        socket: String,
        /// Service and method.
        method: &'static str,
    },
}

/// Who a runtime is.
#[derive(Clone, PartialEq, Message)]
pub struct Version {
    /// Such as `containerd`.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub version: String,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Something a runtime says about itself.
#[derive(Clone, PartialEq, Message)]
pub struct Condition {
    /// `RuntimeReady` or `NetworkReady`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Whether it holds.
    #[prost(bool, tag = "2")]
    pub holds: bool,
    /// Why not, in a word.
    #[prost(string, tag = "3")]
    pub reason: String,
    /// Why not, in a sentence.
    #[prost(string, tag = "4")]
    pub message: String,
}

#[derive(Clone, PartialEq, Message)]
struct Conditions {
    #[prost(message, repeated, tag = "1")]
    conditions: Vec<Condition>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, optional, tag = "1")]
    status: Option<Conditions>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(string, repeated, tag = "2")]
    tags: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    digests: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Images {
    #[prost(message, repeated, tag = "1")]
    images: Vec<Image>,
}

/// A question without fields that must be filled.
#[derive(Clone, PartialEq, Message)]
struct Question {}

/// Who answers at `socket`.
pub async fn version(socket: &Path) -> Result<Version, Error> {
    ask(socket, "/runtime.v1.RuntimeService/Version", &Question {}).await
}

/// What the runtime says about itself.
pub async fn conditions(socket: &Path) -> Result<Vec<Condition>, Error> {
    let status: Status = ask(socket, "/runtime.v1.RuntimeService/Status", &Question {}).await?;
    Ok(status.status.unwrap_or_default().conditions)
}

/// References of the images that are there, by tag and by digest.
pub async fn images(socket: &Path) -> Result<Vec<String>, Error> {
    let found: Images = ask(socket, "/runtime.v1.ImageService/ListImages", &Question {}).await?;
    Ok(found.images.into_iter().flat_map(|image| image.tags.into_iter().chain(image.digests)).collect())
}

/// One question, one answer.
pub(super) async fn ask<A: Message + Default>(
    socket: &Path,
    method: &'static str,
    question: &impl Message,
) -> Result<A, Error> {
    let name = socket.display().to_string();
    match tokio::time::timeout(TIMEOUT, call(socket, &name, method, question)).await {
        Ok(answer) => A::decode(answer?.as_slice()).map_err(|_| Error::Malformed { socket: name, method }),
        Err(_) => Err(Error::Silent { socket: name, method }),
    }
}

/// The bytes of the answer to one question.
async fn call(
    socket: &Path,
    name: &str,
    method: &'static str,
    question: &impl Message,
) -> Result<Vec<u8>, Error> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Connect { socket: name.to_owned(), source })?;
    let transport = |source| Error::Transport { socket: name.to_owned(), source };
    let (mut sender, connection) = h2::client::handshake(stream).await.map_err(transport)?;
    let exchange = async {
        let (response, mut body) = sender.send_request(request(method), false)?;
        body.send_data(frame(question).into(), true)?;
        collect(response.await?).await
    };
    // The connection works only while it is polled; it outlives the exchange, whose end drops it.
    let (bytes, headers) = tokio::select! {
        answer = exchange => answer.map_err(transport)?,
        Err(source) = connection => return Err(transport(source)),
    };
    if let Some(reason) = refusal(&headers) {
        return Err(Error::Refused { socket: name.to_owned(), method, reason });
    }
    let message = bytes.get(PREFIX..).map(<[u8]>::to_vec);
    message.ok_or_else(|| Error::Malformed { socket: name.to_owned(), method })
}

fn request(method: &'static str) -> Request<()> {
    let request = Request::post(format!("http://localhost{method}"));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    request.body(()).unwrap_or_else(|error| unreachable!("every part of it is a constant: {error}"))
}

/// A message behind its prefix: not compressed, and as long as it is.
fn frame(message: &impl Message) -> Vec<u8> {
    let content = message.encode_to_vec();
    let length = u32::try_from(content.len()).unwrap_or_else(|_| unreachable!("our questions are short"));
    [&[0], length.to_be_bytes().as_slice(), &content].concat()
}

/// The body, and all headers that came before and after it.
async fn collect(response: http::Response<h2::RecvStream>) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    let mut headers = parts.headers;
    headers.extend(body.trailers().await?.unwrap_or_default());
    Ok((bytes, headers))
}

/// What the headers say against the answer.
fn refusal(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => None,
        Some(code) => Some(text("grpc-message").filter(|text| !text.is_empty()).unwrap_or(code).to_owned()),
        None => Some("it is no gRPC server".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_by_its_length() {
        let version = Version { name: "containerd".into(), version: "v2".into() };
        let framed = frame(&version);
        assert_eq!(framed[..PREFIX], [0, 0, 0, 0, 16]);
        assert_eq!(Version::decode(&framed[PREFIX..]).unwrap(), version);
    }

    #[tokio::test]
    async fn a_socket_without_anybody_behind_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("runtime.sock");
        let error = version(&socket).await.unwrap_err();
        assert!(
            matches!(error, Error::Connect { .. }) && error.to_string().contains("runtime.sock"),
            "{error}"
        );
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(matches!(version(&socket).await.unwrap_err(), Error::Connect { .. }));
    }
}
