//! Probes of readiness, each on a connection of its own.
//!
//! A probe takes three steps: the connection, the TLS handshake, the answer. Each has its own limit, so
//! that a component that works slowly is not given up.

use std::net::SocketAddr;
use std::time::Instant;

use futures::TryFutureExt as _;
use futures::stream::{FuturesUnordered, TryStreamExt as _};
use tokio::net::TcpStream;

use super::connect::Readyz;
use super::error::Error;
use super::kubeconfig::Access;
use super::question::{Credentials, Failed};
use crate::dial::dial;
use crate::patience::{Pace, Patience, within};

/// Asks for `path` (such as [`super::connect::READY`]) once, at `endpoint` or else at the server's URL.
pub async fn ask(
    access: &Access,
    endpoint: Option<SocketAddr>,
    path: &str,
    patience: Patience,
) -> Result<Readyz, Error> {
    let credentials = Credentials::new(access)?;
    Ok(steps(credentials, access, endpoint, path, patience).await.unwrap_or_else(Readyz::from))
}

/// As [`ask`], as `user` of the group `system:authenticated`. RBAC decides on that user's requests, while an
/// administrator passes without it.
pub async fn ask_as(
    user: &'static str,
    access: &Access,
    endpoint: Option<SocketAddr>,
    path: &str,
    patience: Patience,
) -> Result<Readyz, Error> {
    let credentials = Credentials::new(access)?.impersonating(user);
    Ok(steps(credentials, access, endpoint, path, patience).await.unwrap_or_else(Readyz::from))
}

/// As [`ask`], for as long as the pace of the component allows.
pub async fn ask_at_pace(
    pace: &Pace,
    access: &Access,
    endpoint: Option<SocketAddr>,
    path: &str,
) -> Result<Readyz, Error> {
    let begun = Instant::now();
    let answer = ask(access, endpoint, path, Patience::of(pace.limit())).await?;
    match answer {
        Readyz::Ready | Readyz::NotReady { .. } => pace.answered(begun.elapsed()),
        Readyz::Silent(_) => pace.missed(),
        Readyz::Unreachable(_) => {}
    }
    Ok(answer)
}

/// Asks all `endpoints` at once by `ask`. Returns the first that is ready, else the best answer, and where it
/// came from; `None` if there are no endpoints.
pub async fn best<F>(
    endpoints: &[SocketAddr],
    ask: impl Fn(SocketAddr) -> F,
) -> Result<Option<(SocketAddr, Readyz)>, Error>
where
    F: Future<Output = Result<Readyz, Error>>,
{
    let one = |endpoint: &SocketAddr| {
        let endpoint = *endpoint;
        ask(endpoint).map_ok(move |answer| (endpoint, answer))
    };
    let mut answers: FuturesUnordered<_> = endpoints.iter().map(one).collect();
    let mut best: Option<(SocketAddr, Readyz)> = None;
    while let Some((endpoint, answer)) = answers.try_next().await? {
        if answer == Readyz::Ready {
            return Ok(Some((endpoint, answer)));
        }
        if best.as_ref().is_none_or(|(_, best)| answer.rank() < best.rank()) {
            best = Some((endpoint, answer));
        }
    }
    Ok(best)
}

async fn steps(
    credentials: Credentials,
    access: &Access,
    endpoint: Option<SocketAddr>,
    path: &str,
    patience: Patience,
) -> Result<Readyz, Failed> {
    let Patience { accept, answer } = patience;
    let stream = match within(accept, connect(access, endpoint)).await {
        Ok(stream) => stream.map_err(|error| Failed::Broken(error.to_string()))?,
        Err(_) => return Err(Failed::Broken(format!("no connection within {} s", accept.as_secs_f64()))),
    };
    let authority = endpoint.map_or_else(|| access.server.authority().to_owned(), |it| it.to_string());
    let mut connection = within(answer, credentials.open(stream, authority)).await??;
    within(answer, connection.get(path)).await?
}

async fn connect(access: &Access, endpoint: Option<SocketAddr>) -> std::io::Result<TcpStream> {
    if let Some(endpoint) = endpoint {
        return TcpStream::connect(endpoint).await;
    }
    let host = access.server.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    dial((host, access.server.port_or_known_default().unwrap_or(443))).await
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
