//! What a cluster needs of its components: versions of the API, admission plugins, controllers.

use super::programs;
use crate::values::go_flag;

/// Versions of the API that the control plane, kubelets and bootkube use.
const APIS: [&str; 14] = [
    "admissionregistration.k8s.io/v1",
    "apiextensions.k8s.io/v1",
    "apps/v1",
    "authentication.k8s.io/v1",
    "authorization.k8s.io/v1",
    "certificates.k8s.io/v1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "networking.k8s.io/v1",
    "policy/v1",
    "rbac.authorization.k8s.io/v1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1",
    "v1",
];
/// Several of them at once.
const MANY_APIS: [&str; 2] = ["api/all", "api/ga"];

/// Admission plugins without which no pod of the control plane starts again.
pub const ADMISSION: [&str; 2] = ["Priority", "ServiceAccount"];

/// Controllers that a cluster and its rollouts need.
const CONTROLLERS: [&str; 9] = [
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-signing-controller",
    "daemonset-controller",
    "deployment-controller",
    "endpointslice-controller",
    "node-lifecycle-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
];
/// The controller that hands ranges of pods to nodes, which flannel needs.
const NODE_RANGES: &str = "node-ipam-controller";

/// Whether an item of `runtime-config` turns off what the control plane is made of.
pub fn turns_off(item: &str) -> bool {
    let (name, value) = item.split_once('=').unwrap_or((item, "true"));
    let name = name.trim();
    let version = name.strip_prefix("api/").filter(|version| *version == "v1").unwrap_or(name);
    let is_needed = APIS.contains(&version) || MANY_APIS.contains(&name);
    is_needed && go_flag::boolean(value.trim()) == Some(false)
}

/// The first controller that the cluster needs and that `given`, the value of `controllers`, leaves
/// out.
pub fn missing_controller(given: &[&str], needs_node_ranges: bool) -> Option<&'static str> {
    // Of a name and its refusal Kubernetes takes the first.
    let is_on = |wanted: &str| {
        let named = |item: &&&str| programs::controller(item.strip_prefix('-').unwrap_or(item)) == wanted;
        given.iter().find(named).map_or(given.contains(&"*"), |item| !item.starts_with('-'))
    };
    let of_network = needs_node_ranges.then_some(NODE_RANGES);
    CONTROLLERS.into_iter().chain(of_network).find(|name| !is_on(name))
}
