//! Every default, each with its reason. Defaults that v0.14 had are v0.14's.

use std::time::Duration;

use super::{Certificates, ClusterConfig, Component, KeyAlgorithm};

/// kubeadm's default.
pub const CLUSTER_NAME: &str = "kubernetes";
/// Nearly every chart and example assumes it.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// The version that this release is tested with.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
/// Minor versions of Kubernetes 1 that rendered manifests are made for: those that were supported
/// when this was released.
pub const KUBERNETES_MINORS: std::ops::RangeInclusive<u32> = 34..=36;
/// v0.14's: a single machine.
pub const API_SERVER: &str = "https://127.0.0.1:6443";
/// v0.14's: etcd on the controller, run by the host.
pub const ETCD_SERVER: &str = "https://127.0.0.1:2379";
/// v0.14's.
pub const POD_CIDR: &str = "10.2.0.0/16";
/// v0.14's.
pub const SERVICE_CIDR: &str = "10.3.0.0/24";
/// `kubectl get nodes` shows it as a role, and many manifests tolerate it.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";
/// The smallest cluster.
pub const CONTROLLERS: u16 = 1;
/// Where Go programs look. v0.14 mounted /usr/share/ca-certificates there, which Debian fills with
/// folders that Go does not enter.
pub const TRUSTED_CERTS_DIR: &str = "/etc/ssl/certs";
/// Long enough to join machines by hand, and short enough that a leaked token is soon useless.
pub const BOOTSTRAP_TOKEN_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// With two, one can fail.
pub const CORE_DNS_REPLICAS: u16 = 2;
/// The resolvers of the machine itself.
pub const CORE_DNS_UPSTREAM: &str = "/etc/resolv.conf";

const DAY: u64 = 24 * 3600;

/// P-256: small, fast, accepted everywhere. A year and ten years: v0.14's, and kubeadm's.
pub const CERTIFICATES: Certificates = Certificates {
    key_algorithm: KeyAlgorithm::EcdsaP256,
    validity: Duration::from_secs(365 * DAY),
    ca_validity: Duration::from_secs(3650 * DAY),
};

/// The issuer that workloads of this cluster can resolve.
pub fn service_account_issuer(cluster_domain: &str) -> String {
    format!("https://kubernetes.default.svc.{cluster_domain}")
}

/// The project's own registries. Kubernetes follows the version that was asked for; the rest is
/// what is tested with it.
pub fn image(name: &str, kubernetes_version: &str) -> String {
    match name {
        "coredns" => "registry.k8s.io/coredns/coredns:v1.14.2".into(),
        "etcd" => "registry.k8s.io/etcd:3.6.8-0".into(),
        "flannel" => "ghcr.io/flannel-io/flannel:v0.28.4".into(),
        "flannel-cni-plugin" => "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel1".into(),
        "bootkube" => format!("quay.io/bootkube/bootkube:v{}", crate::VERSION),
        kubernetes => format!("registry.k8s.io/{kubernetes}:{kubernetes_version}"),
    }
}

impl ClusterConfig {
    /// Whether `component` has an image of the user's making. A mirror keeps the tag of an image.
    pub fn has_own_image(&self, component: Component) -> bool {
        let name = if component == Component::Agent { "bootkube" } else { component.name() };
        let own = self.images.entries().into_iter().find(|(of, _)| *of == name);
        let default = image(name, &self.kubernetes_version);
        own.is_some_and(|(_, own)| tag(own) != tag(&default))
    }
}

fn tag(image: &str) -> Option<&str> {
    image.rsplit('/').next()?.split('@').next()?.split_once(':').map(|(_, tag)| tag)
}
