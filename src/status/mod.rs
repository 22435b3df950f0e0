//! The control plane of a running cluster: what runs where, hosted how, who leads, and which certificate expires when.
//!
//! [`status`] asks the API once and changes nothing. What the API does not say is told as not seen: an etcd that is no pod, files on
//! machines other than this one.

mod certificates;
mod components;
mod report;

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use time::OffsetDateTime;

pub use certificates::Certificate;
pub use components::{Component, Hosting};
pub use report::{to_json, to_text};

use crate::NAMESPACE;
use crate::cluster;
use crate::cluster::connect::{self, Readyz};
use crate::cluster::kubeconfig::Access;
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::retry::describe;

/// For each question: an API that takes longer is no healthy one.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a cluster's control plane is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// URL of the API.
    pub server: String,
    /// What is wrong, the worst first. A healthy control plane has none.
    pub problems: Vec<String>,
    /// What runs.
    pub components: Vec<Component>,
    /// Certificates, those that expire first before the others.
    pub certificates: Vec<Certificate>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

/// What the API told.
#[derive(Default)]
struct Told {
    has_answered: bool,
    pods: Vec<Pod>,
    leases: Vec<Lease>,
    daemon_sets: Vec<DaemonSet>,
    deployments: Vec<Deployment>,
    secrets: Vec<Secret>,
    unseen: Vec<String>,
}

/// Asks the API behind `access`, and looks for etcd's certificates in the folder `etcd_keys` of this machine.
///
/// # Errors
/// The credentials make no connection. An API that does not answer is a problem of the cluster and no error.
pub async fn status(
    access: &Access,
    etcd_keys: &Path,
    now: OffsetDateTime,
) -> Result<Status, cluster::Error> {
    let server = access.server.as_str().trim_end_matches('/').to_owned();
    let client = connect::connect(access, None)?;
    let (first, told) = match connect::probe(access, None, "/readyz").await? {
        Readyz::Ready => (None, ask(&client).await),
        Readyz::NotReady { status, lines } => {
            let why = lines.join("; ");
            (Some(format!("the API at {server} is not ready ({status}): {why}")), ask(&client).await)
        }
        Readyz::Unreachable(why) => {
            let unseen = vec!["everything that the API would tell".to_owned()];
            (Some(format!("the API at {server} does not answer: {why}")), Told { unseen, ..Told::default() })
        }
    };
    let of_components = if told.has_answered { components::problems(&told, now) } else { Vec::new() };
    let certificates =
        certificates::certificates(access, &told.secrets, &components::agents(&told), etcd_keys);
    let of_certificates = certificates.iter().filter_map(|certificate| certificate.problem(now));
    let problems = first.into_iter().chain(of_components).chain(of_certificates).collect();
    let components = components::components(&told);
    Ok(Status { server, problems, components, certificates, unseen: told.unseen })
}

async fn ask(client: &Client) -> Told {
    let mut unseen = Vec::new();
    let (pods, leases, daemon_sets, deployments, secrets) =
        futures::join!(list(client), list(client), list(client), list(client), list(client));
    Told {
        has_answered: true,
        pods: keep("pods", pods, &mut unseen),
        leases: keep("leases", leases, &mut unseen),
        daemon_sets: keep("DaemonSets", daemon_sets, &mut unseen),
        deployments: keep("Deployments", deployments, &mut unseen),
        secrets: keep("Secrets", secrets, &mut unseen),
        unseen,
    }
}

/// All objects of a kind in kube-system; else why not.
async fn list<K>(client: &Client) -> Result<Vec<K>, String>
where
    K: Kind + Resource<Scope = NamespaceResourceScope>,
{
    let objects = Objects::namespaced(client, NAMESPACE);
    let params = ListParams::default();
    match tokio::time::timeout(TIMEOUT, objects.list(&params)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(describe(&error)),
        Err(_) => Err(format!("no answer within {} s", TIMEOUT.as_secs())),
    }
}

fn keep<K>(what: &str, listed: Result<Vec<K>, String>, unseen: &mut Vec<String>) -> Vec<K> {
    listed.unwrap_or_else(|why| {
        unseen.push(format!("{what} of {NAMESPACE}: {why}"));
        Vec::new()
    })
}
