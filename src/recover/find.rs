//! Which of a cluster's objects are its control plane. Pure.
//!
//! - The components themselves, DaemonSet or Deployment in kube-system, are known as v0.14's recover knew them: by the label `k8s-app`, else
//!   `component`, of the object or of its pods.
//! - With them comes what they refer to: Secrets, ConfigMaps, service accounts, bindings of those and roles of those, disruption budgets.
//! - And everything that bootkube rendered, by `app.kubernetes.io/managed-by`.
//!
//! What is there comes first. What was deleted, and a snapshot still remembers, is taken for what a component cannot do without. Objects are
//! stripped of what only the API may say, so that they can be applied again.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodTemplateSpec, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::checkpoint::copy::{Sources, needs};
use crate::config::Component;
use crate::{FIELD_MANAGER, NAMESPACE};

/// What a control plane consists of. Only the first one cannot be missed.
pub const COMPONENTS: [Component; 3] =
    [Component::Apiserver, Component::ControllerManager, Component::Scheduler];
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Labels that name a component, the more telling one first.
const LABELS: [&str; 2] = ["k8s-app", "component"];
/// Annotations that controllers and kubectl write.
const FOREIGN_ANNOTATIONS: [&str; 3] = [
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// Metadata that may be said by whoever applies.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

/// The objects of a cluster, as they were read.
#[derive(Default)]
pub struct Objects {
    /// Those that are there.
    pub present: Vec<Value>,
    /// Those that were deleted a while ago.
    pub deleted: Vec<Value>,
}

/// A component, as a cluster runs it.
pub struct Workload {
    /// Which.
    pub component: Component,
    /// `DaemonSet kube-system/kube-apiserver`.
    pub label: String,
    /// Its pods.
    pub template: PodTemplateSpec,
    /// What they mount and take their environment from.
    pub sources: Sources,
}

/// The control plane of a cluster.
#[derive(Default)]
pub struct Found {
    /// Its components, in the order of [`COMPONENTS`].
    pub workloads: Vec<Workload>,
    /// What is to be applied, each fit for it.
    pub objects: Vec<Value>,
    /// What is not there, one line each.
    pub missing: Vec<String>,
    /// What was deleted and is taken from before, one line each.
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
    /// By kind and name, so that each is there once.
    taken: BTreeMap<(String, String), Value>,
    found: Found,
}

impl<'a> Search<'a> {
    fn component(&mut self, component: Component) {
        let is_it = |object: &Value| is_workload(object) && name_of(object) == Some(component.name());
        let Some(object) = self.find(is_it) else {
            let problem =
                format!("{}: no DaemonSet or Deployment in {NAMESPACE} is labelled so", component.name());
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

    /// The first object that is there, else one that was, and takes it.
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

    /// The service account of a component, and what it may do.
    fn account(&mut self, template: &PodTemplateSpec) {
        let account = template.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        let Some(account) = account.filter(|account| account != "default") else { return };
        self.named("ServiceAccount", &account);
        let objects = self.objects;
        for binding in objects.present.iter().filter(|object| binds(object, &account)) {
            self.take(binding);
            let (kind, name) = (text(&binding["roleRef"]["kind"]), text(&binding["roleRef"]["name"]));
            // An apiserver keeps its own roles right by itself.
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

/// The object as somebody would apply it.
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
    fit.sort_all_objects(); // as kubectl writes them, and the same from every source
    fit
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn daemon_set(name: &str, labels: &Value, secret: &str) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": name, "namespace": "kube-system", "uid": "u", "resourceVersion": "7",
                "annotations": {"deprecated.daemonset.template.generation": "1", "mine": "x"}},
            "spec": {"template": {"metadata": {"labels": labels, "creationTimestamp": null}, "spec": {
                "serviceAccountName": "api", "containers": [{"name": "c", "image": "i"}],
                "volumes": [{"name": "s", "secret": {"secretName": secret}}],
            }}},
            "status": {"desiredNumberScheduled": 1},
        })
    }

    fn secret(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "kube-system"}, "data": {"a": "YQ=="}})
    }

    fn labels(found: &Found) -> Vec<String> {
        found.objects.iter().map(label).collect()
    }

    #[test]
    fn a_component_is_known_by_the_labels_of_old_and_new() {
        for labels in [json!({"k8s-app": "kube-apiserver"}), json!({"component": "kube-apiserver"})] {
            let objects =
                Objects { present: vec![daemon_set("a", &labels, "s"), secret("s")], deleted: Vec::new() };
            let found = control_plane(&objects);
            assert_eq!(found.workloads[0].label, "DaemonSet kube-system/a");
            assert!(found.workloads[0].sources.secrets.contains_key("s"));
            assert_eq!(found.missing.len(), 2, "controller manager and scheduler: {:?}", found.missing);
        }
    }

    #[test]
    fn what_it_refers_to_comes_with_it_and_nothing_else() {
        let account = |name: &str| json!({"kind": "ServiceAccount", "metadata": {"name": name, "namespace": "kube-system"}, "secrets": []});
        let binding = |name: &str, account: &str| {
            json!({
                "kind": "ClusterRoleBinding", "metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": "mine"},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "kube-system"}],
            })
        };
        let role = json!({"kind": "ClusterRole", "metadata": {"name": "mine"}});
        let labelled = json!({"kind": "Secret", "metadata": {"name": "x", "namespace": "kube-system", "labels": {MANAGED_BY: "bootkube"}}});
        let present = vec![
            daemon_set("kube-apiserver", &json!({"k8s-app": "kube-apiserver"}), "s"),
            secret("s"),
            secret("other"),
            account("api"),
            account("other"),
            binding("b", "api"),
            binding("o", "other"),
            role,
            labelled,
        ];
        let found = control_plane(&Objects { present, deleted: Vec::new() });
        let expected = [
            "ClusterRole mine",
            "ClusterRoleBinding b",
            "DaemonSet kube-system/kube-apiserver",
            "Secret kube-system/s",
            "Secret kube-system/x",
            "ServiceAccount kube-system/api",
        ];
        assert_eq!(labels(&found), expected);
        assert_eq!(found.objects[2]["metadata"]["annotations"], json!({"mine": "x"}));
        assert!(
            found.objects[2].get("status").is_none() && found.objects[2]["metadata"].get("uid").is_none()
        );
        assert!(found.objects[5].get("secrets").is_none());
    }

    #[test]
    fn what_was_deleted_is_revived_only_where_it_is_missed() {
        let of = |name: &str| daemon_set(name, &json!({"k8s-app": "kube-apiserver"}), "s");
        let deleted = || vec![of("kube-apiserver"), secret("s")];
        let found = control_plane(&Objects { present: Vec::new(), deleted: deleted() });
        assert_eq!(found.revived, ["DaemonSet kube-system/kube-apiserver", "Secret kube-system/s"]);
        let found = control_plane(&Objects { present: vec![of("newer"), secret("s")], deleted: deleted() });
        assert!(found.revived.is_empty() && found.workloads[0].label.ends_with("newer"));
    }

    #[test]
    fn a_secret_that_is_not_there_is_missing() {
        let present = vec![daemon_set("kube-apiserver", &json!({"k8s-app": "kube-apiserver"}), "s")];
        let found = control_plane(&Objects { present, deleted: Vec::new() });
        assert!(found.missing[0].contains("Secret kube-system/s of DaemonSet"), "{:?}", found.missing);
    }
}
