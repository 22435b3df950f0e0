//! What an API that has just come back still says of the time before: after a power cut, or with the etcd of a machine that is no more.
//!
//! Pods are Ready in it that nobody runs, leases are held by processes that have ended, nodes are alive that are not. Whoever believed it
//! would take the bootstrap control plane away and leave nothing. So, before anything is waited for:
//!
//! - The pods of the control plane on this machine are told to be unready. Kubelet, which knows, says otherwise within ten seconds.
//! - Those on a machine whose kubelet has been silent for a minute, or which has no node, are removed, so that others take their place.
//!   The control plane keeps no state in its pods, and its leaders are elected: one that lives on unseen does no harm.
//! - A leader's lease that ran out is let go, which spares its successor the same wait again.
//!
//! A cluster that is born has none of this. Nodes stay: kubelet registers under its own name again, and the controller manager sees to the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::required::Required;
use crate::FIELD_MANAGER;
use crate::cluster::node::is_node_at;
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::{self, lease, pods};
use crate::handover::SERVING;
use crate::host::addresses;
use crate::phase::{Error, Progress};

/// Where kubelets say that they live.
const HEARTBEATS: &str = "kube-node-lease";
/// Silence after which a machine is not waited for: kubelets speak every ten seconds, and the controller manager gives up after fifty.
const SILENCE: Duration = Duration::from_secs(60);
/// What kubelet alone knows about a pod.
const CONDITIONS: [&str; 3] = ["Ready", "ContainersReady", SERVING];

/// What there is to know of machines.
struct Machines {
    /// Names of this machine's nodes.
    own: BTreeSet<String>,
    /// Names of nodes that are alive.
    alive: BTreeSet<String>,
}

/// Clears it away. `required` are the workloads whose pods will be believed, `leaders` the leases.
pub async fn clear(
    client: &Client,
    required: &[Required],
    leaders: &[&str],
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let now = Timestamp::now();
    let machines = machines(client, now).await?;
    let namespaces: BTreeSet<&str> = required.iter().map(|required| required.namespace.as_str()).collect();
    for namespace in namespaces {
        let pods: Objects<Pod> = Objects::namespaced(client, namespace);
        let mut found = list(&pods).await?;
        found.retain(|pod| {
            required.iter().any(|required| required.namespace == namespace && required.names(pod))
        });
        for pod in found {
            clear_pod(&pods, &pod, &machines, progress).await?;
        }
    }
    for name in leaders {
        let leader = lease::leader(client, name).await?;
        if let Some(leader) = leader.filter(|leader| has_run_out(leader, now)) {
            lease::release_lease(client, name, &leader.holder).await?;
            progress.info(format!("the lease of {name} was let go: {} has not renewed it", leader.holder));
        }
    }
    Ok(())
}

/// What is to become of a pod.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Unready,
    Removed,
}

fn fate(pod: &Pod, machines: &Machines) -> Fate {
    let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) else { return Fate::Stays };
    let is_ready = pods::condition(pod, "Ready").is_some_and(|condition| condition.status == "True");
    match (machines.own.contains(node), machines.alive.contains(node)) {
        (true, _) if is_ready => Fate::Unready,
        (true, _) | (false, true) => Fate::Stays,
        (false, false) => Fate::Removed,
    }
}

async fn clear_pod(
    pods: &Objects<Pod>,
    pod: &Pod,
    machines: &Machines,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let name = pod.name_any();
    let done = match fate(pod, machines) {
        Fate::Stays => return Ok(()),
        Fate::Unready => {
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            pods.bare.patch_status(&name, &params, &Patch::Strategic(unready(pod))).await.map(drop)
        }
        Fate::Removed => {
            progress.info(format!("pod {name} is removed: its machine is silent"));
            pods.bare.delete(&name, &DeleteParams::default().grace_period(0)).await.map(drop)
        }
    };
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()), // somebody else did
        done => Ok(done.map_err(|error| cluster::Error::refused("clear", format!("pod {name}"), &error))?),
    }
}

/// Every condition that says more than anybody knows.
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

async fn machines(client: &Client, now: Timestamp) -> Result<Machines, Error> {
    let local = addresses::local()
        .map_err(|source| Error::Host { act: "list the addresses of this machine", source })?;
    let nodes = list(&Objects::<Node>::all(client)).await?;
    let own = nodes.iter().filter(|node| is_node_at(&local, node)).map(ResourceExt::name_any).collect();
    let beats: Vec<Lease> = list(&Objects::namespaced(client, HEARTBEATS)).await?;
    let beat = |lease: &Lease| Some((lease.name_any(), lease.spec.as_ref()?.renew_time.as_ref()?.0));
    let beats: BTreeMap<String, Timestamp> = beats.iter().filter_map(beat).collect();
    let is_alive = |name: &String| beats.get(name).is_some_and(|beat| !is_older(*beat, SILENCE, now));
    let alive = nodes.iter().map(ResourceExt::name_any).filter(is_alive).collect();
    Ok(Machines { own, alive })
}

/// By the clocks of whoever wrote and of this machine.
fn has_run_out(leader: &lease::Leader, now: Timestamp) -> bool {
    // The longest that one of ours is held without being renewed, and some patience with clocks.
    leader.renewed.as_ref().is_none_or(|renewed| is_older(renewed.0, Duration::from_secs(20), now))
}

fn is_older(moment: Timestamp, than: Duration, now: Timestamp) -> bool {
    u64::try_from(now.as_second() - moment.as_second()).is_ok_and(|seconds| seconds > than.as_secs())
}

async fn list<K: Kind>(objects: &Objects<K>) -> Result<Vec<K>, Error> {
    let found = objects.list(&ListParams::default()).await;
    Ok(found.map_err(|error| cluster::Error::refused("list", K::plural(&()), &error))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(node: &str, ready: &str) -> Pod {
        let spec = json!({"containers": [], "nodeName": node});
        let conditions = json!([{"type": "Ready", "status": ready}, {"type": SERVING, "status": "True"}]);
        serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": spec, "status": {"conditions": conditions}}),
        )
        .unwrap()
    }

    #[test]
    fn pods_of_this_machine_are_unready_until_kubelet_speaks_and_those_of_silent_ones_go() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let machines = Machines { own: names(&["own"]), alive: names(&["own", "other"]) };
        let fate = |node: &str, ready: &str| fate(&pod(node, ready), &machines);
        assert_eq!(fate("own", "True"), Fate::Unready);
        assert_eq!(fate("own", "False"), Fate::Stays);
        assert_eq!(fate("other", "True"), Fate::Stays);
        assert_eq!(fate("silent", "True"), Fate::Removed);
        assert_eq!(fate("silent", "False"), Fate::Removed);
    }

    #[test]
    fn only_conditions_that_hold_are_taken_back() {
        let patch = unready(&pod("own", "True"));
        let kinds: Vec<_> =
            patch["status"]["conditions"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
        assert_eq!(kinds, ["Ready", SERVING]);
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nobody_silent() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(is_older(at(0), SILENCE, at(61)));
        assert!(!is_older(at(0), SILENCE, at(60)) && !is_older(at(100), SILENCE, at(0)));
    }
}
