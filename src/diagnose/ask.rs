//! Asks the API of this machine how it is and, if it serves, what it has. Nothing is written.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, LogParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt as _};

use super::seen::{Api, Cluster};
use super::{Subject, log};
use crate::cluster::connect::{self, Readyz};
use crate::cluster::node::is_node_at;
use crate::cluster::objects::{Kind, Objects};
use crate::host::{addresses, sockets};

const READY: &str = "/readyz";
/// For everything that the cluster is asked in one look.
const PATIENCE: Duration = Duration::from_secs(4);
/// Lines of a log that are asked for, to choose the telling ones from.
const TAIL: i64 = 40;

/// Who answers, and what it tells.
pub async fn ask(subject: &Subject) -> (Api, Option<Cluster>) {
    let mut api = Api {
        port: subject.api_port,
        answer: answer(subject).await,
        url: subject.access.server.as_str().trim_end_matches('/').to_owned(),
        at_url: None,
    };
    let Some((endpoint, Readyz::Ready)) = &api.answer else { return (api, None) };
    let Some(client) = client(subject, endpoint) else { return (api, None) };
    let (at_url, cluster) = futures::join!(
        connect::probe(&subject.access, None, READY),
        tokio::time::timeout(PATIENCE, cluster(subject, &client))
    );
    api.at_url = at_url.ok();
    (api, cluster.ok().flatten())
}

/// What the best of this machine's addresses says; `None` if nobody listens.
async fn answer(subject: &Subject) -> Option<(String, Readyz)> {
    let bound = sockets::on_port(subject.api_port).unwrap_or_default();
    let mut local = addresses::local().unwrap_or_default();
    local.retain(|address| bound.iter().any(|bound| bound == address || bound.is_unspecified()));
    let asked = local.into_iter().map(async |address| {
        let endpoint = SocketAddr::new(address, subject.api_port);
        let answer = connect::probe(&subject.access, Some(endpoint), READY).await;
        let answer = answer.unwrap_or_else(|error| Readyz::Unreachable(crate::error::chain(&error)));
        (endpoint.to_string(), answer)
    });
    let rank = |(_, answer): &(String, Readyz)| match answer {
        Readyz::Ready => 0,
        Readyz::NotReady { .. } => 1,
        Readyz::Unreachable(_) => 2,
    };
    join_all(asked).await.into_iter().min_by_key(rank)
}

fn client(subject: &Subject, endpoint: &str) -> Option<Client> {
    connect::connect(&subject.access, Some(endpoint.parse().ok()?)).ok()
}

/// Nodes, and what is in the namespaces of what is required. What it does not tell is missing.
async fn cluster(subject: &Subject, client: &Client) -> Option<Cluster> {
    let local = addresses::local().unwrap_or_default();
    let nodes = Objects::<Node>::all(client).list(&ListParams::default()).await.ok()?;
    let has_node = nodes.iter().any(|node| is_node_at(&local, node));
    let mut cluster = Cluster { has_node, required: subject.required.clone(), ..Cluster::default() };
    if !has_node {
        cluster.requests = listed(Objects::all(client), &ListParams::default()).await;
    }
    let mut namespaces: Vec<&str> =
        subject.required.iter().map(|workload| workload.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let warnings = ListParams::default().fields("type=Warning");
    for namespace in namespaces {
        let all = ListParams::default();
        let (pods, daemon_sets, events) = futures::join!(
            list(client, namespace, &all),
            list(client, namespace, &all),
            list(client, namespace, &warnings)
        );
        cluster.pods.extend(pods);
        cluster.daemon_sets.extend(daemon_sets);
        cluster.events.extend(events);
    }
    Some(cluster)
}

async fn list<K>(client: &Client, namespace: &str, params: &ListParams) -> Vec<K>
where
    K: Kind + Resource<Scope = NamespaceResourceScope>,
{
    listed(Objects::namespaced(client, namespace), params).await
}

async fn listed<K: Kind>(objects: Objects<K>, params: &ListParams) -> Vec<K> {
    match objects.list(params).await {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(url = objects.bare.resource_url(), %error, "not listed");
            Vec::new()
        }
    }
}

/// The last lines of a container that ended, as the API has them from its kubelet.
pub async fn lines(
    subject: &Subject,
    endpoint: Option<&String>,
    pod: &Pod,
    container: &str,
) -> Option<Vec<String>> {
    let client = client(subject, endpoint?)?;
    let api: kube::Api<Pod> = kube::Api::namespaced(client, &pod.namespace()?);
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(TAIL),
        previous: true,
        ..LogParams::default()
    };
    let logs = tokio::time::timeout(PATIENCE, api.logs(&pod.name_any(), &params)).await.ok()?.ok()?;
    Some(log::telling(logs.lines()))
}
