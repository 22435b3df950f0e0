//! Copies that this machine runs and the API does not show: kubelet reports a static pod only where
//! its Node is registered.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::components::{self, Component, Hosting};
use super::here::Here;
use super::inventory::Inventory;
use crate::checkpoint::store::Store;
use crate::host::cri::{self, Container, Sandbox, State};
use crate::kubelet::locate_runtime;

/// Copies that run here, beyond those in `shown`.
///
/// # Errors
/// Why they cannot be seen.
pub(super) async fn hidden(
    here: &Here,
    shown: &[Component],
    inventory: &Inventory,
) -> Result<Vec<Component>, String> {
    let host = || rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    let node = here.node.clone().unwrap_or_else(host);
    let listing = Store::default().list().map_err(|error| crate::error::chain(&error))?;
    let is_shown =
        |name: &str| shown.iter().any(|it| it.hosting == Hosting::Copy && it.name == name && it.node == node);
    let active = listing.entries.into_iter().filter(|entry| entry.active.is_some());
    let active = active.filter_map(|entry| Some((components::program(&entry.pod)?, entry.pod)));
    let hidden: Vec<(&'static str, Pod)> = active.filter(|(name, _)| !is_shown(name)).collect();
    if hidden.is_empty() {
        return Ok(Vec::new());
    }
    let runtime = runtime().await;
    let of = |(name, pod): (&'static str, Pod)| Component {
        name,
        hosting: Hosting::Copy,
        ready: runtime.as_ref().map_err(Clone::clone).and_then(|runtime| runs(&pod, runtime)),
        leads: components::holds(inventory, name, &node),
        image: components::image(&pod, name),
        pod: pod.name_any(),
        node: node.clone(),
    };
    Ok(hidden.into_iter().map(of).collect())
}

type Runtime = (Vec<Sandbox>, Vec<Container>);

async fn runtime() -> Result<Runtime, String> {
    let (socket, _) = locate_runtime()?;
    let socket: &Path = &socket;
    futures::try_join!(cri::sandboxes(socket), cri::containers(socket))
        .map_err(|error| crate::error::chain(&error))
}

/// Whether the containers of a copy run, by the container runtime: nothing else is known of it.
fn runs(pod: &Pod, (sandboxes, containers): &Runtime) -> Result<(), String> {
    let prefix = format!("{}-", pod.name_any()); // kubelet adds the node's name
    let is_its = |it: &&Sandbox| it.is_static() && it.is_ready && it.name.starts_with(&prefix);
    let Some(sandbox) = sandboxes.iter().find(is_its) else {
        return Err("is not in the container runtime".to_owned());
    };
    let runs = |name: &str| {
        let mut its = containers.iter().filter(|it| it.sandbox == sandbox.id && it.name == name);
        its.any(|it| it.state == State::Running)
    };
    let wanted = pod.spec.iter().flat_map(|spec| &spec.containers);
    match wanted.into_iter().find(|container| !runs(&container.name)) {
        Some(container) => Err(format!("has no running container {}", container.name)),
        None => Ok(()),
    }
}
