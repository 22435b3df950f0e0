//! Lists the objects of a control plane.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::api::{ListParams, VersionMatch};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};

use crate::NAMESPACE;
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::retry::within;

/// What the API reports.
#[derive(Default)]
pub(super) struct Inventory {
    pub has_answered: bool,
    pub pods: Vec<Pod>,
    /// Those that have registered, if they could be listed.
    pub nodes: Option<Vec<Node>>,
    pub leases: Vec<Lease>,
    pub daemon_sets: Vec<DaemonSet>,
    pub deployments: Vec<Deployment>,
    pub secrets: Vec<Secret>,
    /// What could not be listed, and why.
    pub unseen: Vec<String>,
}

impl Inventory {
    /// Of an API that does not answer.
    pub fn unseen() -> Self {
        Self { unseen: vec!["everything that the API would show".to_owned()], ..Self::default() }
    }
}

/// Lists everything once. Each answer may take `patience`.
pub(super) async fn take(client: &Client, patience: Duration) -> Inventory {
    let mut unseen = Vec::new();
    let (nodes, pods, leases, daemon_sets, deployments, secrets) = futures::join!(
        nodes(client, patience),
        list(client, patience),
        list(client, patience),
        list(client, patience),
        list(client, patience),
        list(client, patience)
    );
    Inventory {
        has_answered: true,
        pods: keep("pods", pods, &mut unseen),
        nodes: nodes.map_err(|why| unseen.push(format!("nodes: {why}"))).ok(),
        leases: keep("leases", leases, &mut unseen),
        daemon_sets: keep("DaemonSets", daemon_sets, &mut unseen),
        deployments: keep("Deployments", deployments, &mut unseen),
        secrets: keep("Secrets", secrets, &mut unseen),
        unseen,
    }
}

/// All objects of a kind in kube-system; else why they cannot be listed.
async fn list<K>(client: &Client, patience: Duration) -> Result<Vec<K>, String>
where
    K: Kind + Resource<Scope = NamespaceResourceScope>,
{
    let objects = Objects::namespaced(client, NAMESPACE);
    let params = ListParams::default();
    within(patience, objects.list(&params)).await
}

/// From the apiserver's memory: which machine this is must be known while etcd answers nothing, too.
async fn nodes(client: &Client, patience: Duration) -> Result<Vec<Node>, String> {
    let in_memory = ListParams::default().at("0").matching(VersionMatch::NotOlderThan);
    within(patience, Objects::<Node>::all(client).list(&in_memory)).await
}

fn keep<K>(what: &str, listed: Result<Vec<K>, String>, unseen: &mut Vec<String>) -> Vec<K> {
    listed.unwrap_or_else(|why| {
        unseen.push(format!("{what} of {NAMESPACE}: {why}"));
        Vec::new()
    })
}
