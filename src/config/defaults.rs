//! Every default, each with its reason. Defaults that v0.14 had are v0.14's.

use std::time::Duration;

use super::{Certificates, KeyAlgorithm};

/// What kubeadm calls a cluster that nobody named.
pub const CLUSTER_NAME: &str = "kubernetes";
/// What nearly every chart and example assumes.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// The version that this release is tested with.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
/// Minor versions of Kubernetes 1 that rendered manifests are made for: those that were supported when this was released.
pub const KUBERNETES_MINORS: std::ops::RangeInclusive<u32> = 34..=36;
/// v0.14: a machine that only talks to itself.
pub const API_SERVER: &str = "https://127.0.0.1:6443";
/// v0.14: etcd on the controller, run by the host.
pub const ETCD_SERVER: &str = "https://127.0.0.1:2379";
/// v0.14.
pub const POD_CIDR: &str = "10.2.0.0/16";
/// v0.14; small, so that kubelets' `--cluster-dns` (the tenth address) is easy to say.
pub const SERVICE_CIDR: &str = "10.3.0.0/24";
/// What `kubectl get nodes` shows as a role, and what others' manifests tolerate.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";
/// One machine is the smallest cluster.
pub const CONTROLLERS: u16 = 1;
/// Where Go programs look. v0.14 mounted /usr/share/ca-certificates there, which Debian fills with folders that Go does not enter.
pub const TRUSTED_CERTS_DIR: &str = "/etc/ssl/certs";
/// Long enough to join machines by hand, short enough to leak.
pub const BOOTSTRAP_TOKEN_EXPIRY: Duration = Duration::from_secs(24 * 3600);
/// One can be lost.
pub const CORE_DNS_REPLICAS: u16 = 2;
/// What the machine itself asks.
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

/// The project's own registries. Kubernetes follows the version that was asked for; the rest is what is tested with it.
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
