//! DaemonSets and Deployments: whether the present pod template runs, proved by pods.
//!
//! The status of a workload is what its controller saw some time ago, and a readiness probe of a shared port may
//! be answered by the older process. So a workload is ready when three things hold: its status has caught up with
//! its generation, pods of its present template are Ready and not terminating, and no older pod of a Deployment
//! can have answered for them. Those pods are returned, so that a hand-over can examine them further.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::pods::{is_pod_of, is_ready_pod};
use super::wait::{Progress, Watched, Workloads};

/// Counts the templates of a DaemonSet; on the set and, as a label, on its pods.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
const POD_TEMPLATE_GENERATION: &str = "pod-template-generation";
/// Names a template of a DaemonSet: a label of its pods and of the revision that holds the template.
const REVISION_HASH: &str = "controller-revision-hash";
/// Counts the templates of a Deployment; on it and on its ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Kinds of workload that render makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One pod for each node.
    DaemonSet,
    /// A number of pods.
    Deployment,
}

/// A workload that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How many of its pods are needed.
    pub need: Need,
}

impl Wanted {
    fn about(&self, why: &str) -> String {
        format!("{:?} {}/{}: {why}", self.kind, self.namespace, self.name)
    }
}

/// How many pods of a workload are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Every pod it asks for.
    All,
    /// At least one on any node: the other machines may not have joined yet.
    One,
    /// The one on this node.
    OnNode(String),
}

/// A pod that proves that a workload is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyPod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its node.
    pub node: String,
}

/// Whether the DaemonSet's controller has put the present template everywhere; if not, why.
pub fn is_daemon_set_rolled_out(set: &DaemonSet) -> Result<(), String> {
    let status = set.status.as_ref().ok_or("its controller has not seen it yet")?;
    caught_up(set.metadata.generation, status.observed_generation)?;
    let desired = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or(0);
    match () {
        () if desired == 0 => Err("no node matches its selector".into()),
        () if updated < desired => Err(format!("{updated} of {desired} pods have the present template")),
        () if status.number_ready < desired => {
            Err(format!("{} of {desired} pods are ready", status.number_ready))
        }
        () => Ok(()),
    }
}

/// Whether the Deployment's controller has replaced every pod by one of the present template; if not, why.
pub fn is_deployment_rolled_out(deployment: &Deployment) -> Result<(), String> {
    let status = deployment.status.as_ref().ok_or("its controller has not seen it yet")?;
    caught_up(deployment.metadata.generation, status.observed_generation)?;
    let wanted = replicas(deployment);
    let updated = status.updated_replicas.unwrap_or(0);
    let ready = status.ready_replicas.unwrap_or(0);
    if updated < wanted {
        return Err(format!("{updated} of {wanted} pods have the present template"));
    }
    is_replaced(deployment)?;
    if ready < wanted {
        return Err(format!("{ready} of {wanted} pods are ready"));
    }
    Ok(())
}

/// Whether the Deployment's controller has removed every pod of an earlier template; if not, why. It does so once a
/// newer pod has been ready for `minReadySeconds`. Until then the older pod may answer the newer one's probe, since
/// they share a port.
fn is_replaced(deployment: &Deployment) -> Result<(), String> {
    let count = |count: fn(&DeploymentStatus) -> Option<i32>| deployment.status.as_ref().and_then(count);
    let earlier =
        count(|status| status.replicas).unwrap_or(0) - count(|status| status.updated_replicas).unwrap_or(0);
    match earlier {
        ..=0 => Ok(()),
        1 => Err("a pod of an earlier template still runs".into()),
        _ => Err(format!("{earlier} pods of an earlier template still run")),
    }
}

fn caught_up(generation: Option<i64>, observed: Option<i64>) -> Result<(), String> {
    match observed.unwrap_or(0) >= generation.unwrap_or(0) {
        true => Ok(()),
        false => Err("its controller has not seen the present template yet".into()),
    }
}

fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Whether `pod` has the present template of `set`. After an edit was undone, a pod that never made way has it, too,
/// although it was created at an earlier generation: its hash is that of the newest revision.
fn is_of_present_template(set: &DaemonSet, pod: &Pod, revisions: &Watched<ControllerRevision>) -> bool {
    match (set.annotations().get(TEMPLATE_GENERATION), pod.labels().get(POD_TEMPLATE_GENERATION)) {
        (Some(present), Some(of_pod)) if present != of_pod => {
            // The status comes after the revision. Where it misses a pod, the revision may be yet to arrive.
            let hash = present_hash(set, revisions).filter(|_| has_updated_all(set));
            hash.is_some() && hash == pod.labels().get(REVISION_HASH)
        }
        _ => true, // without either, the status decides
    }
}

fn present_hash<'a>(set: &DaemonSet, revisions: &'a Watched<ControllerRevision>) -> Option<&'a String> {
    let uid = set.uid()?;
    let is_ours = |one: &&ControllerRevision| one.owner_references().iter().any(|owner| owner.uid == uid);
    revisions.iter().filter(is_ours).max_by_key(|one| one.revision)?.labels().get(REVISION_HASH)
}

fn has_updated_all(set: &DaemonSet) -> bool {
    set.status
        .as_ref()
        .is_some_and(|status| status.updated_number_scheduled.unwrap_or(0) >= status.desired_number_scheduled)
}

/// The ReplicaSet that holds the present template of `deployment`.
pub fn present_replica_set<'a>(
    deployment: &Deployment,
    sets: &'a Watched<ReplicaSet>,
) -> Option<&'a ReplicaSet> {
    let uid = deployment.uid()?;
    let revision = deployment.annotations().get(REVISION)?;
    sets.iter().find(|set| {
        let is_ours = set.owner_references().iter().any(|owner| owner.uid == uid);
        is_ours && set.annotations().get(REVISION) == Some(revision)
    })
}

/// Whether `wanted` is ready, by the pods that prove it; if not, the first reason.
pub fn is_ready(wanted: &Wanted, seen: &Workloads) -> Progress<Vec<ReadyPod>> {
    is_proved(wanted, seen, is_ready_pod)
}

/// As [`is_ready`], but `is_proof` judges each pod.
pub fn is_proved(wanted: &Wanted, seen: &Workloads, is_proof: Proof) -> Progress<Vec<ReadyPod>> {
    let found = match wanted.kind {
        Kind::DaemonSet => daemon_set_pods(wanted, seen),
        Kind::Deployment => deployment_pods(wanted, seen),
    };
    match found.map_err(|why| wanted.about(&why)).and_then(|found| prove(wanted, found, is_proof)) {
        Ok(pods) => Progress::Done(pods),
        Err(why) => Progress::Not(why),
    }
}

/// Whether a pod counts as proof; if not, why.
pub type Proof = fn(&Pod) -> Result<(), String>;

/// What is known about a workload.
struct Found<'a> {
    /// How many pods it asks for.
    asked: usize,
    /// Whether it is rolled out, by its status.
    claim: Result<(), String>,
    /// Whether no pod of an earlier template can answer for them.
    replaced: Result<(), String>,
    /// Its pods of the present template.
    pods: Vec<&'a Pod>,
}

fn daemon_set_pods<'a>(wanted: &Wanted, seen: &'a Workloads) -> Result<Found<'a>, String> {
    let set = seen.daemon_sets.get(&wanted.namespace, &wanted.name).ok_or("is not there")?;
    let status = set.status.as_ref().ok_or("its controller has not seen it yet")?;
    caught_up(set.metadata.generation, status.observed_generation)?;
    let uid = set.uid().unwrap_or_default();
    let is_present = |pod: &Pod| is_of_present_template(set, pod, &seen.revisions);
    let pods = seen.pods.iter().filter(|pod| is_pod_of(&uid, pod) && is_present(pod));
    Ok(Found {
        asked: usize::try_from(status.desired_number_scheduled).unwrap_or(0),
        claim: is_daemon_set_rolled_out(set),
        replaced: Ok(()), // a node has one pod of it at a time, or the newer pod has a readiness gate
        pods: pods.collect(),
    })
}

fn deployment_pods<'a>(wanted: &Wanted, seen: &'a Workloads) -> Result<Found<'a>, String> {
    let deployment = seen.deployments.get(&wanted.namespace, &wanted.name).ok_or("is not there")?;
    let status = deployment.status.as_ref().ok_or("its controller has not seen it yet")?;
    caught_up(deployment.metadata.generation, status.observed_generation)?;
    let set = present_replica_set(deployment, &seen.replica_sets).ok_or("its ReplicaSet is not there yet")?;
    let uid = set.uid().unwrap_or_default();
    Ok(Found {
        asked: usize::try_from(replicas(deployment)).unwrap_or(0),
        claim: is_deployment_rolled_out(deployment),
        replaced: is_replaced(deployment),
        pods: seen.pods.iter().filter(|pod| is_pod_of(&uid, pod)).collect(),
    })
}

/// The pods that prove it; else why there are too few. A pod is named without its workload, which its name shows.
fn prove(wanted: &Wanted, found: Found<'_>, is_proof: Proof) -> Result<Vec<ReadyPod>, String> {
    let Found { asked, claim, replaced, pods } = found;
    let need = &wanted.need;
    let here = |pod: &&&Pod| match need {
        Need::OnNode(node) => node_of(pod) == node,
        Need::All | Need::One => true,
    };
    let candidates: Vec<_> = pods.iter().filter(here).collect();
    let ready: Vec<_> = candidates.iter().filter(|pod| is_proof(pod).is_ok()).map(|pod| proof(pod)).collect();
    let enough = if *need == Need::All { asked.max(1) } else { 1 };
    if ready.len() < enough {
        let trouble = candidates.iter().find_map(|pod| is_proof(pod).err().map(|why| (pod, why)));
        return Err(match (trouble, need) {
            (Some((pod, why)), _) => format!("pod {} {why}", pod.name_any()),
            (None, Need::OnNode(node)) => wanted.about(&format!("no pod on node {node} yet")),
            (None, _) if asked == 0 => {
                wanted.about(&claim.err().unwrap_or_else(|| "asks for no pods".into()))
            }
            (None, _) => wanted.about(&format!("{} of {enough} pods are there", ready.len())),
        });
    }
    let said = if *need == Need::All { claim } else { replaced };
    said.map_err(|why| wanted.about(&why)).map(|()| ready)
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

fn proof(pod: &Pod) -> ReadyPod {
    ReadyPod { name: pod.name_any(), uid: pod.uid().unwrap_or_default(), node: node_of(pod).to_owned() }
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
