//! Webhooks and API services: whether there is something behind them, and what stands still if not.

use serde_json::Value;

use super::finding::{Finding, Rule};
use super::labels::{labels, matches, selects};
use super::text::list;
use super::workload::{namespace, service, workloads};
use crate::NAMESPACE;
use crate::assets::object::Object;

const WEBHOOK_PORT: u64 = 443;
/// Every namespace has this label, with its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A reference to a Service that the API calls.
struct Backend<'a> {
    object: &'a Object,
    pointer: String,
    service: &'a Value,
    /// What happens while the Service has no pod.
    without: &'static str,
}

/// Backends that are missing, and webhooks that pods of the control plane depend on.
pub fn find(objects: &[Object]) -> Vec<Finding> {
    let backends = objects.iter().flat_map(backends);
    let mut found: Vec<Finding> = backends.filter_map(|backend| backend.missing(objects)).collect();
    for object in objects.iter().filter(|object| is_configuration(object)) {
        found.extend(
            webhooks(object).filter_map(|(at, webhook)| of_control_plane(object, at, webhook, objects)),
        );
    }
    found
}

fn is_configuration(object: &Object) -> bool {
    ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"].contains(&object.kind())
}

fn webhooks(object: &Object) -> impl Iterator<Item = (usize, &Value)> {
    list(&object.value["webhooks"]).enumerate()
}

fn fails(webhook: &Value) -> bool {
    webhook["failurePolicy"] != "Ignore"
}

fn backends(object: &Object) -> Vec<Backend<'_>> {
    let backend = |pointer: String, without| {
        let service = object.value.pointer(&pointer).filter(|service| service.is_object())?;
        Some(Backend { object, pointer, service, without })
    };
    let found = match object.kind() {
        "APIService" if object.group() == "apiregistration.k8s.io" => vec![backend(
            "/spec/service".to_owned(),
            "the API does not serve this version, and no namespace can be deleted",
        )],
        "CustomResourceDefinition" => vec![backend(
            "/spec/conversion/webhook/clientConfig/service".to_owned(),
            "the API cannot convert its objects from one version to another",
        )],
        _ if is_configuration(object) => webhooks(object)
            .map(|(at, webhook)| {
                let without = match fails(webhook) {
                    true => "the API refuses every request that the webhook is to see",
                    false => "the webhook sees no request",
                };
                backend(format!("/webhooks/{at}/clientConfig/service"), without)
            })
            .collect(),
        _ => Vec::new(),
    };
    found.into_iter().flatten().collect()
}

impl Backend<'_> {
    fn missing(&self, objects: &[Object]) -> Option<Finding> {
        let Self { object, pointer, service: reference, without } = self;
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let (space, name) = (text("namespace"), text("name"));
        let finding = |reason: String, cure: &str| {
            Some(Finding::new(
                Rule::WebhookBackend,
                object,
                pointer,
                format!("{reason}; without it {without}"),
                cure,
            ))
        };
        let Some(service) = service(objects, space, name) else {
            let cure = "add it and the workload behind it, unless the cluster has them";
            return finding(format!("no file here has its Service {space}/{name}"), cure);
        };
        let at = format!("{}:{}", service.file, service.line(""));
        let port = reference["port"].as_u64().unwrap_or(WEBHOOK_PORT);
        let spec = &service.value["spec"];
        if !list(&spec["ports"]).any(|own| own["port"] == port) {
            return finding(
                format!("its Service {space}/{name} ({at}) has no port {port}"),
                "make the ports the same",
            );
        }
        let selector = labels(&spec["selector"]);
        let here = workloads(objects).into_iter().filter(|workload| namespace(workload.object) == space);
        let is_empty = !here.into_iter().any(|workload| selects(&selector, &workload.labels()));
        if is_empty && !selector.is_empty() {
            let cure = "add the workload, unless the cluster has it, or correct the selector";
            return finding(
                format!("no file here has a workload for its Service {space}/{name} ({at})"),
                cure,
            );
        }
        None
    }
}

/// A webhook without which no pod of the control plane can be made. `start` applies it when they
/// are there, but none can be replaced while its backend is away.
fn of_control_plane(object: &Object, at: usize, webhook: &Value, objects: &[Object]) -> Option<Finding> {
    let is_unconditional = list(&webhook["matchConditions"]).next().is_none(); // CEL is not evaluated
    let is_asked = fails(webhook) && is_unconditional && list(&webhook["rules"]).any(is_for_pods);
    (is_asked && sees_control_plane(webhook, objects)).then(|| {
        let name = webhook["name"].as_str().unwrap_or_default();
        let reason = format!(
            "webhook {name} must allow every pod of {NAMESPACE}: while its backend is away, no pod of the control \
             plane can be replaced"
        );
        let cure = format!(
            "leave the namespace out (namespaceSelector: {{matchExpressions: [{{key: {NAME_LABEL}, operator: NotIn, \
             values: [{NAMESPACE}]}}]}}), or write failurePolicy: Ignore"
        );
        Finding::new(Rule::WebhookOfControlPlane, object, &format!("/webhooks/{at}"), reason, cure)
    })
}

fn sees_control_plane(webhook: &Value, objects: &[Object]) -> bool {
    let declared = objects.iter().find(|object| object.kind() == "Namespace" && object.name() == NAMESPACE);
    let mut of_namespace =
        declared.map(|object| labels(&object.value["metadata"]["labels"])).unwrap_or_default();
    of_namespace.insert(NAME_LABEL, NAMESPACE);
    let own = workloads(objects).into_iter().filter(|workload| workload.is_of_cluster());
    let own: Vec<_> = own.map(|workload| workload.labels()).collect();
    let selector = &webhook["objectSelector"];
    matches(&webhook["namespaceSelector"], &of_namespace)
        && (own.is_empty() && matches(selector, &Default::default())
            || own.iter().any(|pods| matches(selector, pods)))
}

/// As the API matches them: `*` and `pods/*` stand for pods, too.
fn is_for_pods(rule: &Value) -> bool {
    let has = |field: &str, wanted: &[&str]| {
        list(&rule[field]).filter_map(Value::as_str).any(|given| wanted.contains(&given))
    };
    has("apiGroups", &["", "*"])
        && has("apiVersions", &["v1", "*"])
        && has("resources", &["pods", "*", "pods/*", "*/*"])
        && has("operations", &["CREATE", "*"])
        && rule["scope"] != "Cluster"
}
