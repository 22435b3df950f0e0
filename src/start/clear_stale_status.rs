//! Corrects what an API that has just come back still says of the time before: after a power cut,
//! or with the etcd of another machine.
//!
//! Such an API has pods as Ready that do not run, and leases of processes that have ended. If
//! `start` believed it, it would remove the bootstrap control plane too early. So before it waits:
//!
//! - Required pods of this machine are marked not Ready. Kubelet corrects that within ten seconds.
//! - Pods of workloads that bootkube renders are deleted on machines that are gone, so that new
//!   ones are created: they keep no state. A machine is gone if it has no Node, or if its kubelet
//!   does not renew its lease in the time for which that is good.
//! - Leases that leaders of this machine let run out are released: the next need not wait for them.
//!
//! Times of other machines are never compared with the clock of this one. Nodes stay, because
//! kubelet registers under its own name again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::error::Error;
use super::required::Required;
use crate::cluster::node::is_node_at;
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::wait::{self, Scope, wait_for};
use crate::cluster::{self, lease, pods};
use crate::handover::SERVING;
use crate::phase::{Act, LEADERS, Progress, Verb, local_addresses};
use crate::{FIELD_MANAGER, NAMESPACE};

/// Namespace in which kubelets renew their leases.
const HEARTBEATS: &str = "kube-node-lease";
/// How long a kubelet's lease is good. Kubelets renew theirs every ten seconds.
const SILENCE: Duration = Duration::from_secs(40);
/// Longer than a rendered leader holds its lease without renewing it.
const LEASE: Duration = Duration::from_secs(20);
/// What only kubelet knows about a pod.
const CONDITIONS: [&str; 3] = ["Ready", "ContainersReady", SERVING];
/// Workloads that bootkube renders, by the kind of their pods' owner.
const CONTROL_PLANE: [(&str, &str); 4] = [
    ("DaemonSet", "kube-apiserver"),
    ("DaemonSet", "pod-checkpointer"),
    ("ReplicaSet", "kube-controller-manager"),
    ("ReplicaSet", "kube-scheduler"),
];

/// What the API wrongly says.
pub enum Stale {
    /// A pod of this machine is Ready, but its kubelet has not reported since.
    Ready(Box<Pod>),
    /// A pod of the control plane is on a machine that is gone.
    Lost(Box<Pod>),
    /// A process of this machine that has ended holds a lease.
    Held {
        /// Name of the lease.
        lease: &'static str,
        /// Its holder.
        holder: String,
    },
}

impl Stale {
    /// The act that corrects it.
    pub fn act(&self) -> Act {
        let name = |pod: &Pod| format!("Pod {}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        match self {
            Self::Ready(pod) => Act::new(Verb::MarkUnready, name(pod)),
            Self::Lost(pod) => Act::new(Verb::Delete, name(pod)).because("its machine is gone"),
            Self::Held { lease, holder } => Act::new(Verb::Release, format!("Lease {NAMESPACE}/{lease}"))
                .because(format!("{holder} has ended")),
        }
    }
}

/// Looks for it in pods of `required` workloads; takes up to [`SILENCE`] if nodes do not report.
pub async fn find(
    client: &Client,
    required: &[Required],
    waiting: &dyn Fn(String),
) -> Result<Vec<Stale>, Error> {
    let local = local_addresses()?;
    let nodes = list(&Objects::<Node>::all(client)).await?;
    let own: BTreeSet<String> =
        nodes.iter().filter(|node| is_node_at(&local, node)).map(ResourceExt::name_any).collect();
    let found = required_pods(client, required).await?;
    let is_own = |pod: &Pod| node_of(pod).is_some_and(|node| own.contains(node));
    let lost = |pod: &Pod| is_control_plane(pod) && node_of(pod).is_some() && !is_own(pod);
    let elsewhere: BTreeSet<String> =
        found.iter().filter(|pod| lost(pod)).filter_map(node_of).map(str::to_owned).collect();
    let known = nodes.iter().map(ResourceExt::name_any);
    let suspects: BTreeSet<String> = known.filter(|name| elsewhere.contains(name)).collect();
    let alive = alive(client, suspects, waiting).await;
    let mut stale = Vec::new();
    for pod in found {
        match node_of(&pod) {
            Some(node) if own.contains(node) && is_ready(&pod) => stale.push(Stale::Ready(Box::new(pod))),
            Some(node) if lost(&pod) && !alive.contains(node) => stale.push(Stale::Lost(Box::new(pod))),
            _ => {}
        }
    }
    stale.extend(held_leases(client, &own).await?);
    Ok(stale)
}

/// Corrects it.
pub async fn clear(client: &Client, required: &[Required], progress: &Progress<'_>) -> Result<(), Error> {
    for stale in find(client, required, &|why| progress.waiting(why)).await? {
        match &stale {
            Stale::Ready(pod) => mark_unready(client, pod).await?,
            Stale::Lost(pod) => {
                progress.info(format!("deletes pod {}: its machine is gone", pod.name_any()));
                delete(client, pod).await?;
            }
            Stale::Held { lease, holder } => {
                lease::release_lease(client, lease, holder).await?;
                progress.info(format!("released the lease of {lease}: {holder} has ended"));
            }
        }
        progress.did(stale.act());
    }
    Ok(())
}

async fn required_pods(client: &Client, required: &[Required]) -> Result<Vec<Pod>, Error> {
    let namespaces: BTreeSet<&str> = required.iter().map(|required| required.namespace.as_str()).collect();
    let mut found = Vec::new();
    for namespace in namespaces {
        let here = |pod: &Pod| required.iter().any(|one| one.namespace == namespace && one.names(pod));
        let all: Vec<Pod> = list(&Objects::namespaced(client, namespace)).await?;
        found.extend(all.into_iter().filter(here));
    }
    Ok(found)
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

fn is_ready(pod: &Pod) -> bool {
    pods::condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// Whether `pod` belongs to a workload that bootkube renders. A common prefix is not enough.
fn is_control_plane(pod: &Pod) -> bool {
    let hash = pod.labels().get("pod-template-hash").map(String::as_str).unwrap_or_default();
    let owns = |kind: &str, owner: &str| {
        CONTROL_PLANE.iter().any(|(known, name)| match *known {
            "ReplicaSet" => {
                kind == *known && owner.strip_prefix(name).is_some_and(|rest| rest == format!("-{hash}"))
            }
            _ => kind == *known && owner == *name,
        })
    };
    pod.namespace().as_deref() == Some(NAMESPACE)
        && pod
            .owner_references()
            .iter()
            .any(|owner| owner.controller == Some(true) && owns(&owner.kind, &owner.name))
}

/// The nodes among `suspects` whose kubelets renew their leases within [`SILENCE`].
async fn alive(client: &Client, suspects: BTreeSet<String>, waiting: &dyn Fn(String)) -> BTreeSet<String> {
    let mut watched = Watched::default();
    if suspects.is_empty() {
        return watched.alive;
    }
    let is_done = |seen: &wait::Watched<Lease>| {
        watched.see(
            seen.iter()
                .filter_map(|lease| Some((lease.name_any(), lease.spec.as_ref()?.renew_time.clone()?))),
        );
        match suspects.iter().find(|name| !watched.alive.contains(*name)) {
            None => wait::Progress::Done(()),
            Some(silent) => {
                wait::Progress::Not(format!("the kubelet of {silent} has not renewed its lease yet"))
            }
        }
    };
    let leases: Objects<Lease> = Objects::namespaced(client, HEARTBEATS);
    let mut told: Vec<String> = Vec::new();
    let mut tell = |why: &str| told.push(why.to_owned());
    let wait = wait_for(leases, Scope::default(), is_done, &mut tell);
    waiting(format!("looks for {} s whether kubelets of other machines are alive", SILENCE.as_secs()));
    if tokio::time::timeout(SILENCE, wait).await.is_err() {
        tracing::debug!(?told, "not every kubelet is alive");
    }
    watched.alive
}

/// Leases that were renewed since they were first seen. This compares no clocks.
#[derive(Default)]
struct Watched {
    first: BTreeMap<String, MicroTime>,
    alive: BTreeSet<String>,
}

impl Watched {
    fn see(&mut self, leases: impl Iterator<Item = (String, MicroTime)>) {
        for (name, renewed) in leases {
            let first = self.first.entry(name.clone()).or_insert_with(|| renewed.clone());
            if *first != renewed {
                self.alive.insert(name);
            }
        }
    }
}

/// Leases of processes of this machine that ran out long ago. The clock of this machine wrote them.
async fn held_leases(client: &Client, own: &BTreeSet<String>) -> Result<Vec<Stale>, Error> {
    let (now, mut held) = (Timestamp::now(), Vec::new());
    for lease in LEADERS {
        if let Some(leader) = lease::leader(client, lease).await?.filter(|leader| has_ended(leader, own, now))
        {
            held.push(Stale::Held { lease, holder: leader.holder });
        }
    }
    Ok(held)
}

/// The identity of a leader is the machine's name and an id of the process, joined by `_`.
fn has_ended(leader: &lease::Leader, own: &BTreeSet<String>, now: Timestamp) -> bool {
    let is_own = leader.holder.rsplit_once('_').is_some_and(|(machine, _)| own.contains(machine));
    is_own && leader.renewed.as_ref().is_none_or(|renewed| is_older(renewed.0, LEASE, now))
}

fn is_older(moment: Timestamp, than: Duration, now: Timestamp) -> bool {
    u64::try_from(now.as_second() - moment.as_second()).is_ok_and(|seconds| seconds > than.as_secs())
}

async fn mark_unready(client: &Client, pod: &Pod) -> Result<(), Error> {
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let pods = pods_beside(client, pod);
    cleared(
        pod,
        pods.bare.patch_status(&pod.name_any(), &params, &Patch::Strategic(unready(pod))).await.map(drop),
    )
}

async fn delete(client: &Client, pod: &Pod) -> Result<(), Error> {
    let params = DeleteParams::default().grace_period(0);
    cleared(pod, pods_beside(client, pod).bare.delete(&pod.name_any(), &params).await.map(drop))
}

fn pods_beside(client: &Client, pod: &Pod) -> Objects<Pod> {
    Objects::namespaced(client, &pod.namespace().unwrap_or_default())
}

/// A pod that does not exist any more counts as corrected.
fn cleared(pod: &Pod, done: kube::Result<()>) -> Result<(), Error> {
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        done => {
            let refused = |error| cluster::Error::refused("clear", format!("pod {}", pod.name_any()), &error);
            Ok(done.map_err(refused)?)
        }
    }
}

/// The status of a pod without what only kubelet knows.
fn unready(pod: &Pod) -> serde_json::Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let holds = |kind: &&&str| pods::condition(pod, kind).is_some_and(|condition| condition.status == "True");
    let condition = |kind: &&str| {
        json!({
            "type": kind, "status": "False", "reason": "NotSeenYet", "lastTransitionTime": now,
            "message": "the API was away; kubelet has not said anything since",
        })
    };
    json!({"status": {"conditions": CONDITIONS.iter().filter(holds).map(condition).collect::<Vec<_>>()}})
}

async fn list<K: Kind>(objects: &Objects<K>) -> Result<Vec<K>, Error> {
    let found = objects.list(&ListParams::default()).await;
    Ok(found.map_err(|error| cluster::Error::refused("list", K::plural(&()), &error))?)
}

#[cfg(test)]
#[path = "clear_stale_status_tests.rs"]
mod tests;
