//! Requests of whose answers more matters than the object: the client's own calls return neither
//! the status code nor a header.

use std::time::Duration;

use http::StatusCode;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::retry::Failure;

/// Sends `request` once and returns the status code and the body of success.
pub(super) async fn send(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<(StatusCode, Value), Failure> {
    let response = client.send(request.map(Body::from)).await?;
    let code = response.status();
    let retry_after = response.headers().get(http::header::RETRY_AFTER);
    let retry_after =
        retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let body = response.into_body().collect_bytes().await?;
    if code.is_success() {
        return Ok((code, serde_json::from_slice(&body).map_err(malformed)?));
    }
    let status = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&body).trim(), ""))
        .with_code(code.as_u16());
    Err(Failure::Api { status: status.boxed(), retry_after })
}

/// The apiserver's present moment, by the `Date` of an answer: by this clock it dates objects.
pub async fn clock(client: &Client) -> Option<OffsetDateTime> {
    let request = http::Request::get("/version").body(Body::empty()).ok()?;
    let answer = client.send(request).await.ok()?;
    date(answer.headers().get(http::header::DATE)?.to_str().ok()?)
}

fn date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

pub(super) fn malformed(error: impl std::error::Error) -> Failure {
    Failure::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        assert_eq!(date("Thu, 01 Jan 2026 00:10:00 GMT"), Some(datetime!(2026-01-01 0:10 UTC)));
        assert_eq!(date("yesterday"), None);
    }
}
