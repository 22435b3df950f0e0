//! The cluster as the user wants it: one validated, immutable [`ClusterConfig`].
//!
//! Values come from defaults, then a file (`--config`), then flags. [`resolve()`] merges the three
//! and reports every mistake at once, each with the flag or field path that it was written in.
//!
//! Nothing here looks at the machine, the clock or other files: paths are passed on unread.

mod consistency;
pub mod defaults;
mod file;
mod flags;
mod names;
mod resolve;
mod settings;
mod user_file;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;
use url::Url;

pub use crate::nodes::{Effect, Node, NodesFile, Role, Taint};
pub use crate::values::endpoint::endpoint;
pub use crate::values::scalar::Named;
pub use file::{API_VERSION, KIND};
pub use flags::Flags;
pub use resolve::resolve;
pub use user_file::UserFile;

/// A whole cluster, resolved and valid. It holds no secret, only paths to secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterConfig {
    /// Name of the cluster, in kubeconfigs and certificates. Default `kubernetes`.
    pub cluster_name: String,
    /// DNS domain of Services. Default `cluster.local`.
    pub cluster_domain: String,
    /// Version of Kubernetes, with its `v`. Default `v1.36.3`.
    pub kubernetes_version: String,
    /// URLs of the API; the first is the one in kubeconfigs. Never empty. Write them with
    /// [`endpoint()`], which names the port.
    pub api_servers: Vec<Url>,
    /// Subject alternative names of the apiserver beyond the hosts of `api_servers`.
    pub api_alt_names: AltNames,
    /// Port that apiservers listen on: that of `api_servers[0]`.
    pub secure_port: u16,
    /// Where etcd is, and whether bootkube runs it.
    pub etcd: Etcd,
    /// One or two (dual stack, IPv4 and IPv6 in either order; the first is the primary family) pod
    /// CIDRs.
    pub pod_cidrs: Vec<IpNet>,
    /// As many service CIDRs, in the same order of families.
    pub service_cidrs: Vec<IpNet>,
    /// Pod network.
    pub networking: Networking,
    /// Image references by component; every component has one.
    pub images: Images,
    /// Changes to single components, by component.
    pub components: BTreeMap<Component, ComponentConfig>,
    /// Controllers and how they are marked.
    pub control_plane: ControlPlane,
    /// The machines, if they are listed. Controllers are in `api_alt_names`, too.
    pub nodes: Vec<Node>,
    /// `--cloud-provider` of the controller manager. Empty: none.
    pub cloud_provider: String,
    /// Host directory of CA certificates, mounted at /etc/ssl/certs into apiserver and controller
    /// manager. Default `/etc/ssl/certs`.
    pub trusted_certs_dir: String,
    /// How certificates are made.
    pub certificates: Certificates,
    /// An existing Kubernetes CA (paths), both or neither.
    pub ca: Option<CaFiles>,
    /// How long the rendered bootstrap token is valid; `None`: for ever.
    pub bootstrap_token_expiry: Option<Duration>,
    /// `--service-account-issuer`. Default `https://kubernetes.default.svc.<cluster domain>`.
    pub service_account_issuer: String,
    /// Whether the aggregation layer (front-proxy certificates) is set up. Default true.
    pub aggregation: bool,
    /// Whether the agent also keeps copies of pods on machines other than controllers. Default
    /// false.
    pub checkpoint_workers: bool,
    /// CoreDNS.
    pub core_dns: CoreDns,
}

/// Subject alternative names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct AltNames {
    pub ips: Vec<IpAddr>,
    pub dns_names: Vec<String>,
}

/// Whether bootkube runs etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Etcd {
    /// etcd runs outside of bootkube, which renders client certificates, and server and peer
    /// certificates if no CA is supplied.
    External {
        /// Client URLs. Any `https` turns TLS on.
        servers: Vec<Url>,
        /// An existing client identity; all three or none.
        client: Option<EtcdClientFiles>,
    },
    /// A static pod that stays on the controller; the apiserver reaches it at
    /// `https://127.0.0.1:2379`.
    StaticPod,
}

/// Paths of an existing etcd client identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct EtcdClientFiles {
    pub ca: UserFile,
    pub certificate: UserFile,
    pub private_key: UserFile,
}

/// Paths of an existing CA.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct CaFiles {
    pub certificate: UserFile,
    pub private_key: UserFile,
}

/// Pod network that is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Networking {
    /// Nothing: the user brings a CNI plugin.
    None,
    /// flannel with vxlan.
    Flannel,
}

/// The components. Each can be customised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Component {
    Apiserver,
    ControllerManager,
    Scheduler,
    Proxy,
    CoreDns,
    Etcd,
    Flannel,
    /// bootkube's agent on controllers.
    Agent,
}

/// Image references, fully qualified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Images {
    pub kube_apiserver: String,
    pub kube_controller_manager: String,
    pub kube_scheduler: String,
    pub kube_proxy: String,
    pub coredns: String,
    pub etcd: String,
    pub flannel: String,
    pub flannel_cni_plugin: String,
    pub bootkube: String,
}

/// Changes to one component, applied to its bootstrap and its self-hosted form alike (patches: to
/// the kind they name).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComponentConfig {
    /// Flags without their dashes, in the form in which Kubernetes reads them. Values replace the
    /// rendered ones, and the flag is given once for each; none removes the flag.
    pub extra_args: BTreeMap<String, Vec<String>>,
    /// Host paths mounted into the component's container.
    pub extra_volumes: Vec<ExtraVolume>,
    /// Patches of rendered objects, applied last and in order.
    pub patches: Vec<Patch>,
}

/// A host path in a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraVolume {
    /// Name of the volume, unique in the pod.
    pub name: String,
    /// Path on the machine.
    pub host_path: String,
    /// Path in the container.
    pub mount_path: String,
    /// Default true.
    pub read_only: bool,
    /// Kubernetes' HostPathVolumeSource type, such as `DirectoryOrCreate` or `File`. Empty: no
    /// check.
    pub path_type: String,
}

/// A patch of one rendered object.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Kind of the object, such as `DaemonSet`; `Pod` is the bootstrap static pod.
    pub kind: String,
    /// How `patch` is read.
    pub patch_type: PatchType,
    /// The patch itself.
    pub patch: Value,
}

/// Kinds of patch, as kubectl names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// Lists are merged by their keys (containers by name). Default.
    Strategic,
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
}

/// Controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPlane {
    /// How many controllers there will be: replicas of controller manager and scheduler. Default:
    /// those of the list, else 1.
    pub controllers: u16,
    /// Whether other machines run workloads. Default: whether the list has a worker. Without workers
    /// controllers carry no taint.
    pub workers: bool,
    /// Label key and value that the control plane selects. Default
    /// `node-role.kubernetes.io/control-plane` and ``.
    pub label: (String, String),
    /// Key of the NoSchedule taint put on controllers, if any. Default the label's key where there
    /// are workers.
    pub taint: Option<String>,
}

/// How certificates are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// For every key made. Default ECDSA P-256.
    pub key_algorithm: KeyAlgorithm,
    /// Of leaves. Default 365 days.
    pub validity: Duration,
    /// Of authorities. Default ten years.
    pub ca_validity: Duration,
}

/// Key algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum KeyAlgorithm {
    EcdsaP256,
    Rsa2048,
    Rsa4096,
}

/// CoreDNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreDns {
    /// Default 2.
    pub replicas: u16,
    /// Resolvers of other names: addresses, or the path of a resolv.conf. Default
    /// `/etc/resolv.conf`.
    pub upstream: Vec<String>,
}

impl ClusterConfig {
    /// First address of each service CIDR: the `kubernetes` Service.
    pub fn api_service_ips(&self) -> Vec<IpAddr> {
        self.service_cidrs.iter().map(|cidr| offset(cidr, 1)).collect()
    }

    /// Tenth address of each service CIDR: the DNS Service.
    pub fn dns_service_ips(&self) -> Vec<IpAddr> {
        self.service_cidrs.iter().map(|cidr| offset(cidr, 10)).collect()
    }

    /// The user's changes to `component`; empty if there are none.
    pub fn component(&self, component: Component) -> ComponentConfig {
        self.components.get(&component).cloned().unwrap_or_default()
    }

    /// Whether `component` is among what is rendered.
    pub fn renders(&self, component: Component) -> bool {
        component.is_rendered(&self.etcd, self.networking)
    }

    /// Whether the primary family is IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.service_cidrs.first().is_some_and(|cidr| cidr.addr().is_ipv6())
    }

    /// Whether the list says which addresses the pods of each machine have. Then no component
    /// assigns them.
    pub fn has_listed_pod_ranges(&self) -> bool {
        self.nodes.iter().any(|node| !node.pod_cidrs.is_empty())
    }

    /// Whether etcd is reached over TLS.
    pub fn etcd_tls(&self) -> bool {
        match &self.etcd {
            Etcd::External { servers, .. } => servers.iter().any(|url| url.scheme() == "https"),
            Etcd::StaticPod => true,
        }
    }
}

impl Component {
    fn is_rendered(self, etcd: &Etcd, networking: Networking) -> bool {
        match self {
            Self::Etcd => *etcd == Etcd::StaticPod,
            Self::Flannel => networking == Networking::Flannel,
            _ => true,
        }
    }
}

/// Whether `url` is a loopback address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The `n`th address of a network. Host bits of the CIDR do not matter.
pub fn offset(cidr: &IpNet, n: u32) -> IpAddr {
    match cidr.network() {
        IpAddr::V4(base) => IpAddr::from((u32::from(base).wrapping_add(n)).to_be_bytes()),
        IpAddr::V6(base) => IpAddr::from((u128::from(base).wrapping_add(u128::from(n))).to_be_bytes()),
    }
}
