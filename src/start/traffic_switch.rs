//! Moves new connections from the bootstrap apiserver to the self-hosted one.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

use super::error::Error;
use super::machine;
use super::plan::Plan;
use crate::NAMESPACE;
use crate::cluster::gate;
use crate::cluster::objects::Objects;
use crate::handover::{self, Port, SERVING};
use crate::host::steering::Aim;
use crate::phase::{Act, PROBE, Progress, Verb};

/// Steers new connections to the bootstrap apiserver before the self-hosted one listens.
pub async fn hold(plan: &Plan, progress: &Progress<'_>) -> Result<(), Error> {
    if let Some(act) = steering(plan, "the bootstrap apiserver") {
        let port = Port::new(plan.api_port(), &plan.access)?;
        port.steer(&port.listeners().await?, Aim { serving: 0, asked: 0, starting: 1 }).await?;
        progress.did(act);
    }
    Ok(())
}

/// The act of steering new connections to `apiserver`, if this machine steers.
pub fn steering(plan: &Plan, apiserver: &str) -> Option<Act> {
    let what = format!("new connections to port {}", plan.api_port());
    plan.is_steered.then(|| Act::new(Verb::Steer, what).because(format!("to {apiserver}")))
}

/// Steers new connections to the self-hosted apiserver until dropped. `served` holds its pod.
pub async fn introduce(
    plan: &Plan,
    client: &Client,
    node: &str,
    served: &watch::Sender<Option<String>>,
) -> Result<(), Error> {
    if plan.is_steered {
        handover::guard(Port::new(plan.api_port(), &plan.access)?, client, node, served).await;
        return Ok(());
    }
    machine::wait_self_hosted(plan, &|why| tracing::debug!(why)).await?;
    let message = "it answers where the bootstrap apiserver does not listen";
    loop {
        for pod in gated_pods(client, node).await {
            if let Err(error) = gate::set_gate(&pods(client), &pod.name_any(), SERVING, true, message).await {
                tracing::debug!(error = crate::error::chain(&error), "gate not set");
            }
        }
        tokio::time::sleep(PROBE * 10).await;
    }
}

fn pods(client: &Client) -> Objects<Pod> {
    Objects::namespaced(client, NAMESPACE)
}

/// Apiservers of `node` whose gate is closed; none if the API does not answer.
async fn gated_pods(client: &Client, node: &str) -> Vec<Pod> {
    let params =
        ListParams::default().labels("k8s-app=kube-apiserver").fields(&format!("spec.nodeName={node}"));
    let mut found = pods(client).list(&params).await.unwrap_or_default();
    found.retain(|pod| gate::has_gate(pod, SERVING) && !gate::is_open(pod, SERVING));
    found
}
