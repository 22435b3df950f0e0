//! One question to a runtime: a gRPC call of one message each way, on a connection of its own.
//!
//! No pool, no streams, no compression: a runtime answers these questions in milliseconds, and is asked every few seconds at most.

use std::io;
use std::path::Path;
use std::time::Duration;

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

/// The answer of whoever is behind `socket` to `question`.
pub(in crate::host) async fn ask<A: Message + Default>(
    socket: &Path,
    method: &'static str,
    question: &impl Message,
) -> Result<A, Error> {
    let name = socket.display().to_string();
    match tokio::time::timeout(TIMEOUT, call(socket, &name, method, frame(question))).await {
        Ok(answer) => A::decode(answer?.as_slice()).map_err(|_| Error::Malformed { socket: name, method }),
        Err(_) => Err(Error::Silent { socket: name, method }),
    }
}

/// The bytes of the answer to one question.
async fn call(socket: &Path, name: &str, method: &'static str, question: Vec<u8>) -> Result<Vec<u8>, Error> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Connect { socket: name.to_owned(), source })?;
    let transport = |source| Error::Transport { socket: name.to_owned(), source };
    let (mut sender, connection) = h2::client::handshake(stream).await.map_err(transport)?;
    let exchange = async {
        let (response, mut body) = sender.send_request(request(method), false)?;
        body.send_data(question.into(), true)?;
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
    use crate::host::cri::Version;

    #[test]
    fn a_message_is_framed_by_its_length() {
        let version = Version { name: "containerd".into(), version: "v2".into() };
        let framed = frame(&version);
        assert_eq!(framed[..PREFIX], [0, 0, 0, 0, 16]);
        assert_eq!(Version::decode(&framed[PREFIX..]).unwrap(), version);
    }
}
