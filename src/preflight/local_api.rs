//! Probes the apiservers of this machine.

use std::net::SocketAddr;

use crate::cluster::connect::{self, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::error::chain;
use crate::host::sockets;

/// The best answer of this machine's apiservers on `port`, and the address that gave it; `None` if no process
/// listens there.
pub(crate) async fn probe_local_api(access: &Access, port: u16) -> Option<(SocketAddr, Readyz)> {
    let endpoints = sockets::endpoints(port).unwrap_or_else(|error| {
        tracing::debug!(port, %error, "the listeners of this machine cannot be listed");
        Vec::new()
    });
    match connect::probe_best(access, &endpoints, connect::READY).await {
        Ok(answer) => answer,
        Err(error) => Some((*endpoints.first()?, Readyz::Unreachable(chain(&error)))),
    }
}
