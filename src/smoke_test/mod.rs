//! Tries on a cluster what its users do: keep a Secret, run a Deployment, read logs, execute a
//! command, forward a port, call a port of each node, find a Service by its name.
//!
//! Everything is made in a namespace of its own, which is deleted at the end, whatever happened.
//! The pods run this program, by the image that the agents run, so that nothing has to be pulled.

mod error;
mod http;
mod objects;
mod report;
mod steps;
mod trial;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

pub use error::Error;
pub use http::{fetch, serve};
pub use report::{Step, to_json};

use crate::NAMESPACE;
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Progress, Scope, wait_for};
use crate::host::signals::Interrupts;
use objects::Place;
use steps::Here;
use trial::Trial;

/// Labels of the agents' pods, on controllers and on workers.
const AGENTS: &str = "k8s-app in (pod-checkpointer,pod-checkpointer-worker)";

/// How a cluster is tried.
pub struct Settings {
    /// Image of bootkube that every node has; `None`: that of the agents, on their nodes.
    pub image: Option<String>,
    /// How long each step may take.
    pub limit: Duration,
}

/// Tries the cluster, and gives each step to `on_step` when it has ended. A signal ends the trial
/// early, but not before everything is deleted.
///
/// # Errors
/// Nothing could be tried, and nothing was made.
pub async fn run(
    client: &Client,
    settings: Settings,
    interrupts: &Interrupts,
    on_step: &mut (dyn FnMut(&Step) + Send),
) -> Result<Vec<Step>, Error> {
    let Settings { image, limit } = settings;
    let place = place(client, image).await?;
    let namespace = make_namespace(client).await?;
    let here = Here::new(client, &namespace, limit);
    let mut trial = Trial::new(limit, on_step);
    let signal = tokio::select! {
        () = trial.run(&here, &place) => None,
        signal = interrupts.asked() => Some(signal),
    };
    if let Some(signal) = signal {
        trial.skip(signal);
    }
    trial.clean_up(delete(client, &namespace)).await;
    Ok(trial.into_steps())
}

/// What is on a node for good has another prefix: these are kubelet's and the controllers'.
const PASSING: &str = "node.kubernetes.io/";

async fn place(client: &Client, image: Option<String>) -> Result<Place, Error> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.map_err(Error::api("list the nodes"))?.items;
    let (image, names) = match image {
        Some(image) => (image, Vec::new()),
        None => agents(client).await?,
    };
    let taints = nodes
        .iter()
        .filter(|node| names.is_empty() || names.contains(&node.name_any()))
        .flat_map(|node| node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()))
        .filter(|taint| !taint.key.starts_with(PASSING));
    let tolerations =
        taints.map(|taint| json!({"key": taint.key, "operator": "Exists", "effect": taint.effect})).collect();
    Ok(Place { image, nodes: names, tolerations })
}

/// The image of the agents, and the nodes on which one runs by it.
async fn agents(client: &Client) -> Result<(String, Vec<String>), Error> {
    let which = ListParams::default().labels(AGENTS);
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE).list(&which).await;
    let pods = pods.map_err(Error::api(format!("list the agents' pods of {NAMESPACE}")))?.items;
    let running = pods.into_iter().filter_map(|pod| {
        let is_running = pod.status?.phase.as_deref() == Some("Running");
        let spec = pod.spec.filter(|_| is_running)?;
        Some((spec.containers.into_iter().next()?.image?, spec.node_name?))
    });
    let mut running: Vec<(String, String)> = running.collect();
    let Some((image, _)) = running.first().cloned() else {
        return Err(Error::Not(format!(
            "no pod of {NAMESPACE} with {AGENTS} runs, whose image the pods could have; name an image of bootkube \
             that the nodes have: --image=REFERENCE"
        )));
    };
    running.retain(|(own, _)| *own == image);
    Ok((image, running.into_iter().map(|(_, node)| node).collect()))
}

async fn make_namespace(client: &Client) -> Result<String, Error> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let namespace = serde_json::from_value(objects::namespace())
        .unwrap_or_else(|error| unreachable!("the namespace is constant: {error}"));
    let made = namespaces.create(&PostParams::default(), &namespace).await;
    Ok(made.map_err(Error::api("make a namespace"))?.name_any())
}

/// Deletes the namespace, and waits until everything in it is gone.
async fn delete(client: &Client, name: &str) -> Result<String, Error> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let deleted = namespaces.delete(name, &DeleteParams::background()).await;
    deleted.map_err(Error::api(format!("delete namespace {name}")))?;
    let is_gone = |seen: &crate::cluster::wait::Watched<Namespace>| match seen.iter().next() {
        None => Progress::Done(()),
        Some(_) => Progress::Not(format!("namespace {name} is still there")),
    };
    wait_for(Objects::all(client), Scope::named(name), is_gone, &mut |_| {}).await;
    Ok(format!("namespace {name} is deleted"))
}
