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

use std::time::Duration;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt as _};

pub use error::Error;
pub use http::{fetch, serve};
pub use report::{Step, to_json};

use crate::NAMESPACE;
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Progress, Scope, wait_for};
use crate::host::signals::Interrupts;
use steps::Trial;

/// The DaemonSet whose image is on every controller.
const AGENT: &str = "pod-checkpointer";

/// How a cluster is tried.
pub struct Settings {
    /// Image of bootkube for the pods; `None`: the one that the agents run.
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
    let image = match image {
        Some(image) => image,
        None => agents_image(client).await?,
    };
    let namespace = make_namespace(client).await?;
    let mut trial = Trial::new(client, &namespace, limit, on_step);
    let signal = tokio::select! {
        () = trial.run(&image) => None,
        signal = interrupts.asked() => Some(signal),
    };
    if let Some(signal) = signal {
        trial.interrupt(signal);
    }
    trial.clean_up(delete(client, &namespace)).await;
    Ok(trial.into_steps())
}

async fn agents_image(client: &Client) -> Result<String, Error> {
    let agents = Objects::<DaemonSet>::namespaced(client, NAMESPACE).get_opt(AGENT).await;
    let agents = agents.map_err(|error| Error::Api {
        act: format!("read DaemonSet {NAMESPACE}/{AGENT}"),
        why: crate::error::chain(&error),
    })?;
    let spec = agents.and_then(|agents| agents.spec?.template.spec);
    spec.and_then(|spec| spec.containers.into_iter().next()?.image).ok_or_else(|| {
        Error::Not(format!(
            "there is no DaemonSet {NAMESPACE}/{AGENT}, whose image the pods would run; name an image of \
             bootkube that the nodes have: --image=REFERENCE"
        ))
    })
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
