//! Observes the API of this machine and, once it serves, the cluster. Nothing is written.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, LogParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource, ResourceExt as _};

use super::evidence::{ApiState, Cluster, Unready};
use super::subject::Subject;
use crate::assets::command::runs;
use crate::cluster::connect::{self, Readyz};
use crate::cluster::node::is_node_at;
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::raw;
use crate::host::programs::{self, Program};
use crate::host::{addresses, log, systemd};
use crate::living::{probe_api_at_its_url, probe_local_api};
use crate::patience::{ANSWER, within};

/// For a log, which comes through kubelet and is only quoted.
const LOG: Duration = Duration::from_secs(4);
/// Lines of a log that are fetched, to choose the telling ones from.
const TAIL: i64 = 40;

/// The state of the API, and of the cluster if the API is ready.
pub async fn observe_api(subject: &Subject) -> (ApiState, Option<Cluster>) {
    let answer = probe_local_api(&subject.access, subject.api_port).await;
    let mut api = ApiState {
        port: subject.api_port,
        answer: answer.map(|(endpoint, answer)| (endpoint.to_string(), answer)),
        url: subject.access.server.as_str().trim_end_matches('/').to_owned(),
        is_apiserver: is_apiserver(subject.api_port),
        at_url: None,
    };
    let Some((endpoint, Readyz::Ready)) = &api.answer else { return (api, None) };
    let Some(client) = client(subject, endpoint) else { return (api, None) };
    let (at_url, cluster) = futures::join!(
        probe_api_at_its_url(&subject.access),
        within(ANSWER, observe_cluster(subject, &client))
    );
    api.at_url = at_url;
    (api, cluster.ok().flatten())
}

/// Whether every process that is seen to listen on `port` is an apiserver.
pub fn is_apiserver(port: u16) -> bool {
    let holders = programs::all().and_then(|programs| programs::listening(&programs, port));
    let holders = holders.unwrap_or_default();
    let is_it = |holder: &Program| runs(holder.words.iter().map(String::as_str), "kube-apiserver");
    !holders.is_empty() && holders.iter().all(is_it)
}

/// A client for the API at `endpoint`.
pub fn client(subject: &Subject, endpoint: &str) -> Option<Client> {
    connect::connect(&subject.access, Some(endpoint.parse().ok()?)).ok()
}

/// Whether this machine has a node, and what is in the namespaces of the required workloads. Lists
/// that fail are left empty.
async fn observe_cluster(subject: &Subject, client: &Client) -> Option<Cluster> {
    let local = addresses::local().unwrap_or_default();
    let now = raw::clock(client).await?;
    let nodes = Objects::<Node>::all(client).list(&ListParams::default()).await.ok()?;
    let has_node = nodes.iter().any(|node| is_node_at(&local, node));
    let (nodes, unready) = (nodes.len(), Unready::among(&nodes));
    let mut cluster =
        Cluster { has_node, nodes, unready, required: subject.required.clone(), ..Cluster::at(now) };
    if !has_node {
        cluster.requests = listed(Objects::all(client), &ListParams::default()).await;
        cluster.bindings = listed(Objects::all(client), &ListParams::default()).await;
    }
    if nodes == 0 {
        cluster.kubelet_said = systemd::last_error("kubelet").await;
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

/// The last lines of a container that ended, fetched from its kubelet through the API.
pub async fn last_lines(client: &Client, pod: &Pod, container: &str) -> Option<Vec<String>> {
    let api: kube::Api<Pod> = kube::Api::namespaced(client.clone(), &pod.namespace()?);
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(TAIL),
        previous: true,
        ..LogParams::default()
    };
    let logs = within(LOG, api.logs(&pod.name_any(), &params)).await.ok()?.ok()?;
    Some(log::telling(logs.lines()))
}
