//! From what API, runtime and disk say to an observation. Pure.
//!
//! Whether a pod is healthy is kubelet's word in its status, and it counts only of the very containers that the runtime has: after a boot the
//! API tells of those before it. Kubelet itself is not asked: without an API it lets nobody in but those it let in minutes ago. Where it
//! has a sandbox for a pod, it has the pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

use super::cluster::{Told, View};
use super::runtime::Local;
use crate::NAMESPACE;
use crate::checkpoint::observed::{Api, Disk, Kubelet, Observation, Observed, Offer, Parent};
use crate::checkpoint::parent::{self, Owner};
use crate::checkpoint::store::Listing;
use crate::checkpoint::{Id, Role};
use crate::cluster::pods::condition;

/// Everything that was seen in one round.
pub struct Seen<'s> {
    /// The agent's own workload.
    pub own: &'s Id,
    /// This machine's node.
    pub node: &'s str,
    /// The API's word.
    pub told: &'s Told<'s>,
    /// The runtime's; `None` if it did not answer.
    pub local: Option<&'s [Local]>,
    /// The disk's; `None` if it cannot be read.
    pub listing: Option<&'s Listing>,
    /// The API's word on [`orphans`](Self::orphans), as far as it was asked and answered.
    pub asked: BTreeMap<Id, Api>,
}

/// A workload of this machine.
struct Workload {
    owner: Owner,
    role: Role,
    /// What it runs, if that is a component of the control plane.
    component: Option<&'static str>,
}

impl Seen<'_> {
    /// Puts it together; `offers` are the pods that copies may be made of.
    pub fn observation(&self, offers: &BTreeMap<Id, Offer>) -> Observation {
        let workloads = self.workloads().into_iter();
        workloads.map(|(id, workload)| (id.clone(), self.observed(&id, &workload, offers.get(&id)))).collect()
    }

    fn observed(&self, id: &Id, workload: &Workload, offer: Option<&Offer>) -> Observed {
        let Workload { owner, role, component } = *workload;
        Observed {
            role,
            api: self.word(id, owner),
            parent: self.parent(id, role, component),
            kubelet: self.kubelet(id),
            disk: self.listing.map(|listing| disk(listing, id)),
            offer: offer.cloned(),
        }
    }

    /// Workloads of which there is a copy, or a pod that asks for one. The pods' word is the newer one.
    fn workloads(&self) -> BTreeMap<Id, Workload> {
        let mut found = BTreeMap::new();
        for entry in self.listing.iter().flat_map(|listing| &listing.entries) {
            let (name, labels) = (entry.pod.name_any(), entry.pod.labels());
            let (_, owner) = parent::workload_by_labels(&entry.id.namespace, &name, labels);
            found.insert(entry.id.clone(), self.workload(&entry.id, owner, &entry.pod));
        }
        for pod in self.parents() {
            let (id, owner) = parent::workload(pod);
            let workload = self.workload(&id, owner, pod);
            found.insert(id, workload);
        }
        found
    }

    /// That of `pod` or a copy of it.
    fn workload(&self, id: &Id, owner: Owner, pod: &Pod) -> Workload {
        let role = self.role(id, pod);
        let component = pod.spec.as_ref().filter(|_| id.namespace == NAMESPACE).and_then(parent::component);
        Workload { owner, role, component: component.map(|component| component.program) }
    }

    /// The role of `pod` or a copy of it. Nobody steers connections between an apiserver of another namespace and its copy, nor opens gates
    /// there: such pods are like any other.
    pub fn role(&self, id: &Id, pod: &Pod) -> Role {
        if id.namespace != NAMESPACE {
            return Role::Exclusive;
        }
        pod.spec.as_ref().map_or(Role::Exclusive, |spec| parent::role(id, spec, self.own))
    }

    /// Pods of this machine that ask to be kept, the newest last.
    pub fn parents(&self) -> Vec<&Pod> {
        let mut pods: Vec<&Pod> =
            self.told.all_pods().filter(|pod| parent::is_parent(pod, self.node)).collect();
        pods.sort_by_key(|pod| (pod.creation_timestamp(), pod.uid()));
        pods
    }

    /// The API's word.
    fn word(&self, id: &Id, owner: Owner) -> Api {
        let Some(node) = self.told.node.as_ref() else { return Api::Unknown };
        if self.told.view == View::Worker || id.namespace != NAMESPACE {
            return self.word_on_local(id, owner);
        }
        let of_workload = |pod: &&Pod| parent::workload(pod) == (id.clone(), owner);
        let pods = || self.told.pods.iter().filter(of_workload).cloned().collect::<Vec<_>>();
        match owner {
            Owner::DaemonSet => {
                let set = self.told.daemon_sets.iter().find(|set| set.name_any() == id.name);
                parent::word_on_daemon_set(set, &pods(), node)
            }
            Owner::Deployment => {
                let found = self.told.deployments.iter().find(|it| it.name_any() == id.name);
                parent::word_on_deployment(found, &pods(), self.node)
            }
            Owner::Itself => {
                let pod = self.told.pods.iter().find(|pod| pod.name_any() == id.name);
                parent::word_on_pod(pod, self.node)
            }
        }
    }

    /// The API's word on a workload of which only pods of this machine are watched.
    fn word_on_local(&self, id: &Id, owner: Owner) -> Api {
        let Some(local) = self.told.local else { return Api::Unknown };
        let is_its = |pod: &&Pod| parent::workload(pod) == (id.clone(), owner);
        match local.iter().filter(is_its).any(|pod| parent::is_parent(pod, self.node)) {
            true => Api::Here,
            false if self.told.view == View::Worker => Api::Gone,
            false => self.asked.get(id).copied().unwrap_or(Api::Unknown),
        }
    }

    /// Workloads of other namespaces that have a copy and no pod here: whether somebody still wants them is to be asked.
    pub fn orphans(&self) -> Vec<(Id, Owner)> {
        if self.told.node.is_none() || self.told.local.is_none() || self.told.view == View::Worker {
            return Vec::new();
        }
        let is_orphan = |(id, workload): &(Id, Workload)| {
            id.namespace != NAMESPACE && self.word_on_local(id, workload.owner) == Api::Unknown
        };
        let orphans = self.workloads().into_iter().filter(is_orphan);
        orphans.map(|(id, workload)| (id, workload.owner)).collect()
    }

    /// The runtime's word, of the healthiest pod. Where a static pod of somebody else runs the same, as in a pivot that was cut off, kubelet
    /// brings that one up: two apiservers that start at once keep each other from it.
    fn parent(&self, id: &Id, role: Role, component: Option<&str>) -> Parent {
        let Some(local) = self.local else { return Parent::Unknown };
        let running = || local.iter().filter(|local| local.id == *id && !local.running.is_empty());
        let pod = |local: &Local| self.told.all_pods().find(|pod| pod.uid().as_ref() == Some(&local.uid));
        let healthy = |local: &Local| pod(local).is_some_and(|pod| is_healthy(pod, local, role));
        let has_stand_in = || {
            self.listing
                .zip(component)
                .is_some_and(|(listing, component)| listing.stand_ins.contains(component))
        };
        match (running().next(), running().any(healthy)) {
            (None, _) if has_stand_in() => Parent::Unhealthy,
            (None, _) => Parent::Stopped,
            (Some(_), true) => Parent::Healthy,
            (Some(_), false) => Parent::Unhealthy,
        }
    }

    fn kubelet(&self, id: &Id) -> Kubelet {
        match self.local {
            None => Kubelet::Unknown,
            Some(local) if local.iter().any(|local| local.id == *id) => Kubelet::Lists,
            Some(_) => Kubelet::Lacks,
        }
    }

    /// What runs of `pod`, if it is healthy now.
    pub fn healthy(&self, pod: &Pod) -> Option<&Local> {
        let (id, _) = parent::workload(pod);
        let local = self.local?.iter().find(|local| pod.uid().as_ref() == Some(&local.uid))?;
        is_healthy(pod, local, self.role(&id, pod)).then_some(local)
    }

    /// Whether there is certainly no copy of a workload.
    pub fn has_none(&self, id: &Id) -> bool {
        self.listing.is_some_and(|listing| disk(listing, id).kept.is_none())
    }
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
