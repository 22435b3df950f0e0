//! The temporary control plane: static pods, each derived from the pod it makes way for, so that the two cannot drift apart.
//!
//! What differs is what the time before the cluster demands: files of the machine instead of Secrets, no service account
//! (kubelet refuses a static pod that names an API object), ports and addresses that the self-hosted ones do not use.

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Pod, PodSpec, PodTemplateSpec};

use super::args::Args;
use super::control_plane::secret_file;
use super::manifests::Manifests;
use super::{Error, customize, objects};
use crate::config::Component;
use crate::{BOOTSTRAP_SECRETS, LOCAL_KUBECONFIG};

/// Controllers a pivot needs; the rest waits for the self-hosted controller manager.
const CONTROLLERS: &str = "certificatesigningrequest-approving-controller,\
     certificatesigningrequest-signing-controller,daemonset-controller,deployment-controller,\
     endpointslice-controller,node-ipam-controller,node-lifecycle-controller,replicaset-controller,\
     root-ca-certificate-publisher-controller,serviceaccount-controller";

/// The bootstrap apiserver.
pub fn apiserver(template: &PodTemplateSpec, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Apiserver;
    let pod = static_pod(component, template.spec.clone().unwrap_or_default(), "");
    manifests.add(file(component), component, pod)
}

/// The bootstrap controller manager or scheduler.
pub fn leader(
    component: Component,
    template: &PodTemplateSpec,
    manifests: &mut Manifests,
) -> Result<(), Error> {
    let kubeconfig = secret_file(LOCAL_KUBECONFIG);
    let pod = static_pod(component, template.spec.clone().unwrap_or_default(), &kubeconfig);
    manifests.add(file(component), component, pod)
}

/// Where the bootstrap pod of a component is in an asset directory.
pub fn file(component: Component) -> &'static str {
    match component {
        Component::Apiserver => "bootstrap-manifests/bootstrap-apiserver.yaml",
        Component::ControllerManager => "bootstrap-manifests/bootstrap-controller-manager.yaml",
        _ => "bootstrap-manifests/bootstrap-scheduler.yaml",
    }
}

/// The bootstrap pod that makes way for pods of `spec`; `kubeconfig` is where it finds the way to the API, if it needs one.
pub fn static_pod(component: Component, mut spec: PodSpec, kubeconfig: &str) -> Pod {
    customize::edit_args(&mut spec, |args| edit(component, kubeconfig, args));
    detach(&mut spec);
    let name = format!("bootstrap-{}", component.name());
    let mut metadata = objects::metadata(&name);
    metadata.labels = Some(objects::labels(&name));
    Pod { metadata, spec: Some(spec), ..Pod::default() }
}

fn edit(component: Component, kubeconfig: &str, args: &mut Args) {
    if component == Component::Apiserver {
        // Else its exit removes the address that it shares with the self-hosted one from the kubernetes Service.
        args.set("endpoint-reconciler-type", "none");
        return;
    }
    for flag in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
        args.set(flag, kubeconfig);
    }
    if component == Component::ControllerManager {
        // One service account and token for each controller, at 20 a second, would come before any of them runs.
        args.remove("use-service-account-credentials")
            .set("secure-port", "10357")
            .set("controllers", CONTROLLERS)
            .set("kube-api-burst", "500")
            .set("kube-api-qps", "300");
    } else {
        args.set("secure-port", "10359");
    }
}

/// Frees a pod from everything that only an API can give.
fn detach(spec: &mut PodSpec) {
    spec.service_account_name = None;
    spec.node_selector = None;
    spec.affinity = None;
    spec.dns_policy = None;
    spec.enable_service_links = Some(false);
    spec.readiness_gates = None;
    spec.termination_grace_period_seconds = Some(10);
    for container in &mut spec.containers {
        // Kubelet would restart a bootstrap pod that is slow to come up; `start` watches it closer than that.
        container.liveness_probe = None;
        container.readiness_probe = None;
        container.lifecycle = None;
    }
    for volume in spec.volumes.iter_mut().flatten() {
        if volume.secret.take().is_some() {
            let type_ = Some("Directory".to_owned());
            volume.host_path = Some(HostPathVolumeSource { path: BOOTSTRAP_SECRETS.to_owned(), type_ });
        }
    }
}
