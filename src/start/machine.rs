//! Looks which apiservers listen on the API's port of this machine, and whether they are ready.

use std::net::{IpAddr, SocketAddr};

use kube::Client;

use super::error::Error;
use super::plan::Plan;
use crate::cluster::connect;
use crate::cluster::retry::poll;
use crate::phase::{PROBE, Progress, ask_api, on_port};

/// The path that an apiserver answers when it has finished starting.
pub const READY: &str = "/readyz";
/// The path that it answers to an administrator about two seconds earlier: enough to apply objects.
pub const USABLE: &str = "/api/v1/namespaces/kube-system";
/// An address of this machine where the API is ready now. The error says why there is none.
pub async fn serving(plan: &Plan) -> Result<Result<SocketAddr, String>, Error> {
    ask(plan, READY, |_| true).await
}

/// Whether another apiserver is ready. Where the bootstrap one has the wildcard, any one counts.
pub async fn is_served_by_another(plan: &Plan) -> Result<bool, Error> {
    let bound = on_port(plan.api_port())?;
    let another = bound.iter().any(|address| !plan.bootstrap_listens_at(*address));
    Ok((another || plan.bootstrap_holds_wildcard()) && serving(plan).await?.is_ok())
}

async fn ask(
    plan: &Plan,
    path: &str,
    is_meant: impl Fn(&SocketAddr) -> bool,
) -> Result<Result<SocketAddr, String>, Error> {
    Ok(ask_api(&plan.access, plan.api_port(), path, is_meant).await?)
}

/// Asks until an apiserver answers. `waiting` gets the reason of every look, not only new ones: the
/// time to the next act is counted from the last look.
async fn wait(
    plan: &Plan,
    path: &str,
    is_meant: impl Fn(&SocketAddr) -> bool,
    waiting: impl Fn(String),
) -> Result<SocketAddr, Error> {
    let attempt = async || match ask(plan, path, &is_meant).await {
        Ok(Ok(endpoint)) => Ok(Ok(endpoint)),
        Ok(Err(reason)) => {
            waiting(reason);
            Err(String::new())
        }
        Err(error) => Ok(Err(error)),
    };
    poll(PROBE, attempt, |_| ()).await
}

/// Waits until the self-hosted apiserver is ready, asked where the bootstrap one does not listen.
/// If both listen on every address it cannot be asked alone, and kubelet's probe must do.
pub async fn wait_self_hosted(plan: &Plan, waiting: &dyn Fn(String)) -> Result<(), Error> {
    let bootstrap = bootstrap_listeners(plan)?;
    if bootstrap.iter().any(IpAddr::is_unspecified) {
        return Ok(());
    }
    let is_meant = |endpoint: &SocketAddr| !bootstrap.contains(&endpoint.ip());
    let why = |reason: String| waiting(format!("the self-hosted apiserver: {reason}"));
    wait(plan, READY, is_meant, why).await.map(drop)
}

/// Waits until an apiserver of this machine answers for `path`, [`READY`] or [`USABLE`].
pub async fn wait_api(plan: &Plan, path: &str, progress: &Progress<'_>) -> Result<SocketAddr, Error> {
    let endpoint = wait(plan, path, |_| true, |reason| progress.waiting(reason)).await?;
    progress.found(format!("the API answers at {endpoint}"));
    Ok(endpoint)
}

/// Addresses of the bootstrap apiserver's listeners.
pub fn bootstrap_listeners(plan: &Plan) -> Result<Vec<IpAddr>, Error> {
    let mut bound = on_port(plan.api_port())?;
    bound.retain(|address| plan.bootstrap_listens_at(*address));
    Ok(bound)
}

/// The API of this machine.
pub struct Api {
    /// The address that answers.
    pub endpoint: SocketAddr,
    /// An administrator's client.
    pub client: Client,
}

/// Waits until an apiserver of this machine answers for `path`.
pub async fn connect(plan: &Plan, path: &str, progress: &Progress<'_>) -> Result<Api, Error> {
    let endpoint = wait_api(plan, path, progress).await?;
    let client = connect::connect(&plan.access, Some(endpoint))?;
    Ok(Api { endpoint, client })
}
