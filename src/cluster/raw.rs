//! One request whose status code and `Retry-After` matter: the client's own calls return neither.

use std::time::Duration;

use http::StatusCode;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;

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

pub(super) fn malformed(error: impl std::error::Error) -> Failure {
    Failure::Malformed(error.to_string())
}
