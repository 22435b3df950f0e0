//! Objects that have pods.

use serde_json::Value;

use super::labels::{Labels, labels};
use crate::FIELD_MANAGER;
use crate::assets::command;
use crate::assets::listeners;
use crate::assets::object::Object;

/// Where each kind has the template of its pods. A Pod is its own.
const TEMPLATES: [(&str, &str, &str); 9] = [
    ("", "Pod", ""),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("", "PodTemplate", "/template"),
];

/// An object that has pods.
#[derive(Clone, Copy)]
pub struct Workload<'a> {
    /// The object.
    pub object: &'a Object,
    /// The template of its pods.
    pub template: &'a Value,
    /// Where in the object the template is.
    pub pointer: &'static str,
}

/// The workloads among `objects`.
pub fn workloads(objects: &[Object]) -> Vec<Workload<'_>> {
    objects.iter().filter_map(Workload::of).collect()
}

impl<'a> Workload<'a> {
    fn of(object: &'a Object) -> Option<Self> {
        let key = (object.group(), object.kind());
        let (.., pointer) = TEMPLATES.iter().find(|(group, kind, _)| (*group, *kind) == key)?;
        Some(Self { object, template: object.value.pointer(pointer)?, pointer })
    }

    /// The labels of its pods.
    pub fn labels(&self) -> Labels<'a> {
        labels(&self.template["metadata"]["labels"])
    }

    /// The spec of its pods.
    pub fn spec(&self) -> &'a Value {
        &self.template["spec"]
    }

    /// Containers that go on running, sidecars too, each with its place in the object.
    pub fn running(&self) -> Vec<(String, &'a Value)> {
        let sidecars = self.of_list("initContainers").filter(|(_, container)| is_sidecar(container));
        self.of_list("containers").chain(sidecars).collect()
    }

    /// Containers that end before the others begin.
    pub fn initial(&self) -> Vec<&'a Value> {
        let initial = self.of_list("initContainers").filter(|(_, container)| !is_sidecar(container));
        initial.map(|(_, container)| container).collect()
    }

    fn of_list(&self, list: &'static str) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
        let place = format!("{}/spec/{list}", self.pointer);
        let containers = self.template["spec"][list].as_array().into_iter().flatten().enumerate();
        containers.map(move |(index, container)| (format!("{place}/{index}"), container))
    }

    /// Whether it is a part of the cluster itself: rendered, or a program of a control plane.
    pub fn is_of_cluster(&self) -> bool {
        let labels = labels(&self.object.value["metadata"]["labels"]);
        let is_proxy = |container| command::runs(command::container_words(container), "kube-proxy");
        labels.get("app.kubernetes.io/managed-by") == Some(&FIELD_MANAGER)
            || command::containers(self.template)
                .any(|container| !listeners::claims_of(container).is_empty() || is_proxy(container))
    }
}

fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// The namespace in which an object without one is made.
pub fn namespace(object: &Object) -> &str {
    object.namespace().unwrap_or("default")
}

/// The Service of this name, if it is among `objects`.
pub fn service<'a>(objects: &'a [Object], namespace: &str, name: &str) -> Option<&'a Object> {
    services(objects).find(|service| self::namespace(service) == namespace && service.name() == name)
}

/// Every Service.
pub fn services(objects: &[Object]) -> impl Iterator<Item = &Object> {
    objects.iter().filter(|object| (object.group(), object.kind()) == ("", "Service"))
}
