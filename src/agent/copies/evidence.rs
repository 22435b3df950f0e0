//! Shows whether this machine would survive without the API, as a readiness gate of the agent's
//! pod. `start` waits for the pod, so that a power cut right after `start` is survived.

use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};

use super::observe::Seen;
use crate::NAMESPACE;
use crate::agent::complaints::Complaints;
use crate::agent::identity::standing::{IDENTITY, Standing};
use crate::checkpoint::observed::{Api, Observation, Observed};
use crate::checkpoint::{Id, Role};
use crate::cluster::gate;
use crate::cluster::objects::Objects;
use crate::cluster::pods::condition;
use crate::error::chain;

/// Condition of the agent's pod: a copy is kept of each pod of the control plane on its machine,
/// and its own is active.
pub const KEPT: &str = "bootkube.dev/kept";
const WELL: &str =
    "a copy is kept of each pod of the control plane on this machine, and the agent's own is active";

/// What is missing; `Ok` if nothing is. Pods that are not of the control plane do not count.
pub fn missing(observation: &Observation, complaints: &Complaints) -> Result<(), String> {
    let lacks = |(id, seen): (&Id, &Observed)| {
        let asks = seen.api == Api::Here && seen.role != Role::Exclusive;
        let disk = seen.disk.as_ref();
        let kept = disk.is_some_and(|disk| disk.kept.is_some());
        let active = seen.role != Role::Own || disk.is_some_and(|disk| disk.active.is_some());
        match (asks, disk, kept && active) {
            (false, ..) | (true, Some(_), true) => None,
            (true, None, _) => Some("the copies on disk cannot be read".to_owned()),
            (true, Some(_), false) => {
                let why = complaints.about(id).or_else(|| complaints.about(&copy_of(id)));
                Some(why.map_or_else(|| format!("no copy of {id} yet"), str::to_owned))
            }
        }
    };
    match observation.iter().find_map(lacks) {
        Some(why) => Err(why),
        None if observation.is_empty() => Err("no pod of this machine is seen yet".to_owned()),
        None => Ok(()),
    }
}

/// Pods besides that ask for a copy and cannot have one, and why.
pub fn refused(observation: &Observation, complaints: &Complaints) -> Vec<String> {
    let asks = observation.iter().filter(|(_, seen)| seen.api == Api::Here && seen.role == Role::Exclusive);
    asks.filter_map(|(id, _)| Some(format!("{id}: {}", complaints.about(id)?))).collect()
}

/// The subject of complaints about the copy on disk. What cannot be copied is a complaint about the
/// workload itself.
pub fn copy_of(id: &Id) -> String {
    format!("copy of {id}")
}

/// A condition of the agent's pod: type, whether it is met, message.
pub type Condition = (&'static str, bool, String);

/// The conditions that the agent's pod should have.
pub fn conditions(
    missing: &Result<(), String>,
    refused: &[String],
    identity: Option<&Standing>,
) -> Vec<Condition> {
    let mut message = missing.as_ref().map_or_else(String::as_str, |()| WELL).to_owned();
    if !refused.is_empty() {
        message += &format!("; not kept: {}", refused.join("; "));
    }
    let kept = (KEPT, missing.is_ok(), message);
    let identity = identity.map(|standing| (IDENTITY, standing.stuck.is_none(), standing.to_string()));
    [kept].into_iter().chain(identity).collect()
}

/// Sets conditions of the agent's pods on this machine, where they differ.
pub async fn tell(client: &Client, seen: &Seen<'_>, conditions: &[Condition]) {
    let pods: Objects<Pod> = Objects::namespaced(client, NAMESPACE);
    let own = seen.parents().filter(|own| seen.is_own(&own.id)).map(|own| own.pod);
    for pod in own.filter(|pod| gate::has_gate(pod, KEPT)) {
        for (kind, is_met, message) in conditions {
            let shown = condition(pod, kind).and_then(|condition| condition.message.as_ref());
            if gate::is_open(pod, kind) == *is_met && shown == Some(message) {
                continue;
            }
            if let Err(error) = gate::set_gate(&pods, &pod.name_any(), kind, *is_met, message).await {
                tracing::warn!(pod = pod.name_any(), kind, error = chain(&error), "condition not set");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::observed::{Disk, Kubelet, Parent};

    fn observation(disk: Option<Disk>) -> Observation {
        let seen = Observed {
            role: Role::Apiserver,
            api: Api::Here,
            parent: Parent::Healthy,
            kubelet: Kubelet::Unknown,
            disk,
            offer: None,
        };
        [(Id::new(NAMESPACE, "kube-apiserver"), seen)].into()
    }

    #[test]
    fn what_keeps_a_copy_from_the_disk_is_told_as_well_as_what_cannot_be_copied() {
        let none = observation(Some(Disk::default()));
        let mut complaints = Complaints::default();
        assert_eq!(missing(&none, &complaints).unwrap_err(), "no copy of kube-system/kube-apiserver yet");
        complaints.say(&"copy of kube-system/kube-apiserver", "No space left on device".to_owned());
        assert_eq!(missing(&none, &complaints).unwrap_err(), "No space left on device");
        complaints.say(&"kube-system/kube-apiserver", "it has a claim".to_owned());
        assert_eq!(missing(&none, &complaints).unwrap_err(), "it has a claim");
        assert_eq!(
            missing(&observation(None), &complaints).unwrap_err(),
            "the copies on disk cannot be read"
        );
    }
}
