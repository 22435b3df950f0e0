//! Probes the apiservers of this machine.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cluster::connect::{READY, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::cluster::probe;
use crate::error::chain;
use crate::host::sockets;
use crate::patience::Pace;

/// The pace of this machine's apiserver. A look at the machine has more to see, so it does not wait
/// as long as a wait for the API does.
static PACE: Pace = Pace::new(Duration::from_millis(1500), Duration::from_secs(3));

/// The best answer of this machine's apiservers on `port`, and the address that gave it; `None` if
/// no process listens there.
pub async fn probe_local_api(access: &Access, port: u16) -> Option<(SocketAddr, Readyz)> {
    let endpoints = sockets::endpoints(port).unwrap_or_else(|error| {
        tracing::debug!(port, %error, "the listeners of this machine cannot be listed");
        Vec::new()
    });
    let ask = |endpoint| probe::ask_at_pace(&PACE, access, Some(endpoint), READY);
    match probe::best(&endpoints, ask).await {
        Ok(answer) => answer,
        Err(error) => Some((*endpoints.first()?, Readyz::Unreachable(chain(&error)))),
    }
}

/// What the API answers at its URL, by which kubelets reach it.
pub async fn probe_api_at_its_url(access: &Access) -> Option<Readyz> {
    probe::ask_at_pace(&PACE, access, None, READY).await.ok()
}

/// What the apiserver at `endpoint` answers to the credentials of `access`.
pub(super) async fn probe_api_at(access: &Access, endpoint: SocketAddr) -> Option<Readyz> {
    probe::ask_at_pace(&PACE, access, Some(endpoint), READY).await.ok()
}
