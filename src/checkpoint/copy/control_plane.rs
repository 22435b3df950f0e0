//! What a copy of the control plane needs to run beside the real pod, for as long as both run.
//!
//! The apiserver's copy shares port and address with the pod, and new connections are steered to
//! one of the two.
//! - `--endpoint-reconciler-type=none`: both advertise this machine's address. When the copy ends,
//!   it would remove that from the `kubernetes` Service for up to ten seconds, after every power
//!   cut. The apiserver that lost power could not remove the address, so the Service has it still.
//!   An apiserver that was shut down did remove it. Then pods find no API through the Service until
//!   the real apiserver is ready, which takes seconds unless an edit broke it.
//! - No probes: kubelet's probes go to the shared port, where the other apiserver may answer. If
//!   that listens and never becomes ready, kubelet would kill the copy that serves.
//!
//! The copies of the controller manager and the scheduler listen 200 above the real ports (10457,
//! 10459), which bootstrap pods (10357, 10359) do not use either. So the real ones become Ready
//! beside them. The lease decides which one leads.

use k8s_openapi::api::core::v1::{Container, PodSpec, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::assets::command::remove_flag;
use crate::checkpoint::Role;
use crate::checkpoint::parent::{self, Component};

/// How far a copy's port is from its pod's.
const PORT_OFFSET: u16 = 200;

/// Changes what must differ from the pod.
pub fn adapt(spec: &mut PodSpec, role: Role) {
    let Some(Component { index, program, container }) = parent::component(spec) else { return };
    let port = parent::flag(container, "secure-port")
        .map_or_else(|| default_port(program), |port| port.parse().ok());
    let on_host = spec.host_network == Some(true);
    let container = &mut spec.containers[index];
    match (role, port) {
        (Role::Apiserver, _) => {
            set_flag(container, "endpoint-reconciler-type", "none");
            container.liveness_probe = None;
            container.readiness_probe = None;
            container.startup_probe = None;
        }
        (Role::Leader, Some(port @ 1..)) if on_host => {
            move_port(container, port, port.wrapping_add(PORT_OFFSET))
        }
        _ => {}
    }
}

fn default_port(program: &str) -> Option<u16> {
    match program {
        "kube-controller-manager" => Some(10257),
        "kube-scheduler" => Some(10259),
        _ => None,
    }
}

fn move_port(container: &mut Container, from: u16, to: u16) {
    set_flag(container, "secure-port", &to.to_string());
    let Container { liveness_probe, readiness_probe, startup_probe, .. } = container;
    for probe in [liveness_probe, readiness_probe, startup_probe].into_iter().flatten() {
        for port in ports(probe) {
            if *port == IntOrString::Int(i32::from(from)) {
                *port = IntOrString::Int(i32::from(to));
            }
        }
    }
}

/// The ports that a probe names.
pub fn ports(probe: &mut Probe) -> impl Iterator<Item = &mut IntOrString> {
    let http = probe.http_get.as_mut().map(|http| &mut http.port);
    http.into_iter().chain(probe.tcp_socket.as_mut().map(|tcp| &mut tcp.port))
}

/// Sets a flag where it stands, or adds it to the words that hold the flags.
fn set_flag(container: &mut Container, name: &str, value: &str) {
    let wanted = format!("--{name}={value}");
    for words in [&mut container.command, &mut container.args].into_iter().flatten() {
        remove_flag(words, name);
    }
    match (&mut container.args, &mut container.command) {
        (Some(words), _) if !words.is_empty() => words.push(wanted),
        (_, Some(words)) => words.push(wanted),
        (args, None) => *args = Some(vec![wanted]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{copy_with, pod, spec};
    use super::*;
    use crate::checkpoint::Id;

    #[test]
    fn the_copy_of_a_leader_listens_elsewhere_and_is_probed_there() {
        let probe = json!({"httpGet": {"path": "/healthz", "port": "https", "host": "127.0.0.1"}});
        let other = json!({"tcpSocket": {"port": 9}});
        let pod = pod(json!({"hostNetwork": true, "containers": [{
            "name": "kcm", "image": "i", "command": ["/usr/bin/kube-controller-manager", "--secure-port=10257", "--v=2"],
            "ports": [{"name": "https", "containerPort": 10257}], "livenessProbe": probe, "readinessProbe": other,
        }]}));
        let id = Id::new("prod", "web");
        assert_eq!(parent::role(&id, pod.spec.as_ref().unwrap(), &Id::new("a", "b")), Role::Leader);
        let spec = spec(&copy_with(Role::Leader, &pod).unwrap());
        let container = &spec["containers"][0];
        assert_eq!(
            container["command"],
            json!(["/usr/bin/kube-controller-manager", "--v=2", "--secure-port=10457"])
        );
        assert_eq!(container["livenessProbe"]["httpGet"]["port"], 10457);
        assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], 9);
        assert!(container.get("ports").is_none());
    }

    #[test]
    fn the_copy_of_the_apiserver_keeps_out_of_the_service_and_has_no_probes() {
        let pod = pod(json!({"hostNetwork": true, "containers": [{
            "name": "apiserver", "image": "i", "command": ["kube-apiserver"],
            "args": ["--permit-port-sharing", "--endpoint-reconciler-type", "lease", "--secure-port=6443"],
            "readinessProbe": {"httpGet": {"port": 6443}}, "lifecycle": {"preStop": {"sleep": {"seconds": 4}}},
        }]}));
        let role = parent::role(&Id::new("prod", "web"), pod.spec.as_ref().unwrap(), &Id::new("a", "b"));
        assert_eq!(role, Role::Apiserver);
        let spec = spec(&copy_with(role, &pod).unwrap());
        let container = &spec["containers"][0];
        assert_eq!(
            container["args"],
            json!(["--permit-port-sharing", "--secure-port=6443", "--endpoint-reconciler-type=none"])
        );
        assert!(container.get("readinessProbe").is_none());
        assert_eq!(container["lifecycle"], json!({"preStop": {"sleep": {"seconds": 4}}}));
    }
}
