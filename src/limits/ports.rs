//! Ports that our own parts listen on, on a controller. All of them are on one machine, and the
//! machine's network is theirs.

/// A port with the part that listens on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// TCP.
    pub number: u16,
    /// The part, for messages.
    pub part: &'static str,
}

const fn port(number: u16, part: &'static str) -> Port {
    Port { number, part }
}

/// On every controller. Kubernetes' own are in pkg/cluster/ports/ports.go (v1.36.3, lines 28 to
/// 46).
pub const OF_EVERY_CONTROLLER: [Port; 10] = [
    port(10248, "kubelet's health"),
    port(10250, "kubelet"),
    port(10257, "kube-controller-manager"),
    port(10259, "kube-scheduler"),
    port(10357, "the bootstrap kube-controller-manager"),
    port(10359, "the bootstrap kube-scheduler"),
    port(10457, "the copy of kube-controller-manager"),
    port(10459, "the copy of kube-scheduler"),
    PROXY_HEALTH,
    PROXY_METRICS,
];

/// kube-proxy's health. Its readiness probe asks there.
pub const PROXY_HEALTH: Port = port(10256, "kube-proxy's health");
/// kube-proxy's metrics, unless a flag moves them.
pub const PROXY_METRICS: Port = port(10249, "kube-proxy's metrics");

/// Where bootkube runs etcd.
pub const OF_ETCD: [Port; 3] =
    [port(2379, "etcd (etcd.mode staticPod)"), port(2380, "etcd's peers"), ETCD_HEALTH];

/// Where etcd's probes ask.
pub const ETCD_HEALTH: Port = port(2381, "etcd's health");

/// Ports that Services of type NodePort get unless a flag says otherwise
/// (pkg/kubeapiserver/options/options.go).
pub const NODE_PORTS: (u16, u16) = (30000, 32767);
