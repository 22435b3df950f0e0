//! The order in which objects are applied: a pure, stable function of the objects.
//!
//! A stage depends only on the stages before it. Inside a stage the order only spares controllers a
//! retry. The content of an object decides; file names do not matter.

use std::collections::BTreeSet;

use serde_json::Value;

use super::kinds;
use super::object::Object;

/// A step of applying. Later ones start when the earlier ones are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// What a kubelet needs to join: bootstrap tokens, and the RBAC of bootstrappers and nodes. The
    /// first node joins while the rest is applied.
    KubeletBootstrap,
    /// Namespaces.
    Namespaces,
    /// CustomResourceDefinitions. The API must serve them before the next stage.
    CustomResourceDefinitions,
    /// Everything else, built-in kinds before custom resources.
    Objects,
    /// Aggregated APIs, and objects of these. They and the stages after them can refuse or delay
    /// everything that comes later: `start` waits for the control plane first.
    AggregatedApis,
    /// Admission policies, which the API decides by itself.
    AdmissionPolicies,
    /// Webhooks, whose servers may be slow or away.
    Webhooks,
}

impl Stage {
    /// Whether its objects can refuse or delay every other one.
    pub fn is_admission(self) -> bool {
        self >= Self::AggregatedApis
    }
}

/// Namespaces that every cluster has from the start.
const INITIAL_NAMESPACES: [&str; 2] = ["kube-system", "default"];

/// Objects by stage, in the order of stages; stages without objects are left out.
pub fn order(objects: Vec<Object>) -> Vec<(Stage, Vec<Object>)> {
    let bootstrap_roles = bootstrap_roles(&objects);
    let aggregated: BTreeSet<String> = objects.iter().filter_map(aggregates).collect();
    let stage = |object: &Object| match aggregated.contains(api_version(object)) {
        true => Stage::AggregatedApis,
        false => stage(object, &bootstrap_roles),
    };
    let mut placed: Vec<_> =
        objects.into_iter().map(|object| (stage(&object), rank(&object), object)).collect();
    placed.sort_by_key(|(stage, rank, _)| (*stage, *rank));
    let mut stages: Vec<(Stage, Vec<Object>)> = Vec::new();
    for (stage, _, object) in placed {
        match stages.last_mut() {
            Some((last, objects)) if *last == stage => objects.push(object),
            _ => stages.push((stage, vec![object])),
        }
    }
    stages
}

/// The group and version that an APIService gives to a server of the user's.
fn aggregates(object: &Object) -> Option<String> {
    let spec = &object.value["spec"];
    let is_service = (object.group(), object.kind()) == ("apiregistration.k8s.io", "APIService");
    (is_service && spec["service"].is_object())
        .then(|| Some(format!("{}/{}", spec["group"].as_str()?, spec["version"].as_str()?)))?
}

fn api_version(object: &Object) -> &str {
    object.value["apiVersion"].as_str().unwrap_or_default()
}

fn stage(object: &Object, bootstrap_roles: &BTreeSet<String>) -> Stage {
    match (object.group(), object.kind()) {
        _ if is_kubelet_bootstrap(object, bootstrap_roles) => Stage::KubeletBootstrap,
        ("", "Namespace") => Stage::Namespaces,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Stage::CustomResourceDefinitions,
        ("apiregistration.k8s.io", "APIService") => Stage::AggregatedApis,
        ("admissionregistration.k8s.io", kind) if kind.ends_with("WebhookConfiguration") => Stage::Webhooks,
        ("admissionregistration.k8s.io", _) => Stage::AdmissionPolicies,
        _ => Stage::Objects,
    }
}

fn is_kubelet_bootstrap(object: &Object, bootstrap_roles: &BTreeSet<String>) -> bool {
    if object.namespace().is_some_and(|namespace| !INITIAL_NAMESPACES.contains(&namespace)) {
        return false;
    }
    match (object.group(), object.kind()) {
        ("", "Secret") => object.value["type"] == "bootstrap.kubernetes.io/token",
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => binds_kubelets(object),
        ("rbac.authorization.k8s.io", "ClusterRole") => bootstrap_roles.contains(object.name()),
        _ => false,
    }
}

/// Names of the ClusterRoles that are bound to bootstrappers or nodes.
fn bootstrap_roles(objects: &[Object]) -> BTreeSet<String> {
    let bindings = objects.iter().filter(|o| o.kind() == "ClusterRoleBinding" && binds_kubelets(o));
    bindings.filter_map(|o| o.value["roleRef"]["name"].as_str().map(str::to_owned)).collect()
}

fn binds_kubelets(binding: &Object) -> bool {
    let is_kubelet_group = |subject: &Value| {
        let name = subject["name"].as_str().unwrap_or_default();
        subject["kind"] == "Group"
            && (name == "system:nodes"
                || name == "system:bootstrappers"
                || name.starts_with("system:bootstrappers:"))
    };
    binding.value["subjects"].as_array().is_some_and(|subjects| subjects.iter().any(is_kubelet_group))
}

/// Place inside a stage.
fn rank(object: &Object) -> u8 {
    if !kinds::is_built_in_group(object.group()) {
        return 9;
    }
    match object.kind() {
        "PriorityClass" | "RuntimeClass" | "StorageClass" | "IngressClass" => 0,
        "ServiceAccount" => 1,
        "Secret" | "ConfigMap" => 2,
        "ClusterRole" | "Role" => 3,
        "ClusterRoleBinding" | "RoleBinding" => 4,
        "Service" => 5,
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => 6,
        "DaemonSet"
        | "Deployment"
        | "StatefulSet"
        | "ReplicaSet"
        | "ReplicationController"
        | "Pod"
        | "Job"
        | "CronJob" => 8,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn objects(text: &str) -> Vec<Object> {
        let documents = yaml::documents(text, "f").unwrap();
        documents.into_iter().flat_map(|document| Object::from_document(document, "f").unwrap()).collect()
    }

    fn ordered(text: &str) -> Vec<(Stage, Vec<String>)> {
        let names = |objects: Vec<Object>| objects.iter().map(ToString::to_string).collect();
        order(objects(text)).into_iter().map(|(stage, objects)| (stage, names(objects))).collect()
    }

    #[test]
    fn a_custom_resource_before_its_definition_and_namespace_is_applied_after_both() {
        let text = "
{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: shop}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
";
        let expected = [
            (Stage::Namespaces, vec!["Namespace shop".to_owned()]),
            (
                Stage::CustomResourceDefinitions,
                vec!["CustomResourceDefinition widgets.example.com".to_owned()],
            ),
            (Stage::Objects, vec!["Widget shop/w".to_owned()]),
        ];
        assert_eq!(ordered(text), expected);
    }

    #[test]
    fn objects_of_an_aggregated_api_come_with_it_and_after_it() {
        let service = "{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.x.example.com}, \
                       spec: {group: x.example.com, version: v1, service: {name: x, namespace: x}}}";
        let object = "{apiVersion: x.example.com/v1, kind: Flunder, metadata: {name: f}}";
        let other = "{apiVersion: x.example.com/v2, kind: Flunder, metadata: {name: g}}";
        let stages = order(objects(&[object, other, service].join("\n---\n")));
        let kinds = |(stage, objects): &(Stage, Vec<Object>)| {
            (*stage, objects.iter().map(|object| object.name().to_owned()).collect::<Vec<_>>())
        };
        let found: Vec<_> = stages.iter().map(kinds).collect();
        let last = vec!["v1.x.example.com".to_owned(), "f".to_owned()];
        assert_eq!(found, [(Stage::Objects, vec!["g".to_owned()]), (Stage::AggregatedApis, last)]);
    }

    #[test]
    fn aggregated_apis_come_before_policies_and_webhooks_last() {
        let of = |version: &str, kind: &str| {
            format!("{{apiVersion: {version}, kind: {kind}, metadata: {{name: x}}}}")
        };
        let kinds = [
            ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
            ("apiregistration.k8s.io/v1", "APIService"),
        ];
        let text = kinds.map(|(version, kind)| of(version, kind)).join("\n---\n");
        let expected = [
            (Stage::AggregatedApis, vec!["APIService x".to_owned()]),
            (
                Stage::AdmissionPolicies,
                vec![
                    "ValidatingAdmissionPolicy x".to_owned(),
                    "ValidatingAdmissionPolicyBinding x".to_owned(),
                ],
            ),
            (Stage::Webhooks, vec!["MutatingWebhookConfiguration x".to_owned()]),
        ];
        assert_eq!(ordered(&text), expected);
        assert!(expected.iter().all(|(stage, _)| stage.is_admission()) && !Stage::Objects.is_admission());
    }

    #[test]
    fn every_kind_has_its_stage() {
        let rbac = "apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: x}";
        let group =
            |name| format!("{rbac}, subjects: [{{kind: User, name: u}}, {{kind: Group, name: '{name}'}}]");
        let secret = |namespace| {
            format!(
                "apiVersion: v1, kind: Secret, type: bootstrap.kubernetes.io/token, metadata: {{name: x, namespace: {namespace}}}"
            )
        };
        let plain = |version, kind| format!("apiVersion: {version}, kind: {kind}, metadata: {{name: x}}");
        let admission = "admissionregistration.k8s.io/v1";
        let table = [
            (secret("kube-system"), Stage::KubeletBootstrap),
            (secret("shop"), Stage::Objects),
            (group("system:bootstrappers"), Stage::KubeletBootstrap),
            (group("system:bootstrappers:kubeadm:default-node-token"), Stage::KubeletBootstrap),
            (group("system:nodes"), Stage::KubeletBootstrap),
            (group("system:nodesandmore"), Stage::Objects),
            (format!("{rbac}, subjects: null"), Stage::Objects),
            (plain("v1", "Secret"), Stage::Objects),
            (plain("v1", "Namespace"), Stage::Namespaces),
            (plain("example.com/v1", "Namespace"), Stage::Objects),
            (plain("apiextensions.k8s.io/v1", "CustomResourceDefinition"), Stage::CustomResourceDefinitions),
            (plain(admission, "ValidatingWebhookConfiguration"), Stage::Webhooks),
            (plain(admission, "MutatingWebhookConfiguration"), Stage::Webhooks),
            (plain(admission, "ValidatingAdmissionPolicy"), Stage::AdmissionPolicies),
            (plain(admission, "ValidatingAdmissionPolicyBinding"), Stage::AdmissionPolicies),
            (plain("apiregistration.k8s.io/v1", "APIService"), Stage::AggregatedApis),
        ];
        for (fields, expected) in table {
            let stages = order(objects(&format!("{{{fields}}}")));
            assert_eq!(stages[0].0, expected, "{fields}");
        }
    }

    #[test]
    fn what_others_need_comes_first_in_a_stage_and_equals_keep_their_order() {
        let text = "
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: d}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: p}}
---
{apiVersion: v1, kind: Service, metadata: {name: s}}
---
{apiVersion: v1, kind: Secret, metadata: {name: z}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: sa}}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: pc}}
";
        let expected = [
            "PriorityClass pc",
            "ServiceAccount sa",
            "Secret z",
            "ConfigMap a",
            "Service s",
            "PodDisruptionBudget p",
            "DaemonSet d",
            "Gateway g",
        ];
        assert_eq!(ordered(text)[0].1, expected);
    }

    #[test]
    fn a_role_that_is_bound_to_nodes_comes_with_its_binding() {
        let text = "
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: b}, roleRef: {name: r},
 subjects: [{kind: Group, name: 'system:nodes'}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: other}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r}}
";
        let expected = [
            (Stage::KubeletBootstrap, vec!["ClusterRole r".to_owned(), "ClusterRoleBinding b".to_owned()]),
            (Stage::Objects, vec!["ClusterRole other".to_owned()]),
        ];
        assert_eq!(ordered(text), expected);
    }
}
