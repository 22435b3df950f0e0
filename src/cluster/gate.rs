//! Readiness gates: conditions of a pod that another component than kubelet sets.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::objects::Objects;
use crate::FIELD_MANAGER;

/// Whether `pod` is Ready only with the condition `gate`.
pub fn has_gate(pod: &Pod, gate: &str) -> bool {
    let mut gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    gates.any(|found| found.condition_type == gate)
}

/// Whether the condition `gate` of `pod` is met.
pub fn is_open(pod: &Pod, gate: &str) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == gate && condition.status == "True")
}

/// Sets the condition `gate` of the pod called `name`, in one try.
pub async fn set_gate(
    pods: &Objects<Pod>,
    name: &str,
    gate: &str,
    is_open: bool,
    message: &str,
) -> Result<(), kube::Error> {
    let condition = json!({
        "type": gate,
        "status": if is_open { "True" } else { "False" },
        "lastTransitionTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "message": message,
    });
    let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    pods.bare.patch_status(name, &params, &patch).await.map(drop)
}
