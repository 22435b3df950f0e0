//! From what API, runtime and disk say to an observation. Pure.
//!
//! A pod is healthy if kubelet's status says so, of the very containers that the runtime has: after
//! a boot the API still holds the status of the containers before it. Kubelet itself is not asked:
//! without an API it authorizes only clients that it has authorized minutes before. Where the
//! runtime has a sandbox for a pod, kubelet has the pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

use super::cluster::{Known, View};
use super::runtime::Local;
use crate::NAMESPACE;
use crate::checkpoint::observed::{Api, Disk, Kubelet, Observation, Observed, Offer, Parent};
use crate::checkpoint::parent::{self, Owner};
use crate::checkpoint::store::Listing;
use crate::checkpoint::{Id, Role};
use crate::cluster::pods::condition;

/// What one look at the API, the runtime and the disk gave.
pub struct Look<'s> {
    /// The agent's own workload.
    pub own: &'s Id,
    /// Name of this machine's node.
    pub node: &'s str,
    /// What the API says.
    pub known: &'s Known<'s>,
    /// What the runtime says; `None` if it did not answer.
    pub local: Option<&'s [Local]>,
    /// What is on disk; `None` if it cannot be read.
    pub listing: Option<&'s Listing>,
}

/// The same, and what it means for each pod and each workload: derived once a round.
pub struct Seen<'s> {
    look: Look<'s>,
    /// Every pod that the API has shown, the newest last.
    pods: Vec<SeenPod<'s>>,
    workloads: BTreeMap<Id, Workload>,
    /// What the API says of [`orphans`](Self::orphans), as far as it was asked and answered.
    pub asked: BTreeMap<Id, Api>,
}

/// A pod of the API.
pub struct SeenPod<'s> {
    /// The pod.
    pub pod: &'s Pod,
    /// The workload that it is of.
    pub id: Id,
    /// Its role.
    pub role: Role,
    /// What runs of it on this machine, if it is healthy.
    pub healthy: Option<&'s Local>,
    owner: Owner,
    is_parent: bool,
}

/// A workload of this machine.
struct Workload {
    owner: Owner,
    role: Role,
    /// What it runs, if that is a component of the control plane.
    component: Option<&'static str>,
}

impl<'s> Seen<'s> {
    /// Derives everything from `look`.
    pub fn new(look: Look<'s>) -> Self {
        let mut pods: Vec<_> = look.known.all_pods().map(|pod| look.pod(pod)).collect();
        pods.sort_by_key(|seen| (seen.pod.creation_timestamp(), seen.pod.uid()));
        let workloads = look.workloads(&pods);
        Self { look, pods, workloads, asked: BTreeMap::new() }
    }

    /// Puts it together; `offers` are the pods that copies may be made of.
    pub fn observation(&self, offers: &BTreeMap<Id, Offer>) -> Observation {
        let workloads = self.workloads.iter();
        workloads.map(|(id, workload)| (id.clone(), self.observed(id, workload, offers.get(id)))).collect()
    }

    fn observed(&self, id: &Id, workload: &Workload, offer: Option<&Offer>) -> Observed {
        let Workload { owner, role, component } = *workload;
        Observed {
            role,
            api: self.word(id, owner),
            parent: self.parent(id, component),
            kubelet: self.kubelet(id),
            disk: self.look.listing.map(|listing| disk(listing, id)),
            offer: offer.cloned(),
        }
    }

    /// Pods of this machine that ask to be kept, the newest last.
    pub fn parents(&self) -> impl Iterator<Item = &SeenPod<'s>> {
        self.pods.iter().filter(|seen| seen.is_parent)
    }

    /// Whether `id` is the agent's own workload.
    pub fn is_own(&self, id: &Id) -> bool {
        id == self.look.own
    }

    /// Whether the API answers.
    pub fn has_api(&self) -> bool {
        self.look.known.node.is_some()
    }

    /// What the API says of a workload.
    fn word(&self, id: &Id, owner: Owner) -> Api {
        let Look { known, node: name, .. } = self.look;
        let Some(node) = known.node.as_ref() else { return Api::Unknown };
        if known.view == View::Worker || id.namespace != NAMESPACE {
            return self.word_on_local(id, owner);
        }
        let pods = self.pods.iter().filter(|seen| (&seen.id, seen.owner) == (id, owner)).map(|seen| seen.pod);
        match owner {
            Owner::DaemonSet => {
                let set = known.daemon_sets.iter().find(|set| set.name_any() == id.name);
                parent::word_on_daemon_set(set, pods, node)
            }
            Owner::Deployment => {
                let found = known.deployments.iter().find(|it| it.name_any() == id.name);
                parent::word_on_deployment(found, pods, name)
            }
            Owner::Itself => {
                let pod = known.pods.iter().find(|pod| pod.name_any() == id.name);
                parent::word_on_pod(pod, name)
            }
        }
    }

    /// What the API says of a workload of which only pods of this machine are watched.
    fn word_on_local(&self, id: &Id, owner: Owner) -> Api {
        let known = self.look.known;
        if known.local.is_none() {
            return Api::Unknown;
        }
        match self.parents().any(|seen| (&seen.id, seen.owner) == (id, owner)) {
            true => Api::Here,
            false if known.view == View::Worker => Api::Gone,
            false => self.asked.get(id).copied().unwrap_or(Api::Unknown),
        }
    }

    /// Workloads of other namespaces that have a copy and no pod here. Their owners are not
    /// watched, so the API has to be asked whether they are still wanted.
    pub fn orphans(&self) -> Vec<(Id, Owner)> {
        let known = self.look.known;
        if known.node.is_none() || known.local.is_none() || known.view == View::Worker {
            return Vec::new();
        }
        let is_orphan = |id: &Id, workload: &Workload| {
            id.namespace != NAMESPACE && self.word_on_local(id, workload.owner) == Api::Unknown
        };
        let orphans = self.workloads.iter().filter(|(id, workload)| is_orphan(id, workload));
        orphans.map(|(id, workload)| (id.clone(), workload.owner)).collect()
    }

    /// The state of the healthiest pod, by the runtime. A stopped pod counts as replaced where a
    /// static pod of another program runs its component, as in a pivot that was cut off: kubelet
    /// starts that one, and of two apiservers that start at the same time one fails.
    fn parent(&self, id: &Id, component: Option<&str>) -> Parent {
        let Some(local) = self.look.local else { return Parent::Unknown };
        let running = || local.iter().filter(|local| local.id == *id && !local.running.is_empty());
        let is_healthy = |local: &Local| {
            self.pods.iter().any(|seen| seen.healthy.is_some_and(|healthy| healthy.uid == local.uid))
        };
        let stand_ins = self.look.listing.zip(component);
        let has_stand_in =
            || stand_ins.is_some_and(|(listing, component)| listing.stand_ins.contains(component));
        match (running().next(), running().any(is_healthy)) {
            (None, _) if has_stand_in() => Parent::Unhealthy,
            (None, _) => Parent::Stopped,
            (Some(_), true) => Parent::Healthy,
            (Some(_), false) => Parent::Unhealthy,
        }
    }

    fn kubelet(&self, id: &Id) -> Kubelet {
        match self.look.local {
            None => Kubelet::Unknown,
            Some(local) if local.iter().any(|local| local.id == *id) => Kubelet::Lists,
            Some(_) => Kubelet::Lacks,
        }
    }

    /// Whether there is certainly no copy of a workload.
    pub fn has_none(&self, id: &Id) -> bool {
        self.look.listing.is_some_and(|listing| disk(listing, id).kept.is_none())
    }
}

impl<'s> Look<'s> {
    fn pod(&self, pod: &'s Pod) -> SeenPod<'s> {
        let (id, owner) = parent::workload(pod);
        let role = self.role(&id, pod);
        let uid = pod.metadata.uid.as_ref();
        let local = self.local.into_iter().flatten().find(|local| uid == Some(&local.uid));
        let healthy = local.filter(|local| is_healthy(pod, local, role));
        SeenPod { pod, id, role, healthy, owner, is_parent: parent::is_parent(pod, self.node) }
    }

    /// Workloads of which there is a copy, or a pod that asks for one. What a pod says is newer
    /// than what the copy says.
    fn workloads(&self, pods: &[SeenPod<'_>]) -> BTreeMap<Id, Workload> {
        let mut found = BTreeMap::new();
        for entry in self.listing.into_iter().flat_map(|listing| &listing.entries) {
            let (name, labels) = (entry.pod.name_any(), entry.pod.labels());
            let (_, owner) = parent::workload_by_labels(&entry.id.namespace, &name, labels);
            let role = self.role(&entry.id, &entry.pod);
            found.insert(entry.id.clone(), workload(&entry.id, owner, role, &entry.pod));
        }
        for seen in pods.iter().filter(|seen| seen.is_parent) {
            found.insert(seen.id.clone(), workload(&seen.id, seen.owner, seen.role, seen.pod));
        }
        found
    }

    /// The role of `pod` or of a copy of it. In other namespaces there is neither steering nor a
    /// gate for an apiserver and its copy: such pods are like any other.
    fn role(&self, id: &Id, pod: &Pod) -> Role {
        if id.namespace != NAMESPACE {
            return Role::Exclusive;
        }
        pod.spec.as_ref().map_or(Role::Exclusive, |spec| parent::role(id, spec, self.own))
    }
}

fn workload(id: &Id, owner: Owner, role: Role, pod: &Pod) -> Workload {
    let component = pod.spec.as_ref().filter(|_| id.namespace == NAMESPACE).and_then(parent::component);
    Workload { owner, role, component: component.map(|component| component.program) }
}

fn disk(listing: &Listing, id: &Id) -> Disk {
    listing.entries.iter().find(|entry| entry.id == *id).map(|entry| entry.disk()).unwrap_or_default()
}

/// Whether kubelet says that `pod` is ready, and means the containers that run now.
fn is_healthy(pod: &Pod, local: &Local, role: Role) -> bool {
    // The agent's own pod is Ready only once there are copies, its own among them.
    let wanted = if role == Role::Own { "ContainersReady" } else { "Ready" };
    let is_ready = condition(pod, wanted).is_some_and(|ready| ready.status == "True");
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let count = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    let runs = |status: &&ContainerStatus| {
        let id = status.container_id.as_deref().and_then(|id| id.rsplit_once("://")).map(|(_, id)| id);
        status.ready && id.is_some() && id == local.running.get(&status.name).map(String::as_str)
    };
    let is_leaving = pod.metadata.deletion_timestamp.is_some();
    is_ready && !is_leaving && statuses.filter(runs).count() == count
}

#[cfg(test)]
#[path = "observe_tests.rs"]
mod tests;
