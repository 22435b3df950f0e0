//! One question and one answer of gRPC on a connection of HTTP/2: what asking a container runtime and reading etcd need of it. Needs neither
//! generated code nor a framework.

use h2::client::SendRequest;
use http::{HeaderMap, Request, Uri};
use hyper::body::Bytes;

/// Flag and length before each message.
const PREFIX: usize = 5;

/// What came back.
pub enum Answer {
    /// The bytes of a message.
    Message(Vec<u8>),
    /// A refusal, in the server's words.
    Refused(String),
    /// Neither of both.
    Empty,
}

/// Sends the bytes of a message to `uri`. Somebody has to poll the connection meanwhile.
pub async fn ask(sender: SendRequest<Bytes>, uri: Uri, message: &[u8]) -> Result<Answer, h2::Error> {
    let request = Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    let request = request
        .body(())
        .unwrap_or_else(|error| unreachable!("its URI is one, the rest is constant: {error}"));
    let (response, mut body) = sender.ready().await?.send_request(request, false)?;
    body.send_data(frame(message).into(), true)?;
    let (bytes, headers) = collect(response.await?).await?;
    Ok(match refusal(&headers) {
        Some(reason) => Answer::Refused(reason),
        None => bytes.get(PREFIX..).map_or(Answer::Empty, |message| Answer::Message(message.to_vec())),
    })
}

/// A message behind its prefix: not compressed, and as long as it is.
fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or_else(|_| unreachable!("our questions are short"));
    [&[0], length.to_be_bytes().as_slice(), message].concat()
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
