//! The apiserver, the controller manager, the scheduler, the agent and etcd.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{
    Affinity, ConfigMap, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec,
    PodTemplateSpec,
};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::args::Args;
use super::manifests::Manifests;
use super::{Error, base, bootstrap, customize, kubeconfig, objects};
use crate::config::{ClusterConfig, Component, Etcd};
use crate::pki::Bundle;

/// Where a component mounts its files, whether it is bootstrap or self-hosted.
pub const SECRETS: &str = "/etc/kubernetes/secrets";

/// The apiserver, on every controller.
pub fn apiserver(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Apiserver;
    let mut files: Vec<(String, Vec<u8>)> =
        vec![(objects::AUTHENTICATION_FILE.into(), objects::AUTHENTICATION.into())];
    files.extend(pick(bundle, &APISERVER_FILES));
    let secret = objects::secret("kube-apiserver", files);
    manifests.add_secret("manifests/kube-apiserver-secret.yaml", component, secret)?;
    objects::service_account(component, "kube-apiserver", "manifests/kube-apiserver-sa.yaml", manifests)?;

    let mut daemon_set: DaemonSet = base::APISERVER.parse();
    let spec = daemon_set.spec.get_or_insert_default();
    let pod = controller_pod(config, &mut spec.template);
    set_image(pod, &config.images.kube_apiserver);
    customize::edit_args(pod, |args| apiserver_args(config, args));
    probe_apiserver(config, pod);
    customize::pod(pod, &config.component(component));
    bootstrap::add(component, &spec.template, manifests)?;
    manifests.stamp(&mut spec.template);
    manifests.add("manifests/kube-apiserver.yaml", component, daemon_set)
}

const APISERVER_FILES: [&str; 13] = [
    "apiserver.crt",
    "apiserver.key",
    "apiserver-kubelet-client.crt",
    "apiserver-kubelet-client.key",
    "ca.crt",
    "etcd-client-ca.crt",
    "etcd-client.crt",
    "etcd-client.key",
    "front-proxy-ca.crt",
    "front-proxy-client.crt",
    "front-proxy-client.key",
    "service-account.key",
    "service-account.pub",
];

fn apiserver_args(config: &ClusterConfig, args: &mut Args) {
    args.set("bind-address", if config.is_ipv6() { "::" } else { "0.0.0.0" })
        .set("secure-port", config.secure_port.to_string())
        .set("service-account-issuer", &config.service_account_issuer)
        .set("service-cluster-ip-range", join(&config.service_cidrs))
        .set("etcd-servers", etcd_servers(config));
    if config.etcd_tls() {
        args.set("etcd-cafile", secret_file("etcd-client-ca.crt"))
            .set("etcd-certfile", secret_file("etcd-client.crt"))
            .set("etcd-keyfile", secret_file("etcd-client.key"));
    }
    if config.aggregation {
        args.set("proxy-client-cert-file", secret_file("front-proxy-client.crt"))
            .set("proxy-client-key-file", secret_file("front-proxy-client.key"))
            .set("requestheader-allowed-names", "front-proxy-client")
            .set("requestheader-client-ca-file", secret_file("front-proxy-ca.crt"))
            .set("requestheader-extra-headers-prefix", "X-Remote-Extra-")
            .set("requestheader-group-headers", "X-Remote-Group")
            .set("requestheader-username-headers", "X-Remote-User");
    }
}

fn etcd_servers(config: &ClusterConfig) -> String {
    match &config.etcd {
        Etcd::StaticPod => "https://127.0.0.1:2379".to_owned(),
        Etcd::External { servers, .. } => {
            let urls: Vec<&str> = servers.iter().map(|url| url.as_str().trim_end_matches('/')).collect();
            urls.join(",")
        }
    }
}

/// While two apiservers share the port, the one that gets new connections also answers the other
/// one's probes. So a probe does not show which one is ready; the readiness gate does.
fn probe_apiserver(config: &ClusterConfig, pod: &mut PodSpec) {
    let Some(container) = pod.containers.first_mut() else { return };
    for probe in [&mut container.readiness_probe, &mut container.liveness_probe].into_iter().flatten() {
        if let Some(http) = &mut probe.http_get {
            http.port = IntOrString::Int(i32::from(config.secure_port));
        }
    }
}

/// The controller manager, one replica for each controller.
pub fn controller_manager(
    config: &ClusterConfig,
    bundle: &Bundle,
    manifests: &mut Manifests,
) -> Result<(), Error> {
    let component = Component::ControllerManager;
    let mut files = pick(bundle, &["ca.crt", "ca.key", "service-account.key"]);
    files.push((
        "kubeconfig".into(),
        kubeconfig::of_this_machine(config, bundle, "controller-manager").into(),
    ));
    let deployment: Deployment = base::CONTROLLER_MANAGER.parse();
    let image = &config.images.kube_controller_manager;
    leader(config, component, deployment, files, image, manifests, |args| {
        args.set("cluster-cidr", join(&config.pod_cidrs))
            .set("cluster-name", &config.cluster_name)
            .set("service-cluster-ip-range", join(&config.service_cidrs));
        if config.has_listed_pod_ranges() {
            args.set("allocate-node-cidrs", "false");
        }
        if !config.cloud_provider.is_empty() {
            args.set("cloud-provider", &config.cloud_provider);
        }
    })
}

/// The scheduler, one replica for each controller.
pub fn scheduler(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) -> Result<(), Error> {
    let files = vec![("kubeconfig".into(), kubeconfig::of_this_machine(config, bundle, "scheduler").into())];
    let deployment: Deployment = base::SCHEDULER.parse();
    let image = &config.images.kube_scheduler;
    leader(config, Component::Scheduler, deployment, files, image, manifests, |_| {})
}

/// A component with leader election.
fn leader(
    config: &ClusterConfig,
    component: Component,
    mut deployment: Deployment,
    files: Vec<(String, Vec<u8>)>,
    image: &str,
    manifests: &mut Manifests,
    args: impl FnOnce(&mut Args),
) -> Result<(), Error> {
    let name = component.name();
    let secret = objects::secret(name, files);
    manifests.add_secret(&format!("manifests/{name}-secret.yaml"), component, secret)?;
    objects::service_account(component, name, &format!("manifests/{name}-service-account.yaml"), manifests)?;
    objects::disruption_budget(component, name, name, manifests)?;

    let spec = deployment.spec.get_or_insert_default();
    spec.replicas = Some(i32::from(config.control_plane.controllers));
    let pod = controller_pod(config, &mut spec.template);
    set_image(pod, image);
    customize::edit_args(pod, args);
    customize::pod(pod, &config.component(component));
    bootstrap::add(component, &spec.template, manifests)?;
    manifests.stamp(&mut spec.template);
    manifests.add(&format!("manifests/{name}.yaml"), component, deployment)
}

/// bootkube's agent, on every controller.
pub fn agent(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Agent;
    let name = component.name();
    let kubeconfig = kubeconfig::of_this_machine(config, bundle, "agent");
    let secret = objects::secret(name, [("kubeconfig".to_owned(), kubeconfig.into())]);
    manifests.add_secret("manifests/pod-checkpointer-secret.yaml", component, secret)?;
    objects::service_account(component, name, "manifests/pod-checkpointer-sa.yaml", manifests)?;
    manifests.add_base::<Role>(component, &base::AGENT_ROLE)?;
    manifests.add_base::<RoleBinding>(component, &base::AGENT_ROLE_BINDING)?;
    manifests.add_base::<ClusterRole>(component, &base::AGENT_CLUSTER_ROLE)?;
    manifests.add_base::<ClusterRoleBinding>(component, &base::AGENT_CLUSTER_ROLE_BINDING)?;

    let mut daemon_set: DaemonSet = base::AGENT.parse();
    let template = &mut daemon_set.spec.get_or_insert_default().template;
    let pod = controller_pod(config, template);
    set_image(pod, &config.images.bootkube);
    customize::pod(pod, &config.component(component));
    manifests.stamp(template);
    manifests.add("manifests/pod-checkpointer.yaml", component, daemon_set)?;
    if config.checkpoint_workers { worker_agent(config, bundle, manifests) } else { Ok(()) }
}

/// The agent on every other machine, with the credentials of that machine's kubelet.
fn worker_agent(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Agent;
    let data = [("kubeconfig".to_owned(), kubeconfig::of_kubelet(config, bundle))];
    let metadata = objects::metadata("pod-checkpointer-worker");
    let map = ConfigMap { metadata, data: Some(data.into()), ..ConfigMap::default() };
    manifests.add_config_map("manifests/pod-checkpointer-worker-config.yaml", component, map)?;

    let mut daemon_set: DaemonSet = base::AGENT_WORKER.parse();
    let template = &mut daemon_set.spec.get_or_insert_default().template;
    let pod = template.spec.get_or_insert_default();
    pod.affinity = Some(no_controller(config));
    set_image(pod, &config.images.bootkube);
    customize::pod(pod, &config.component(component));
    manifests.stamp(template);
    manifests.add("manifests/pod-checkpointer-worker.yaml", component, daemon_set)
}

fn no_controller(config: &ClusterConfig) -> Affinity {
    let (key, value) = config.control_plane.label.clone();
    let rule = NodeSelectorRequirement { key, operator: "NotIn".to_owned(), values: Some(vec![value]) };
    let term = NodeSelectorTerm { match_expressions: Some(vec![rule]), ..NodeSelectorTerm::default() };
    let required = Some(NodeSelector { node_selector_terms: vec![term] });
    let node_affinity = NodeAffinity {
        required_during_scheduling_ignored_during_execution: required,
        ..NodeAffinity::default()
    };
    Affinity { node_affinity: Some(node_affinity), ..Affinity::default() }
}

/// etcd as a static pod. `start` places it first and never removes it.
pub fn etcd(config: &ClusterConfig, manifests: &mut Manifests) -> Result<(), Error> {
    let mut pod: Pod = base::ETCD.parse();
    let spec = pod.spec.get_or_insert_default();
    set_image(spec, &config.images.etcd);
    customize::pod(spec, &config.component(Component::Etcd));
    manifests.add("controller-manifests/etcd.yaml", Component::Etcd, pod)
}

/// What every pod of the control plane has: the node selector, and the CA certificates of its
/// machine.
fn controller_pod<'t>(config: &ClusterConfig, template: &'t mut PodTemplateSpec) -> &'t mut PodSpec {
    let pod = template.spec.get_or_insert_default();
    pod.node_selector = Some([config.control_plane.label.clone()].into());
    for volume in pod.volumes.iter_mut().flatten().filter(|volume| volume.name == "trusted-certs") {
        if let Some(host_path) = &mut volume.host_path {
            host_path.path.clone_from(&config.trusted_certs_dir);
        }
    }
    pod
}

/// Sets the image of the first container.
pub fn set_image(pod: &mut PodSpec, image: &str) {
    if let Some(container) = pod.containers.first_mut() {
        container.image = Some(image.to_owned());
    }
}

/// Those of `names` that the bundle has, as files of a Secret.
fn pick(bundle: &Bundle, names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let files = names.iter().filter_map(|name| bundle.files.get_key_value(*name));
    files.map(|(name, content)| (name.clone(), content.clone())).collect()
}

/// Path of a file of the component's Secret.
pub fn secret_file(name: &str) -> String {
    format!("{SECRETS}/{name}")
}

/// A list as the components' flags take it.
pub fn join(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
