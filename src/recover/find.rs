//! Finds the objects of the control plane among the objects of a cluster. Pure.
//!
//! - The components are DaemonSets or Deployments in kube-system. As in v0.14, the label `k8s-app`,
//!   or else `component`, of the object or of its pods identifies them.
//! - What they refer to belongs to them: Secrets, ConfigMaps, service accounts, the bindings and
//!   roles of those, disruption budgets.
//! - So does everything that bootkube rendered, by the label `app.kubernetes.io/managed-by`.
//!
//! Existing objects take precedence. A deleted object that a snapshot still holds is used only if a
//! component needs it. Fields that only the API may set are removed, so that the objects can be
//! applied again.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodTemplateSpec, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::checkpoint::copy::{Sources, needs};
use crate::config::Component;
use crate::{FIELD_MANAGER, NAMESPACE};

/// The components of a control plane. Only the first is indispensable.
pub const COMPONENTS: [Component; 3] =
    [Component::Apiserver, Component::ControllerManager, Component::Scheduler];
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Labels that name a component, the more specific one first.
const LABELS: [&str; 2] = ["k8s-app", "component"];
/// Annotations that controllers and kubectl write.
const FOREIGN_ANNOTATIONS: [&str; 3] = [
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// Metadata that is part of a manifest.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// The objects of a cluster, as they were read.
#[derive(Default)]
pub struct Objects {
    /// Existing objects.
    pub present: Vec<Value>,
    /// Objects that were deleted since the last compaction.
    pub deleted: Vec<Value>,
}

/// A component that was found in a cluster.
pub struct Workload {
    /// Which.
    pub component: Component,
    /// `DaemonSet kube-system/kube-apiserver`.
    pub label: String,
    /// Its pod template.
    pub template: PodTemplateSpec,
    /// The Secrets and ConfigMaps of its volumes and environment.
    pub sources: Sources,
}

/// The control plane of a cluster.
#[derive(Default)]
pub struct Found {
    /// Its components, in the order of [`COMPONENTS`].
    pub workloads: Vec<Workload>,
    /// The objects, ready to be applied.
    pub objects: Vec<Value>,
    /// What is missing, one line each.
    pub missing: Vec<String>,
    /// Deleted objects that are used, one line each.
    pub revived: Vec<String>,
}

/// Finds the control plane.
pub fn control_plane(objects: &Objects) -> Found {
    let mut search = Search { objects, taken: BTreeMap::new(), found: Found::default() };
    for component in COMPONENTS {
        search.component(component);
    }
    for object in objects.present.iter().filter(|object| is_ours(object)) {
        search.take(object);
    }
    let Search { taken, mut found, .. } = search;
    found.objects = taken.into_values().collect();
    found
}

struct Search<'a> {
    objects: &'a Objects,
    /// By kind and name, so that each object is taken once.
    taken: BTreeMap<(String, String), Value>,
    found: Found,
}

impl<'a> Search<'a> {
    fn component(&mut self, component: Component) {
        let is_it = |object: &Value| is_workload(object) && name_of(object) == Some(component.name());
        let Some(object) = self.find(is_it) else {
            let problem =
                format!("{}: no DaemonSet or Deployment in {NAMESPACE} has this label", component.name());
            return self.found.missing.push(problem);
        };
        let label = label(object);
        let template: PodTemplateSpec = match serde_json::from_value(object["spec"]["template"].clone()) {
            Ok(template) => template,
            Err(error) => {
                return self.found.missing.push(format!("{label}: its pods cannot be read: {error}"));
            }
        };
        let sources = self.sources(&label, &template);
        self.account(&template);
        self.budgets(object);
        self.found.workloads.push(Workload { component, label, template, sources });
    }

    /// Finds and takes an existing object, or else a deleted one.
    fn find(&mut self, is_it: impl Fn(&Value) -> bool) -> Option<&'a Value> {
        let objects = self.objects;
        let present =
            objects.present.iter().filter(|object| is_it(object)).max_by_key(|object| is_ours(object));
        let found = present.or_else(|| {
            let found = objects.deleted.iter().find(|object| is_it(object))?;
            self.found.revived.push(label(found));
            Some(found)
        })?;
        self.take(found);
        Some(found)
    }

    fn named(&mut self, kind: &str, name: &str) -> Option<&'a Value> {
        let is_namespaced = !kind.starts_with("Cluster");
        self.find(|object| {
            object["kind"] == kind
                && object["metadata"]["name"] == name
                && (!is_namespaced || object["metadata"]["namespace"] == NAMESPACE)
        })
    }

    fn sources(&mut self, of: &str, template: &PodTemplateSpec) -> Sources {
        let needs = needs(&Pod { spec: template.spec.clone(), ..Pod::default() });
        Sources {
            secrets: self.typed::<Secret>(of, "Secret", needs.secrets),
            config_maps: self.typed::<ConfigMap>(of, "ConfigMap", needs.config_maps),
        }
    }

    fn typed<T: DeserializeOwned>(
        &mut self,
        of: &str,
        kind: &str,
        names: BTreeSet<String>,
    ) -> BTreeMap<String, T> {
        let mut objects = BTreeMap::new();
        for name in names {
            match self.named(kind, &name).map(|object| serde_json::from_value(object.clone())) {
                Some(Ok(object)) => drop(objects.insert(name, object)),
                Some(Err(error)) => {
                    self.found
                        .missing
                        .push(format!("{kind} {NAMESPACE}/{name} of {of} cannot be read: {error}"));
                }
                None => self.found.missing.push(format!("{kind} {NAMESPACE}/{name} of {of}")),
            }
        }
        objects
    }

    /// The service account of a component, with its bindings and roles.
    fn account(&mut self, template: &PodTemplateSpec) {
        let account = template.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        let Some(account) = account.filter(|account| account != "default") else { return };
        self.named("ServiceAccount", &account);
        let objects = self.objects;
        for binding in objects.present.iter().filter(|object| binds(object, &account)) {
            self.take(binding);
            let (kind, name) = (text(&binding["roleRef"]["kind"]), text(&binding["roleRef"]["name"]));
            // The apiserver maintains its own roles.
            if !name.starts_with("system:") && name != "cluster-admin" {
                self.named(kind, name);
            }
        }
    }

    /// Disruption budgets of the pods of a workload.
    fn budgets(&mut self, workload: &Value) {
        let labels = &workload["spec"]["selector"]["matchLabels"];
        let objects = self.objects;
        let is_its = |object: &&Value| {
            object["kind"] == "PodDisruptionBudget"
                && labels.is_object()
                && &object["spec"]["selector"]["matchLabels"] == labels
        };
        objects.present.iter().filter(is_its).for_each(|budget| self.take(budget));
    }

    fn take(&mut self, object: &Value) {
        if !is_made_by_controllers(object) {
            let key = (text(&object["kind"]).to_owned(), text(&object["metadata"]["name"]).to_owned());
            self.taken.entry(key).or_insert_with(|| fit(object));
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// `Kind namespace/name`.
pub fn label(object: &Value) -> String {
    let metadata = &object["metadata"];
    let namespace =
        metadata["namespace"].as_str().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{} {namespace}{}", text(&object["kind"]), text(&metadata["name"]))
}

fn is_workload(object: &Value) -> bool {
    ["DaemonSet", "Deployment"].contains(&text(&object["kind"]))
        && object["metadata"]["namespace"] == NAMESPACE
}

/// The component that the labels of a workload, or of its pods, name.
fn name_of(workload: &Value) -> Option<&str> {
    let own = &workload["metadata"]["labels"];
    let pods = &workload["spec"]["template"]["metadata"]["labels"];
    LABELS.iter().flat_map(|label| [&own[label], &pods[label]]).find_map(Value::as_str)
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY] == FIELD_MANAGER
}

fn is_made_by_controllers(object: &Value) -> bool {
    let has_owner = object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
    has_owner || object["type"] == "kubernetes.io/service-account-token"
}

fn binds(object: &Value, account: &str) -> bool {
    let is_binding = ["RoleBinding", "ClusterRoleBinding"].contains(&text(&object["kind"]));
    let mut subjects = object["subjects"].as_array().into_iter().flatten();
    is_binding
        && subjects.any(|subject| {
            subject["kind"] == "ServiceAccount"
                && subject["name"] == account
                && subject["namespace"] == NAMESPACE
        })
}

/// The object as a manifest.
fn fit(object: &Value) -> Value {
    let mut fit = object.as_object().cloned().unwrap_or_default();
    fit.remove("status");
    if object["kind"] == "ServiceAccount" {
        fit.remove("secrets");
    }
    let metadata: Map<String, Value> = METADATA
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), object["metadata"].get(*key)?.clone())))
        .collect();
    fit.insert("metadata".to_owned(), metadata.into());
    let mut fit = Value::Object(fit);
    if let Some(annotations) = fit["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !FOREIGN_ANNOTATIONS.contains(&key.as_str()));
    }
    let template = fit.get_mut("spec").and_then(|spec| spec.get_mut("template")?.get_mut("metadata"));
    if let Some(metadata) = template.and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp"); // null in a template of older versions
    }
    fit.sort_all_objects(); // in the order that kubectl writes, and equal from every source
    fit
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
