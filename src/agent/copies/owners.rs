//! Asks the API whether a workload of another namespace, which has a copy and no pod here, is still
//! wanted. The agent does not watch owners in other namespaces, so it asks for the owner by name,
//! in each round until there is an answer that settles it.

use std::collections::BTreeMap;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};

use crate::agent::complaints::Complaints;
use crate::checkpoint::Id;
use crate::checkpoint::observed::Api;
use crate::checkpoint::parent::{self, Owner};
use crate::cluster::objects::Objects;
use crate::cluster::retry::describe;
use crate::patience::{ANSWER, within};

/// What the API says of each of `orphans`; those that it does not answer for are left out.
pub async fn ask(
    client: &Client,
    node: &Node,
    orphans: Vec<(Id, Owner)>,
    complaints: &mut Complaints,
) -> BTreeMap<Id, Api> {
    let one = async |(id, owner): (Id, Owner)| {
        let answer = within(ANSWER, word(client, node, &id, owner)).await;
        (id, answer)
    };
    let mut words = BTreeMap::new();
    for (id, answer) in join_all(orphans.into_iter().map(one)).await {
        match answer {
            Ok(Ok(word)) => drop(words.insert(id, word)),
            Ok(Err(error)) => complaints
                .say(&id, format!("the API does not say whether it is still wanted: {}", describe(&error))),
            Err(_) => {
                tracing::debug!(workload = %id, "the API does not say in time whether it is still wanted")
            }
        }
    }
    words
}

async fn word(client: &Client, node: &Node, id: &Id, owner: Owner) -> Result<Api, kube::Error> {
    let Id { namespace, name } = id;
    let pods: Objects<Pod> = Objects::namespaced(client, namespace);
    Ok(match owner {
        Owner::DaemonSet => {
            let set = Objects::<DaemonSet>::namespaced(client, namespace).get_opt(name).await?;
            parent::word_on_daemon_set(set.as_ref(), &[], node)
        }
        Owner::Deployment => {
            let found = Objects::<Deployment>::namespaced(client, namespace).get_opt(name).await?;
            let pods = match &found {
                Some(deployment) => pods_of(&pods, deployment).await?,
                None => Vec::new(),
            };
            parent::word_on_deployment(found.as_ref(), &pods, &node.name_any())
        }
        Owner::Itself => parent::word_on_pod(pods.get_opt(name).await?.as_ref(), &node.name_any()),
    })
}

/// The pods of a Deployment, on all machines. They are selected by its labels; those of other
/// workloads with the same labels are left out.
async fn pods_of(pods: &Objects<Pod>, deployment: &Deployment) -> Result<Vec<Pod>, kube::Error> {
    let labels = deployment.spec.iter().flat_map(|spec| spec.selector.match_labels.iter().flatten());
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    let found = pods.list(&ListParams::default().labels(&labels.join(","))).await?;
    let is_its = |pod: &Pod| {
        let (id, owner) = parent::workload(pod);
        owner == Owner::Deployment && id.name == deployment.name_any()
    };
    Ok(found.into_iter().filter(is_its).collect())
}
