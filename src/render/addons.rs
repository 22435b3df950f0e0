//! kube-proxy, cluster DNS and the pod network.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use serde_json::json;

use super::control_plane::{join, set_image};
use super::manifests::Manifests;
use super::{Error, base, customize, kubeconfig, objects};
use crate::config::{ClusterConfig, Component};
use crate::pki::Bundle;

const COREFILE: &str = include_str!("../../assets/Corefile");
const FLANNEL_CNI_CONF: &str = include_str!("../../assets/flannel-cni-conf.json");

/// kube-proxy, on every machine.
pub fn proxy(config: &ClusterConfig, bundle: &Bundle, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Proxy;
    let kubeconfig = kubeconfig::of_any_machine(config, bundle, "kube-proxy");
    let secret = objects::secret("kube-proxy", [("kubeconfig".to_owned(), kubeconfig.into())]);
    manifests.add_secret("manifests/kube-proxy-secret.yaml", component, secret)?;
    objects::service_account(component, "kube-proxy", "manifests/kube-proxy-sa.yaml", manifests)?;

    let mut daemon_set: DaemonSet = base::PROXY.parse();
    let template = &mut daemon_set.spec.get_or_insert_default().template;
    let pod = template.spec.get_or_insert_default();
    set_image(pod, &config.images.kube_proxy);
    customize::edit_args(pod, |args| {
        args.set("cluster-cidr", join(&config.pod_cidrs));
    });
    customize::pod(pod, &config.component(component));
    manifests.stamp(template);
    manifests.add("manifests/kube-proxy.yaml", component, daemon_set)
}

/// CoreDNS, with the tenth address of the service network.
pub fn core_dns(config: &ClusterConfig, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::CoreDns;
    let map = ConfigMap {
        metadata: objects::metadata("coredns"),
        data: Some(BTreeMap::from([("Corefile".to_owned(), corefile(config))])),
        ..ConfigMap::default()
    };
    manifests.add_config_map("manifests/coredns-config.yaml", component, map)?;
    objects::service_account(component, "coredns", "manifests/coredns-service-account.yaml", manifests)?;
    manifests.add_base::<ClusterRole>(component, &base::COREDNS_CLUSTER_ROLE)?;
    manifests.add_base::<ClusterRoleBinding>(component, &base::COREDNS_CLUSTER_ROLE_BINDING)?;
    objects::disruption_budget(component, "coredns", "kube-dns", manifests)?;
    manifests.add("manifests/coredns-service.yaml", component, dns_service(config))?;

    let mut deployment: Deployment = base::COREDNS.parse();
    let spec = deployment.spec.get_or_insert_default();
    spec.replicas = Some(i32::from(config.core_dns.replicas));
    let pod = spec.template.spec.get_or_insert_default();
    pod.automount_service_account_token = Some(true); // it lists Services and EndpointSlices
    set_image(pod, &config.images.coredns);
    customize::pod(pod, &config.component(component));
    manifests.stamp(&mut spec.template);
    manifests.add("manifests/coredns-deployment.yaml", component, deployment)
}

fn corefile(config: &ClusterConfig) -> String {
    let upstream = config.core_dns.upstream.join(" ");
    COREFILE.replace("CLUSTER_DOMAIN", &config.cluster_domain).replace("UPSTREAM", &upstream)
}

fn dns_service(config: &ClusterConfig) -> Service {
    let mut service: Service = base::COREDNS_SERVICE.parse();
    let spec = service.spec.get_or_insert_default();
    let addresses: Vec<String> = config.dns_service_ips().iter().map(ToString::to_string).collect();
    spec.cluster_ip = addresses.first().cloned();
    if addresses.len() > 1 {
        spec.ip_family_policy = Some("RequireDualStack".to_owned());
    }
    spec.cluster_ips = Some(addresses);
    service
}

/// flannel, on every machine.
pub fn flannel(config: &ClusterConfig, manifests: &mut Manifests) -> Result<(), Error> {
    let component = Component::Flannel;
    let map = ConfigMap {
        metadata: objects::metadata("kube-flannel"),
        data: Some(BTreeMap::from([
            ("cni-conf.json".to_owned(), FLANNEL_CNI_CONF.to_owned()),
            ("net-conf.json".to_owned(), flannel_network(config)),
        ])),
        ..ConfigMap::default()
    };
    manifests.add_config_map("manifests/flannel-cfg.yaml", component, map)?;
    objects::service_account(component, "flannel", "manifests/flannel-sa.yaml", manifests)?;
    manifests.add_base::<ClusterRole>(component, &base::FLANNEL_CLUSTER_ROLE)?;
    manifests.add_base::<ClusterRoleBinding>(component, &base::FLANNEL_CLUSTER_ROLE_BINDING)?;

    let mut daemon_set: DaemonSet = base::FLANNEL.parse();
    let template = &mut daemon_set.spec.get_or_insert_default().template;
    let pod = template.spec.get_or_insert_default();
    pod.automount_service_account_token = Some(true); // it reads and annotates Nodes
    set_image(pod, &config.images.flannel);
    let images = [&config.images.flannel_cni_plugin, &config.images.flannel];
    for (container, image) in pod.init_containers.iter_mut().flatten().zip(images) {
        container.image = Some(image.clone());
    }
    customize::pod(pod, &config.component(component));
    manifests.stamp(template);
    manifests.add("manifests/flannel.yaml", component, daemon_set)
}

fn flannel_network(config: &ClusterConfig) -> String {
    let mut network = json!({"Backend": {"Type": "vxlan"}});
    for cidr in &config.pod_cidrs {
        if cidr.addr().is_ipv6() {
            network["EnableIPv6"] = true.into();
            network["IPv6Network"] = cidr.to_string().into();
        } else {
            network["Network"] = cidr.to_string().into();
        }
    }
    if config.is_ipv6() && config.pod_cidrs.len() == 1 {
        network["EnableIPv4"] = false.into();
    }
    format!("{network:#}\n")
}
