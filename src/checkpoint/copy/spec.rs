//! Removes from a pod what only an API can give, except volumes and environment.

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, PodSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::control_plane;
use super::draft::{Draft, Note};

/// Drops what kubelet refuses or cannot know. Refuses the pod if it cannot run without that.
pub fn detach(draft: &mut Draft, spec: &mut PodSpec) {
    refuse(draft, spec);
    if spec.image_pull_secrets.take().is_some_and(|secrets| !secrets.is_empty()) {
        draft.note(Note::NoPullSecrets);
    }
    spec.service_account = None;
    spec.service_account_name = None;
    spec.automount_service_account_token = Some(false);
    spec.node_name = None;
    spec.node_selector = None;
    spec.affinity = None;
    spec.topology_spread_constraints = None;
    spec.scheduler_name = None;
    spec.scheduling_gates = None;
    spec.scheduling_group = None;
    spec.readiness_gates = None;
    spec.ephemeral_containers = None;
    let on_host = spec.host_network == Some(true);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        if container.image_pull_policy.as_deref() != Some("Never") {
            container.image_pull_policy = Some("IfNotPresent".to_owned());
        }
        if on_host {
            number_ports(container);
            container.ports = None;
        }
    }
}

fn refuse(draft: &mut Draft, spec: &PodSpec) {
    if let Some(class) = &spec.runtime_class_name {
        draft.problem(format!("kubelet asks the API for runtime class `{class}`"));
    }
    for claim in spec.resource_claims.iter().flatten() {
        draft.problem(format!("resource claim `{}` is the API's", claim.name));
    }
    for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
        for device in container.volume_devices.iter().flatten() {
            draft.problem(format!(
                "container `{}` uses block device `{}` of a claim",
                container.name, device.name
            ));
        }
    }
}

/// Named ports of probes and hooks become numbers, because ports are not declared.
fn number_ports(container: &mut Container) {
    let named = container.ports.clone().unwrap_or_default();
    let number = |port: &mut IntOrString| {
        let IntOrString::String(name) = &*port else { return };
        let declared = named.iter().find(|port| port.name.as_ref() == Some(name));
        if let Some(number) = declared.map(|port| port.container_port).or_else(|| name.parse().ok()) {
            *port = IntOrString::Int(number);
        }
    };
    let Container { liveness_probe, readiness_probe, startup_probe, lifecycle, .. } = container;
    for probe in [liveness_probe, readiness_probe, startup_probe].into_iter().flatten() {
        control_plane::ports(probe).for_each(number);
    }
    if let Some(lifecycle) = lifecycle {
        let hooks = [&mut lifecycle.pre_stop, &mut lifecycle.post_start].into_iter().flatten();
        hooks.flat_map(hook_ports).for_each(number);
    }
}

fn hook_ports(hook: &mut LifecycleHandler) -> impl Iterator<Item = &mut IntOrString> {
    let http = hook.http_get.as_mut().map(|http| &mut http.port);
    http.into_iter().chain(hook.tcp_socket.as_mut().map(|tcp| &mut tcp.port))
}
