//! The part of a cluster's state that must not depend on how it was started: objects with their
//! specs, data and labels, pods by their owner, and files of the first controller. So two clusters
//! of the same assets can be compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::World;

/// Kinds that are left out: events, leases and endpoints hold times or the present leader, pods are
/// compared by their owner, and certificate requests have random names.
const NOT_COMPARED: &str = "^(events|events.events.k8s.io|leases.coordination.k8s.io|endpoints|endpointslices.discovery.k8s.io|\
    pods|certificatesigningrequests.certificates.k8s.io|componentstatuses)$";
/// Metadata that differ between any two clusters.
const PASSING: [&str; 5] = ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"];
/// The folders that bootkube writes to, without its journal. Of copies only their presence is
/// compared: they hold the name of their pod.
const FILES: &str = "cd /etc/kubernetes && find . ! -name 'bootkube-journal.jsonl' \\( -path '*/kube-system-*.json' -printf '%P %m\\n' \
    -o -type f -printf '%P %m ' -exec sha256sum {} \\; -o -printf '%P %m\\n' \\) | sort";

/// Objects, pods and files, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    /// The state of a cluster now. An error if the API does not answer.
    pub fn of(world: &World) -> Result<Self, String> {
        let list =
            format!("kubectl api-resources --verbs=list -o name | grep -vE '{NOT_COMPARED}' | paste -sd,");
        let script = format!("kubectl get $({list}) -A -o json --ignore-not-found");
        let answer = world.n1().exec(&["bash", "-c", &script]).unwrap();
        let objects: Value = serde_json::from_slice(&answer.stdout)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&answer.stderr)))?;
        let objects = objects["items"].as_array().into_iter().flatten().map(named);
        let mut all: BTreeMap<String, Value> = objects.collect();
        for pod in world.pods("kube-system") {
            let looks = json!({"words": pod.words, "image": pod.image, "ready": pod.ready, "node": pod.node});
            let of_owner = all.entry(format!("pods of {}", pod.owner)).or_insert_with(|| json!([]));
            of_owner.as_array_mut().unwrap().push(looks);
        }
        let files = world.shell(FILES);
        all.extend(files.lines().map(|line| {
            let (path, rest) = line.split_once(' ').unwrap();
            (format!("file /etc/kubernetes/{path}"), json!(rest))
        }));
        Ok(Self(all))
    }

    /// The differences from `other`, in words; empty if there are none.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let names = self.0.keys().chain(other.0.keys()).collect::<std::collections::BTreeSet<_>>();
        let differs = |name: &&&String| self.0.get(**name) != other.0.get(**name);
        let told: Vec<String> = names
            .iter()
            .filter(differs)
            .map(|name| format!("{name}:\n  {:?}\n  {:?}", self.0.get(*name), other.0.get(*name)))
            .collect();
        (!told.is_empty()).then(|| told.join("\n"))
    }

    /// Whether every pod is Ready.
    pub fn is_ready(&self) -> bool {
        let pods = self.0.iter().filter(|(name, _)| name.starts_with("pods of ")).map(|(_, pods)| pods);
        pods.flat_map(|pods| pods.as_array().unwrap()).all(|pod| pod["ready"] == true)
    }
}

/// An object's name, and the object without what differs between any two clusters.
fn named(object: &Value) -> (String, Value) {
    let mut object = object.clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, group) = (text(&object["kind"]), text(&object["apiVersion"]));
    let name = text(&object["metadata"]["name"]);
    let metadata = object["metadata"].as_object_mut().unwrap();
    let namespace = metadata.get("namespace").map(text).unwrap_or_default();
    PASSING.iter().for_each(|field| drop(metadata.remove(*field)));
    for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        owner.as_object_mut().unwrap().remove("uid");
    }
    object.as_object_mut().unwrap().remove("status");
    (format!("{group} {kind} {namespace}/{name}"), object)
}
