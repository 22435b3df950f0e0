//! Flags of components with values that they take and values that they do not.

/// Clusters that a flag is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum For {
    All,
    /// With one family, IPv4 or not.
    One {
        is_ipv4: bool,
    },
    /// With the family, alone or beside the other one.
    Any {
        is_ipv4: bool,
    },
}

pub struct Flag {
    pub component: &'static str,
    pub name: &'static str,
    pub clusters: For,
    pub good: &'static [&'static str],
    pub odd: &'static [&'static str],
}

impl Flag {
    /// Whether it is for a cluster of these families: whether each is IPv4.
    pub fn fits(&self, families: &[bool]) -> bool {
        match self.clusters {
            For::All => true,
            For::One { is_ipv4 } => families == [is_ipv4],
            For::Any { is_ipv4 } => families.contains(&is_ipv4),
        }
    }
}

type Values = &'static [&'static str];

const fn flag(component: &'static str, name: &'static str, good: Values, odd: Values) -> Flag {
    Flag { component, name, clusters: For::All, good, odd }
}

const fn of(clusters: For, flag: Flag) -> Flag {
    Flag { clusters, ..flag }
}

const API: &str = "kube-apiserver";
const MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";
const PROXY: &str = "kube-proxy";
const LEVELS: Values = &["0", "2", "4"];
const NO_LEVELS: Values = &["loud", "-"];
const SWITCH: Values = &["true", "false"];
const NO_SWITCH: Values = &["perhaps", "yes"];
const NUMBERS: Values = &["30", "1", "500"];
const NO_NUMBERS: Values = &["many", "1.5", "1m"];
const TIMES: Values = &["1m0s", "90s", "1h"];
const NO_TIMES: Values = &["1", "1 minute", "1d"];

/// Flags that belong to a field or to the hand-over.
pub const OWNED: [&str; 4] = ["secure-port", "cluster-cidr", "data-dir", "service-cluster-ip-range"];

pub const FLAGS: &[Flag] = &[
    flag(API, "v", LEVELS, NO_LEVELS),
    flag(API, "profiling", SWITCH, NO_SWITCH),
    flag(API, "audit-log-path", &["-", "/dev/stdout"], &["/var/log/audit/audit.log"]),
    flag(API, "audit-log-maxage", NUMBERS, &["-1", "x"]),
    flag(API, "max-requests-inflight", NUMBERS, &["-1", "many"]),
    flag(API, "max-mutating-requests-inflight", NUMBERS, NO_NUMBERS),
    flag(API, "request-timeout", TIMES, &["-1s", "1"]),
    flag(API, "min-request-timeout", NUMBERS, &["-1", "30m"]),
    flag(API, "goaway-chance", &["0", "0.001"], &["0.5", "often"]),
    flag(API, "service-node-port-range", &["30000-32767", "20000-22767"], &["3-1", "70000-70001", "x"]),
    flag(API, "default-not-ready-toleration-seconds", NUMBERS, NO_NUMBERS),
    flag(API, "event-ttl", TIMES, NO_TIMES),
    flag(API, "enable-admission-plugins", &["NodeRestriction", "NodeRestriction,AlwaysPullImages"], &[""]),
    flag(API, "tls-min-version", &["VersionTLS12", "VersionTLS13"], &["TLS1.3"]),
    flag(
        API,
        "authorization-mode",
        &["Node,RBAC", "RBAC,Node"],
        &["RBAC", "Node,RBAC,Node", "Node,RBAC,Yes"],
    ),
    flag(
        API,
        "feature-gates",
        &["AllAlpha=false", "ContextualLogging=true"],
        &["AllAlpha", "AllAlpha=maybe"],
    ),
    flag(API, "shutdown-delay-duration", &["0s", "5s"], NO_TIMES),
    flag(API, "livez-grace-period", TIMES, NO_TIMES),
    flag(MANAGER, "v", LEVELS, NO_LEVELS),
    flag(MANAGER, "profiling", SWITCH, NO_SWITCH),
    of(
        For::One { is_ipv4: true },
        flag(MANAGER, "node-cidr-mask-size", &["24", "25", "26"], &["33", "8", "x"]),
    ),
    of(For::One { is_ipv4: false }, flag(MANAGER, "node-cidr-mask-size", &["64", "63"], &["129", "24", "x"])),
    of(For::Any { is_ipv4: true }, flag(MANAGER, "node-cidr-mask-size-ipv4", &["24", "26"], &["32", "x"])),
    of(For::Any { is_ipv4: false }, flag(MANAGER, "node-cidr-mask-size-ipv6", &["64"], &["112", "x"])),
    flag(MANAGER, "node-monitor-grace-period", &["40s", "1m"], NO_TIMES),
    flag(MANAGER, "leader-elect-lease-duration", &["15s", "20s"], &["5s", "15"]),
    flag(MANAGER, "leader-elect-renew-deadline", &["8s", "10s"], &["500ms", "1h", "x"]),
    flag(MANAGER, "concurrent-deployment-syncs", NUMBERS, NO_NUMBERS),
    flag(MANAGER, "kube-api-qps", &["50", "12.5"], &["fast", "1s"]),
    flag(MANAGER, "kube-api-burst", NUMBERS, NO_NUMBERS),
    flag(MANAGER, "cluster-signing-duration", &["8760h0m0s", "24h"], NO_TIMES),
    flag(MANAGER, "bind-address", &["0.0.0.0", "127.0.0.1"], &["192.0.2.1", "localhost"]),
    flag(MANAGER, "terminated-pod-gc-threshold", NUMBERS, NO_NUMBERS),
    flag(MANAGER, "allocate-node-cidrs", &["true"], &["false", "maybe"]),
    flag(MANAGER, "controllers", &["*", "*,-ttl-after-finished-controller"], &["*"]),
    flag(SCHEDULER, "v", LEVELS, NO_LEVELS),
    flag(SCHEDULER, "profiling", SWITCH, NO_SWITCH),
    flag(SCHEDULER, "leader-elect-retry-period", &["1s", "2s"], &["9s", "0s", "2"]),
    flag(SCHEDULER, "kube-api-qps", &["50", "12.5"], &["fast", "1s"]),
    flag(SCHEDULER, "pod-max-in-unschedulable-pods-duration", TIMES, NO_TIMES),
    flag(SCHEDULER, "bind-address", &["0.0.0.0", "127.0.0.1"], &["192.0.2.1", "::1"]),
    flag(PROXY, "v", LEVELS, NO_LEVELS),
    flag(PROXY, "proxy-mode", &["iptables", "nftables", "ipvs"], &["userspace", "IPTables"]),
    flag(PROXY, "conntrack-max-per-core", &["0", "32768"], &["-1", "x"]),
    flag(PROXY, "conntrack-tcp-timeout-established", TIMES, NO_TIMES),
    flag(PROXY, "metrics-bind-address", &["0.0.0.0:10249", "127.0.0.1"], &["localhost", "0.0.0.0:10250"]),
    flag(PROXY, "healthz-bind-address", &["0.0.0.0", "0.0.0.0:10256"], &["127.0.0.1:10256", "0.0.0.0:80"]),
    flag(PROXY, "iptables-min-sync-period", &["1s", "0s"], NO_TIMES),
    flag(PROXY, "masquerade-all", SWITCH, NO_SWITCH),
    flag("coredns", "quiet", SWITCH, NO_SWITCH),
    flag("etcd", "heartbeat-interval", &["100", "200"], &["0", "250", "1s"]),
    flag("etcd", "election-timeout", &["1000", "2500"], &["100", "60000"]),
    flag("etcd", "auto-compaction-mode", &["periodic", "revision"], &["sometimes"]),
    flag("etcd", "quota-backend-bytes", &["8589934592"], &["8G", "1.5"]),
    flag("etcd", "snapshot-count", &["5000"], &["-1", "x"]),
    flag("etcd", "max-request-bytes", &["1572864"], &["1M"]),
    flag("etcd", "listen-metrics-urls", &["http://127.0.0.1:2381"], &["http://127.0.0.1:9999"]),
    flag("flannel", "iface", &["eth0"], &["eth0"]),
    flag("flannel", "ip-masq", SWITCH, NO_SWITCH),
    flag("flannel", "healthz-port", &["0", "8285"], &["10248", "x"]),
];
