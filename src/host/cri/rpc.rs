//! One call to a runtime: a message each way, on a connection of its own.
//!
//! No pool, no streams, no compression, because bootkube calls every few seconds at most.

use std::io;
use std::path::Path;
use std::time::Duration;

use prost::Message;
use tokio::net::UnixStream;

use crate::grpc::{self, Answer};
use crate::patience::{Late, Pace};

/// The pace of the runtime, which answers within milliseconds on a machine that is not slow.
static PACE: Pace = Pace::new(Duration::from_secs(5), Duration::from_secs(5));

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No runtime listens at the socket, or this user may not connect.
    #[error("failed to connect to {socket}")]
    Connect {
        /// Path of the socket.
        socket: String,
        /// The reason.
        source: io::Error,
    },
    /// Something listens there but does not speak CRI.
    #[error("{socket} does not speak HTTP/2")]
    Transport {
        /// Path of the socket.
        socket: String,
        /// The error of the HTTP/2 library.
        source: h2::Error,
    },
    /// The runtime refused the call.
    #[error("{socket} refuses {method}: {reason}")]
    Refused {
        /// Path of the socket.
        socket: String,
        /// Service and method.
        method: &'static str,
        /// The runtime's message.
        reason: String,
    },
    /// The answer could not be decoded.
    #[error("{socket} answers {method} with something unreadable")]
    Malformed {
        /// Path of the socket.
        socket: String,
        /// Service and method.
        method: &'static str,
    },
    /// The runtime did not answer in time.
    #[error("{socket} does not answer {method}")]
    Silent {
        /// Path of the socket.
        socket: String,
        /// Service and method.
        method: &'static str,
        /// After how long.
        source: Late,
    },
}

/// The answer of the runtime at `socket` to `question`.
pub(super) async fn ask<A: Message + Default>(
    socket: &Path,
    method: &'static str,
    question: &impl Message,
) -> Result<A, Error> {
    let name = socket.display().to_string();
    match PACE.within(call(socket, &name, method, &question.encode_to_vec())).await {
        Ok(answer) => A::decode(answer?.as_slice()).map_err(|_| Error::Malformed { socket: name, method }),
        Err(source) => Err(Error::Silent { socket: name, method, source }),
    }
}

/// The bytes of the answer.
async fn call(socket: &Path, name: &str, method: &'static str, question: &[u8]) -> Result<Vec<u8>, Error> {
    let socket_name = || name.to_owned();
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| Error::Connect { socket: socket_name(), source })?;
    let transport = |source| Error::Transport { socket: socket_name(), source };
    let (sender, connection) = h2::client::handshake(stream).await.map_err(transport)?;
    let uri = format!("http://localhost{method}").parse();
    let uri = uri.unwrap_or_else(|error| unreachable!("every method of ours is a path: {error}"));
    // The connection makes progress only while it is polled. It is dropped when the call ends.
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
