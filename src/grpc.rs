//! A unary gRPC call on an HTTP/2 connection, which is all that the container runtime and etcd
//! need: without generated code and without a framework.

use h2::client::SendRequest;
use http::{HeaderMap, Request, Uri};
use hyper::body::Bytes;

/// Flag and length before each message.
const PREFIX: usize = 5;

/// The answer to a call.
pub enum Answer {
    /// The bytes of the message.
    Message(Vec<u8>),
    /// The error of the server.
    Refused(String),
    /// Neither a message nor an error.
    Empty,
}

/// Calls `uri` with the bytes of a message.
///
/// # Cancellation
/// Dropping the call resets its stream. The connection itself must be polled by another task.
pub async fn ask(sender: SendRequest<Bytes>, uri: Uri, message: &[u8]) -> Result<Answer, h2::Error> {
    let request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    let request = request
        .body(())
        .unwrap_or_else(|error| unreachable!("the URI is valid and the rest is constant: {error}"));
    let (response, mut body) = sender.ready().await?.send_request(request, false)?;
    body.send_data(frame(message).into(), true)?;
    let (bytes, headers) = collect(response.await?).await?;
    Ok(match refusal(&headers) {
        Some(reason) => Answer::Refused(reason),
        None => bytes.get(PREFIX..).map_or(Answer::Empty, |message| Answer::Message(message.to_vec())),
    })
}

/// A message behind its prefix: not compressed, and its length.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or_else(|_| unreachable!("requests are short"));
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

/// The body, with headers and trailers.
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

/// The error in the headers or trailers, if there is one.
fn refusal(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => None,
        Some(code) => Some(text("grpc-message").filter(|text| !text.is_empty()).unwrap_or(code).to_owned()),
        None => Some("the server does not speak gRPC".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::host::cri::Version;

    #[test]
    fn a_message_is_framed_by_its_length() {
        let version = Version { name: "containerd".into(), version: "v2".into() };
        let framed = frame(&version.encode_to_vec());
        assert_eq!(framed[..PREFIX], [0, 0, 0, 0, 16]);
        assert_eq!(Version::decode(&framed[PREFIX..]).unwrap(), version);
    }
}
