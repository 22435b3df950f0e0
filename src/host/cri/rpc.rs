//! One question to a runtime: a gRPC call of one message each way, on a connection of its own.
//!
//! No pool, no streams, no compression: a runtime answers these questions in milliseconds, and is
//! asked every few seconds at most.

use std::io;
use std::path::Path;
use std::time::Duration;

use prost::Message;
use tokio::net::UnixStream;

use crate::grpc::{self, Answer};

/// A runtime answers these questions in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a runtime gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No runtime listens at the socket, or this user may not connect.
    #[error("failed to connect to {socket}")]
    Connect {
        /// Path of the socket.
        socket: String,
        /// Why.
        source: io::Error,
    },
    /// Something listens there but does not speak CRI.
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

/// The answer of the runtime at `socket` to `question`.
pub(super) async fn ask<A: Message + Default>(
    socket: &Path,
    method: &'static str,
    question: &impl Message,
) -> Result<A, Error> {
    let name = socket.display().to_string();
    match tokio::time::timeout(TIMEOUT, call(socket, &name, method, &question.encode_to_vec())).await {
        Ok(answer) => A::decode(answer?.as_slice()).map_err(|_| Error::Malformed { socket: name, method }),
        Err(_) => Err(Error::Silent { socket: name, method }),
    }
}

/// The bytes of the answer to one question.
async fn call(socket: &Path, name: &str, method: &'static str, question: &[u8]) -> Result<Vec<u8>, Error> {
    let socket_name = || name.to_owned();
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Connect { socket: socket_name(), source })?;
    let transport = |source| Error::Transport { socket: socket_name(), source };
    let (sender, connection) = h2::client::handshake(stream).await.map_err(transport)?;
    let uri = format!("http://localhost{method}").parse();
    let uri = uri.unwrap_or_else(|error| unreachable!("every method of ours is a path: {error}"));
    // The connection works only while it is polled; it outlives the question, whose end drops it.
    let answer = tokio::select! {
        answer = grpc::ask(sender, uri, question) => answer.map_err(transport)?,
        Err(source) = connection => return Err(transport(source)),
    };
    match answer {
        Answer::Message(message) => Ok(message),
        Answer::Refused(reason) => Err(Error::Refused { socket: socket_name(), method, reason }),
        Answer::Empty => Err(Error::Malformed { socket: socket_name(), method }),
    }
}
