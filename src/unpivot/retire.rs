//! Removes workloads and their pods without garbage collection: the controller manager, which would
//! do that, is one of the workloads and may be gone. Each request is retried, because an apiserver
//! that ends closes its connections.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams};
use kube::{Client, Resource, ResourceExt as _};

use super::error::Error;
use crate::NAMESPACE;
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::pods;
use crate::cluster::retry::persist;
use crate::phase::{PROBE, Progress};
use crate::recover::find::Workload;

/// Label of a component's pods.
pub const APP: &str = "k8s-app";

/// Removes a component: the workload, its ReplicaSets and pods, and its disruption budget. Returns
/// how many pods it had.
pub async fn workload(client: &Client, workload: &Workload, progress: &Progress<'_>) -> Result<usize, Error> {
    let name = workload.label.rsplit('/').next().unwrap_or(&workload.label);
    remove::<PodDisruptionBudget>(client, name).await?;
    match workload.label.starts_with("DaemonSet ") {
        true => remove::<DaemonSet>(client, name).await?,
        false => {
            remove::<Deployment>(client, name).await?;
            replica_sets(client, name).await?;
        }
    }
    end_pods(client, workload, progress).await
}

/// Removes a DaemonSet that is no component; its pods stay for now.
pub async fn remove_daemon_set(client: &Client, name: &str) -> Result<(), Error> {
    remove::<DaemonSet>(client, name).await
}

/// Ends the agent's pods, and waits until the agent's copy has ended, whose manifest is gone.
pub async fn end_agent(client: &Client, name: &str, progress: &Progress<'_>) -> Result<(), Error> {
    let pods: Objects<Pod> = Objects::namespaced(client, NAMESPACE);
    let labels = ListParams::default().labels(&format!("{APP}={name}"));
    end(&pods, &labels, progress).await?;
    loop {
        let found = persist("list", "pods", async || Ok(pods.list(&labels).await?)).await?;
        let Some(pod) = found.first() else { return Ok(()) };
        progress.waiting(format!("pod {} has not ended yet", pod.name_any()));
        tokio::time::sleep(PROBE * 2).await;
    }
}

/// The pods of a component, without static ones.
pub async fn pods_of(pods: &Objects<Pod>, workload: &Workload) -> Result<Vec<Pod>, Error> {
    list(pods, &selector(workload)).await
}

fn selector(workload: &Workload) -> ListParams {
    let labels = workload.template.metadata.iter().flat_map(|metadata| metadata.labels.iter().flatten());
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    ListParams::default().labels(&labels.join(","))
}

async fn end_pods(client: &Client, workload: &Workload, progress: &Progress<'_>) -> Result<usize, Error> {
    let pods: Objects<Pod> = Objects::namespaced(client, NAMESPACE);
    end(&pods, &selector(workload), progress).await
}

/// Deletes pods until none is left, because a controller that has not seen yet that the workload is
/// gone may create another.
async fn end(pods: &Objects<Pod>, which: &ListParams, progress: &Progress<'_>) -> Result<usize, Error> {
    let mut ended = 0;
    loop {
        let found = list(pods, which).await?;
        if found.is_empty() {
            return Ok(ended);
        }
        for pod in found.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            ended += 1;
            delete(pods, &pod.name_any(), &DeleteParams::default()).await?;
        }
        progress.waiting(format!("pod {} has not ended yet", found[0].name_any()));
        tokio::time::sleep(PROBE * 2).await;
    }
}

async fn list(pods: &Objects<Pod>, which: &ListParams) -> Result<Vec<Pod>, Error> {
    let found = persist("list", "pods", async || Ok(pods.list(which).await?)).await?;
    Ok(found.into_iter().filter(|pod| !pods::is_mirror(pod)).collect())
}

/// Removes the ReplicaSets of a Deployment, which would create its pods again.
async fn replica_sets(client: &Client, deployment: &str) -> Result<(), Error> {
    let sets: Objects<ReplicaSet> = Objects::namespaced(client, NAMESPACE);
    let sets = persist("list", "replicasets", async || Ok(sets.list(&ListParams::default()).await?)).await?;
    let is_its = |set: &&ReplicaSet| {
        let mut owners = set.metadata.owner_references.iter().flatten();
        owners.any(|owner| owner.kind == "Deployment" && owner.name == deployment)
    };
    for set in sets.iter().filter(is_its) {
        remove::<ReplicaSet>(client, &set.name_any()).await?;
    }
    Ok(())
}

async fn remove<K>(client: &Client, name: &str) -> Result<(), Error>
where
    K: Kind + Resource<Scope = k8s_openapi::NamespaceResourceScope>,
{
    delete(&Objects::<K>::namespaced(client, NAMESPACE), name, &DeleteParams::background()).await
}

/// An object that does not exist any more counts as removed.
async fn delete<K: Kind>(objects: &Objects<K>, name: &str, how: &DeleteParams) -> Result<(), Error> {
    let attempt = async || match objects.bare.delete(name, how).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => Ok(done.map(drop)?),
    };
    Ok(persist("remove", name, attempt).await?)
}
