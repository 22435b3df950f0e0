//! The limits that components have for values of a configuration, each with the line of the source
//! that sets it. A test reads these lines.
//!
//! The lines are those of Kubernetes v1.36.3 and of etcd v3.6.8. `minors` says for which minor
//! versions of Kubernetes 1 a limit holds.

use std::ops::RangeInclusive;

/// Where a limit is set.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The Go module, with its version.
    pub module: &'static str,
    /// The file in it.
    pub file: &'static str,
    /// The line.
    pub line: usize,
    /// A part of what the line says.
    pub says: &'static str,
}

/// A number that a component compares with.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The number.
    pub number: u8,
    /// Where it is.
    pub source: Source,
}

/// How large something may be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The most bytes that are taken.
    pub bytes: usize,
    /// The same, for messages.
    pub shown: &'static str,
    /// Where it is.
    pub source: Source,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// A whole number, both ends included.
    Whole(i64, i64),
    /// A number, both ends included.
    Number(f64, f64),
    /// One of some words.
    Word(&'static [&'static str]),
    /// Words of these, separated by commas, each at most once.
    Words(&'static [&'static str]),
    /// A duration of Go in seconds, both ends included.
    Seconds(f64, f64),
    /// The same, or zero, which stands for no limit.
    SecondsOrNone(f64, f64),
    /// `IP:port`, an address without port, or nothing.
    Socket,
    /// An address.
    Address,
    /// `low-high`.
    Ports,
}

/// What a flag of a component takes.
#[derive(Clone, Debug)]
pub struct FlagLimit {
    /// The components that have the flag.
    pub components: &'static [&'static str],
    /// The flag, without dashes.
    pub flag: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Minor versions of Kubernetes 1 that have this limit.
    pub minors: RangeInclusive<u32>,
    /// Where it is.
    pub source: Source,
}

const K8S_API: &str = "k8s.io/api@v0.36.3";
const KUBERNETES: &str = "k8s.io/kubernetes@v1.36.3";
const API_SERVER: &str = "k8s.io/apiserver@v0.36.3";
const COMPONENT_BASE: &str = "k8s.io/component-base@v0.36.3";
const CLIENT_GO: &str = "k8s.io/client-go@v0.36.3";
const API_MACHINERY: &str = "k8s.io/apimachinery@v0.36.3";
const ETCD: &str = "go.etcd.io/etcd/server/v3@v3.6.8";

const fn at(module: &'static str, file: &'static str, line: usize, says: &'static str) -> Source {
    Source { module, file, line, says }
}

const fn limit(number: u8, source: Source) -> Limit {
    Limit { number, source }
}

const ALLOCATOR: &str = "pkg/registry/core/service/ipallocator/ipallocator.go";
const NODE_IPAM: &str = "cmd/kube-controller-manager/app/core.go";
const CIDR_SET: &str = "pkg/controller/nodeipam/ipam/cidrset/cidr_set.go";
const CONTROL_PLANE: &str = "pkg/controlplane/apiserver/options/options.go";
const FLAGS_OF_APISERVER: &str = "cmd/kube-apiserver/app/options/validation.go";
const AUTHORIZATION: &str = "pkg/kubeapiserver/options/authorization.go";
const RUN: &str = "pkg/server/options/server_run_options.go";
const AUDIT: &str = "pkg/server/options/audit.go";
const PROXY: &str = "pkg/proxy/apis/config/validation/validation.go";
const IP_PORT: &str = "pkg/util/flag/flags.go";
const EMBED: &str = "embed/config.go";
const OBJECT_META: &str = "pkg/api/validation/objectmeta.go";
const LEADER: &str = "tools/leaderelection/leaderelection.go";

/// Shortest prefix of an IPv6 range of Services. The apiserver becomes ready with a shorter one, and
/// then allocates no address, not even its own.
pub const SERVICES_IPV6: Limit =
    limit(64, at(KUBERNETES, ALLOCATOR, 90, "shortest allowed prefix length for service CIDR is 64"));
/// Most bits of a range of Services where the apiserver also keeps the old bitmap: 1.34 with the
/// feature gate below off. Later versions lock the gate.
pub const SERVICES_BITMAP: Limit = limit(20, at(KUBERNETES, FLAGS_OF_APISERVER, 39, "maxCIDRBits := 20"));
/// The feature gate that turns the old bitmap off.
pub const NO_BITMAP: &str = "DisableAllocatorDualWrite";
/// The last minor version that takes the gate.
pub const LAST_WITH_BITMAP: u32 = 34;
/// Fewest addresses of a range of Services. Cluster DNS needs more.
pub const SERVICES_FEWEST: Limit = limit(8, at(KUBERNETES, CONTROL_PLANE, 374, "if size < 8 {"));
/// Prefix of a node's IPv4 range.
pub const NODE_IPV4: Limit = limit(24, at(KUBERNETES, NODE_IPAM, 76, "defaultNodeMaskCIDRIPv4 = 24"));
/// Prefix of a node's IPv6 range.
pub const NODE_IPV6: Limit = limit(64, at(KUBERNETES, NODE_IPAM, 78, "defaultNodeMaskCIDRIPv6 = 64"));
/// Most bits between the prefix of an IPv6 range of pods and those of nodes.
pub const NODE_IPV6_BITS: Limit = limit(16, at(KUBERNETES, CIDR_SET, 61, "clusterSubnetMaxDiff = 16"));
/// The flag for a single family ends the controller manager where there are two.
pub const ONE_NODE_SIZE: Source =
    at(KUBERNETES, NODE_IPAM, 959, "usage of --node-cidr-mask-size is not allowed with dual-stack");
/// A lease must outlast the deadline for its renewal.
pub const LEASE: Source = at(CLIENT_GO, LEADER, 78, "leaseDuration must be greater than renewDeadline");
/// The deadline must outlast a retry, which is late by a fifth at most.
pub const RENEWAL: Source =
    at(CLIENT_GO, LEADER, 81, "renewDeadline must be greater than retryPeriod*JitterFactor");
/// etcd's election timeout is at least five of its heartbeats.
pub const ELECTION: Source = at(ETCD, EMBED, 1271, "should be at least as 5 times as --heartbeat-interval");
/// The values of a ConfigMap, or of a Secret, together.
pub const DATA: Size = Size {
    bytes: 1 << 20,
    shown: "1 MiB",
    source: at(K8S_API, "core/v1/types.go", 7970, "MaxSecretSize = 1 * 1024 * 1024"),
};
/// Keys and values of an object's annotations together.
pub const ANNOTATIONS: Size = Size {
    bytes: 256 << 10,
    shown: "256 KiB",
    source: at(API_MACHINERY, OBJECT_META, 36, "TotalAnnotationSizeLimitB int = 256 * (1 << 10)"),
};
/// A request to etcd, which holds an object as the apiserver stores it.
pub const STORED: Size = Size {
    bytes: 3 << 19,
    shown: "1.5 MiB",
    source: at(ETCD, EMBED, 67, "DefaultMaxRequestBytes             = 1.5 * 1024 * 1024"),
};
/// Most resolvers of CoreDNS' forward plugin (plugin/forward/setup.go, `max = 15`).
pub const UPSTREAMS: usize = 15;

const fn flag(
    components: &'static [&'static str],
    flag: &'static str,
    takes: Takes,
    source: Source,
) -> FlagLimit {
    FlagLimit { components, flag, takes, minors: 34..=36, source }
}

const API: &[&str] = &["kube-apiserver"];
const LEADERS: &[&str] = &["kube-controller-manager", "kube-scheduler"];
const SERVERS: &[&str] = &["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const PROXIES: &[&str] = &["kube-proxy"];
const PROGRAMS: &[&str] = &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];
const ETCDS: &[&str] = &["etcd"];
const MOST: i64 = i32::MAX as i64;
const AGE: f64 = 1e9;
const AUDIT_MODES: Takes = Takes::Word(&["batch", "blocking", "blocking-strict"]);
const ETCD_TLS: Takes = Takes::Word(&["TLS1.2", "TLS1.3"]);
const NOT_NEGATIVE: Takes = Takes::Whole(0, MOST);

/// Limits of flags.
pub const FLAGS: &[FlagLimit] = &[
    flag(API, "advertise-address", Takes::Address, at(API_SERVER, RUN, 335, "fs.IPVar(&s.AdvertiseAddress")),
    flag(
        API,
        "authorization-mode",
        Takes::Words(&["ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook"]),
        at(KUBERNETES, AUTHORIZATION, 131, "is not a valid mode"),
    ),
    flag(
        API,
        "audit-log-format",
        Takes::Word(&["json", "legacy"]),
        at(API_SERVER, AUDIT, 478, "invalid audit log format"),
    ),
    flag(API, "audit-log-mode", AUDIT_MODES, at(API_SERVER, AUDIT, 201, "invalid audit %s mode")),
    flag(API, "audit-webhook-mode", AUDIT_MODES, at(API_SERVER, AUDIT, 201, "invalid audit %s mode")),
    flag(
        API,
        "endpoint-reconciler-type",
        Takes::Word(&["lease", "master-count", "none"]),
        at(KUBERNETES, "pkg/controlplane/reconcilers/reconcilers.go", 58, "none"),
    ),
    flag(
        API,
        "storage-backend",
        Takes::Word(&["etcd3"]),
        at(API_SERVER, "pkg/server/options/etcd.go", 108, "--storage-backend invalid"),
    ),
    flag(API, "audit-log-maxage", NOT_NEGATIVE, at(API_SERVER, AUDIT, 483, "can't be a negative number")),
    flag(API, "audit-log-maxbackup", NOT_NEGATIVE, at(API_SERVER, AUDIT, 486, "can't be a negative number")),
    flag(API, "audit-log-maxsize", NOT_NEGATIVE, at(API_SERVER, AUDIT, 489, "can't be a negative number")),
    flag(API, "goaway-chance", Takes::Number(0.0, 0.02), at(API_SERVER, RUN, 209, "greater than 0.02")),
    flag(
        API,
        "kubernetes-service-node-port",
        Takes::Whole(0, 65535),
        at(KUBERNETES, FLAGS_OF_APISERVER, 102, "must be between 0 and 65535"),
    ),
    flag(API, "livez-grace-period", Takes::Seconds(0.0, AGE), at(API_SERVER, RUN, 194, "negative value")),
    flag(API, "max-requests-inflight", NOT_NEGATIVE, at(API_SERVER, RUN, 198, "negative value")),
    flag(API, "max-mutating-requests-inflight", NOT_NEGATIVE, at(API_SERVER, RUN, 201, "negative value")),
    flag(API, "min-request-timeout", NOT_NEGATIVE, at(API_SERVER, RUN, 213, "negative value")),
    flag(API, "request-timeout", Takes::Seconds(0.0, AGE), at(API_SERVER, RUN, 205, "negative value")),
    flag(
        API,
        "service-account-max-token-expiration",
        Takes::SecondsOrNone(3600.0, 4_294_967_296.0),
        at(KUBERNETES, CONTROL_PLANE, 301, "must be between 1 hour and 2^32 seconds"),
    ),
    flag(
        API,
        "service-node-port-range",
        Takes::Ports,
        at(API_MACHINERY, "pkg/util/net/port_range.go", 114, "cannot be greater than 65535"),
    ),
    flag(
        API,
        "shutdown-delay-duration",
        Takes::Seconds(0.0, AGE),
        at(API_SERVER, RUN, 221, "negative value"),
    ),
    flag(
        API,
        "storage-media-type",
        Takes::Word(&["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]),
        at(API_SERVER, "pkg/server/options/etcd.go", 120, "--storage-media-type"),
    ),
    flag(
        SERVERS,
        "tls-min-version",
        Takes::Word(&["VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"]),
        at(COMPONENT_BASE, "cli/flag/ciphersuites_flag.go", 115, "VersionTLS10"),
    ),
    flag(
        LEADERS,
        "leader-elect-lease-duration",
        Takes::Seconds(0.001, AGE),
        at(COMPONENT_BASE, "config/validation/validation.go", 40, "must be greater than zero"),
    ),
    flag(
        LEADERS,
        "leader-elect-renew-deadline",
        Takes::Seconds(0.001, AGE),
        at(COMPONENT_BASE, "config/validation/validation.go", 43, "must be greater than zero"),
    ),
    flag(
        LEADERS,
        "leader-elect-retry-period",
        Takes::Seconds(0.001, AGE),
        at(COMPONENT_BASE, "config/validation/validation.go", 46, "must be greater than zero"),
    ),
    flag(
        PROXIES,
        "proxy-mode",
        Takes::Word(&["iptables", "ipvs", "nftables"]),
        at(KUBERNETES, PROXY, 182, "must be %s or blank"),
    ),
    flag(
        PROXIES,
        "iptables-masquerade-bit",
        Takes::Whole(0, 31),
        at(KUBERNETES, PROXY, 95, "must be within the range [0, 31]"),
    ),
    flag(
        PROXIES,
        "oom-score-adj",
        Takes::Whole(-1000, 1000),
        at(KUBERNETES, PROXY, 125, "must be within the range [-1000, 1000]"),
    ),
    flag(
        PROXIES,
        "conntrack-max-per-core",
        NOT_NEGATIVE,
        at(KUBERNETES, PROXY, 135, "must be greater than or equal to 0"),
    ),
    flag(PROXIES, "conntrack-min", NOT_NEGATIVE, at(KUBERNETES, PROXY, 139, "greater than or equal to 0")),
    flag(
        PROXIES,
        "healthz-bind-address",
        Takes::Socket,
        at(KUBERNETES, IP_PORT, 99, "Both IP and IP:port are valid"),
    ),
    flag(
        PROXIES,
        "metrics-bind-address",
        Takes::Socket,
        at(KUBERNETES, IP_PORT, 99, "Both IP and IP:port are valid"),
    ),
    flag(
        PROXIES,
        "detect-local-mode",
        Takes::Word(&["BridgeInterface", "ClusterCIDR", "InterfaceNamePrefix", "NodeCIDR"]),
        at(KUBERNETES, PROXY, 199, "validateDetectLocalMode"),
    ),
    flag(
        PROGRAMS,
        "logging-format",
        Takes::Word(&["json", "text"]),
        at(COMPONENT_BASE, "logs/api/v1/options.go", 365, "Permitted formats"),
    ),
    flag(
        ETCDS,
        "log-level",
        Takes::Word(&["debug", "info", "warn", "error", "panic", "fatal"]),
        at(ETCD, EMBED, 876, "Only supports debug, info, warn, error, panic, or fatal"),
    ),
    flag(ETCDS, "tls-min-version", ETCD_TLS, at(ETCD, EMBED, 863, "Possible values: TLS1.2, TLS1.3")),
    flag(ETCDS, "tls-max-version", ETCD_TLS, at(ETCD, EMBED, 864, "Possible values: TLS1.2, TLS1.3")),
    flag(ETCDS, "heartbeat-interval", Takes::Whole(1, 50_000), at(ETCD, EMBED, 1265, "must be >0")),
    flag(ETCDS, "election-timeout", Takes::Whole(1, 50_000), at(ETCD, EMBED, 1274, "is too long")),
    flag(
        ETCDS,
        "auto-compaction-mode",
        Takes::Word(&["periodic", "revision"]),
        at(ETCD, EMBED, 1287, "unknown auto-compaction-mode"),
    ),
];

/// Every source that this file names.
pub fn sources() -> Vec<Source> {
    let numbers = [SERVICES_IPV6, SERVICES_BITMAP, SERVICES_FEWEST, NODE_IPV4, NODE_IPV6, NODE_IPV6_BITS];
    let numbers = numbers.into_iter().map(|limit| limit.source);
    let sizes = [DATA, ANNOTATIONS, STORED].into_iter().map(|size| size.source);
    let others = [ONE_NODE_SIZE, LEASE, RENEWAL, ELECTION];
    numbers.chain(sizes).chain(others).chain(FLAGS.iter().map(|limit| limit.source)).collect()
}
