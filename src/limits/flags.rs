//! Flags of components: the one form in which they are compared, those that belong to a field of
//! the configuration or to the hand-over, those that are gone, and those that take several values.

/// Programs that read `_` in a flag as `-` (Kubernetes, component-base/cli/flag/flags.go,
/// `WordSepNormalizeFunc`).
const KUBERNETES: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"];

/// Whether `component` reads `_` in the name of a flag as `-`.
pub fn reads_underscores(component: &str) -> bool {
    KUBERNETES.contains(&component)
}

/// The form in which flags are compared: without dashes in front and value behind, lower case, and
/// with `-` for `_`. flannel alone has flags with `_`.
pub fn normal(component: &str, written: &str) -> String {
    let bare = written.trim().trim_start_matches('-').split('=').next().unwrap_or_default();
    let lower = bare.trim_end().to_ascii_lowercase();
    if component == "flannel" { lower } else { lower.replace('_', "-") }
}

/// Why a flag is not for `extraArgs`, and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A field says it, and other parts of the cluster follow the field, too.
    Field(&'static str),
    /// bootkube sets it, for this reason; with the cure.
    Bootkube(&'static str, &'static str),
    /// No version that is supported has it any more; with the cure.
    Gone(&'static str),
}

const API: &str = "kube-apiserver";
const MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";
const PROXY: &str = "kube-proxy";
const ETCD: &str = "etcd";

const SHARED: Owner = Owner::Bootkube(
    "is set by bootkube: bootstrap and self-hosted apiserver share a port while one hands over to the other, \
     and this flag decides which of them answers",
    "remove it; the port is that of the first API server URL (apiServers)",
);
const AUTHENTICATION: Owner = Owner::Bootkube(
    "excludes --authentication-config, which bootkube sets so that anonymous requests reach health paths only",
    "set authentication-config to a file of your own (extraVolumes) that has the same anonymous paths, and your JWT issuers",
);
const PROBED: Owner = Owner::Bootkube(
    "is set by bootkube: bootstrap and self-hosted pod are probed at different ports",
    "remove it; 10257 and 10259 are the usual ports",
);
const PAIR: Owner =
    Owner::Bootkube("is set by bootkube: in a rollout two pods of one machine share the port", "remove it");
const LEASE: Owner = Owner::Bootkube(
    "is set by bootkube: bootstrap and self-hosted pod take turns by one lease, which `start` watches",
    "remove it",
);
const MASTER: Owner = Owner::Bootkube(
    "overrides the address in the kubeconfig, which differs between the bootstrap and the self-hosted pod",
    "remove it; the address is that of the first API server URL (apiServers)",
);
const EVERY_MACHINE: Owner = Owner::Bootkube(
    "is set by bootkube to the name of each machine; one value would be the name of all",
    "remove it",
);
const LOCAL_ETCD: Owner = Owner::Bootkube(
    "is set by bootkube: with etcd.mode staticPod etcd has one member, which serves its own machine at 127.0.0.1",
    "remove it, or run etcd yourself (etcd.mode external, etcd.servers)",
);
const DATA: Owner = Owner::Bootkube(
    "is set by bootkube: etcd's data is in /var/lib/etcd, which is mounted into the pod",
    "on a running cluster stop etcd and move its data to /var/lib/etcd first; then remove it; to keep the data \
     elsewhere, mount that disk at /var/lib/etcd on the machine",
);
const HALF: Owner = Owner::Bootkube(
    "is set by bootkube, which also writes what fits it: the other half of a pair, or the certificates that it verifies",
    "remove it",
);
const KUBECONFIG: Owner = Owner::Bootkube(
    "is set by bootkube: the bootstrap and the self-hosted pod reach the API by kubeconfigs of their own",
    "remove it",
);
const DNS_PORT: Owner =
    Owner::Bootkube("is set by bootkube: the Service of cluster DNS sends questions to port 53", "remove it");
const INSECURE: Owner = Owner::Gone("remove it; the apiserver serves https only (apiServers)");

/// Flags that are not for `extraArgs`, by component.
const OWNED: &[(&str, &str, Owner)] = &[
    (API, "bind-address", SHARED),
    (API, "permit-port-sharing", SHARED),
    (API, "secure-port", SHARED),
    (API, "anonymous-auth", AUTHENTICATION),
    (API, "service-cluster-ip-range", Owner::Field("serviceCIDRs")),
    (API, "etcd-servers", Owner::Field("etcd.servers")),
    (API, "etcd-cafile", Owner::Field("etcd.caFile")),
    (API, "etcd-certfile", Owner::Field("etcd.certificateFile")),
    (API, "etcd-keyfile", Owner::Field("etcd.privateKeyFile")),
    (API, "client-ca-file", Owner::Field("ca.certificateFile")),
    (API, "kubelet-client-certificate", HALF),
    (API, "kubelet-client-key", HALF),
    (API, "service-account-signing-key-file", HALF),
    (API, "insecure-bind-address", INSECURE),
    (API, "insecure-port", INSECURE),
    (API, "address", INSECURE),
    (API, "port", INSECURE),
    (API, "cloud-provider", Owner::Gone("remove it and set cloudProvider")),
    (API, "cloud-config", Owner::Gone("remove it; a cloud controller manager of your own reads such a file")),
    (MANAGER, "secure-port", PROBED),
    (MANAGER, "permit-port-sharing", PAIR),
    (MANAGER, "leader-elect-resource-lock", LEASE),
    (MANAGER, "leader-elect-resource-name", LEASE),
    (MANAGER, "leader-elect-resource-namespace", LEASE),
    (MANAGER, "master", MASTER),
    (MANAGER, "authentication-kubeconfig", KUBECONFIG),
    (MANAGER, "authorization-kubeconfig", KUBECONFIG),
    (MANAGER, "kubeconfig", KUBECONFIG),
    (MANAGER, "client-ca-file", Owner::Field("ca.certificateFile")),
    (MANAGER, "root-ca-file", Owner::Field("ca.certificateFile")),
    (MANAGER, "service-account-private-key-file", HALF),
    (MANAGER, "cluster-cidr", Owner::Field("podCIDRs")),
    (MANAGER, "service-cluster-ip-range", Owner::Field("serviceCIDRs")),
    (MANAGER, "cluster-name", Owner::Field("clusterName")),
    (MANAGER, "cloud-provider", Owner::Field("cloudProvider")),
    (MANAGER, "address", Owner::Gone("remove it; bind-address is its successor")),
    (MANAGER, "port", Owner::Gone("remove it")),
    (
        MANAGER,
        "pod-eviction-timeout",
        Owner::Gone("remove it; set default-unreachable-toleration-seconds of kube-apiserver"),
    ),
    (MANAGER, "enable-taint-manager", Owner::Gone("remove it; it is always on")),
    (MANAGER, "experimental-cluster-signing-duration", Owner::Gone("write cluster-signing-duration")),
    (SCHEDULER, "secure-port", PROBED),
    (SCHEDULER, "permit-port-sharing", PAIR),
    (SCHEDULER, "leader-elect-resource-lock", LEASE),
    (SCHEDULER, "leader-elect-resource-name", LEASE),
    (SCHEDULER, "leader-elect-resource-namespace", LEASE),
    (SCHEDULER, "master", MASTER),
    (SCHEDULER, "authentication-kubeconfig", KUBECONFIG),
    (SCHEDULER, "authorization-kubeconfig", KUBECONFIG),
    (SCHEDULER, "kubeconfig", KUBECONFIG),
    (SCHEDULER, "address", Owner::Gone("remove it; bind-address is its successor")),
    (SCHEDULER, "port", Owner::Gone("remove it")),
    (
        SCHEDULER,
        "policy-config-file",
        Owner::Gone("write a KubeSchedulerConfiguration and name it in config"),
    ),
    (PROXY, "cluster-cidr", Owner::Field("podCIDRs")),
    (PROXY, "hostname-override", EVERY_MACHINE),
    (PROXY, "master", MASTER),
    (PROXY, "kubeconfig", HALF),
    (ETCD, "cert-file", HALF),
    (ETCD, "key-file", HALF),
    (ETCD, "trusted-ca-file", HALF),
    (ETCD, "client-cert-auth", HALF),
    (ETCD, "peer-cert-file", HALF),
    (ETCD, "peer-key-file", HALF),
    (ETCD, "peer-trusted-ca-file", HALF),
    (ETCD, "peer-client-cert-auth", HALF),
    (ETCD, "data-dir", DATA),
    (ETCD, "wal-dir", DATA),
    (ETCD, "advertise-client-urls", LOCAL_ETCD),
    (ETCD, "initial-advertise-peer-urls", LOCAL_ETCD),
    (ETCD, "initial-cluster", LOCAL_ETCD),
    (ETCD, "initial-cluster-state", LOCAL_ETCD),
    (ETCD, "listen-client-urls", LOCAL_ETCD),
    (ETCD, "listen-peer-urls", LOCAL_ETCD),
    (ETCD, "name", LOCAL_ETCD),
    (ETCD, "enable-v2", Owner::Gone("remove it; etcd 3.6 has no API v2")),
    ("coredns", "dns.port", DNS_PORT),
    ("coredns", "p", DNS_PORT),
    ("pod-checkpointer", "kubeconfig", HALF),
    ("pod-checkpointer", "node-name", EVERY_MACHINE),
];

/// To whom a flag in normal form belongs, if it is not for `extraArgs`.
pub fn owner(component: &str, flag: &str) -> Option<Owner> {
    if component == API && flag.starts_with("oidc-") {
        return Some(AUTHENTICATION);
    }
    OWNED.iter().find(|(of, name, _)| *of == component && *name == flag).map(|(.., owner)| *owner)
}

/// How a flag takes several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Several {
    /// It is given once for each; a comma is part of a value (pflag `StringArray`, key pairs).
    Repeated,
    /// It is given once for each, or once with all between commas (pflag `StringSlice`, maps).
    Either,
    /// It takes one value: of several the last would count.
    No,
}

const REPEATED: &[(&str, &[&str])] = &[
    (API, &["service-account-issuer", "service-account-key-file", "tls-sni-cert-key"]),
    (MANAGER, &["tls-sni-cert-key"]),
    (SCHEDULER, &["tls-sni-cert-key"]),
    ("flannel", &["iface", "iface-regex"]),
];

/// Of all programs of Kubernetes.
const EITHER_EVERYWHERE: &[&str] = &[
    "allow-metric-labels",
    "authorization-always-allow-paths",
    "disabled-metrics",
    "emulated-version",
    "feature-gates",
    "min-compatibility-version",
    "requestheader-allowed-names",
    "requestheader-extra-headers-prefix",
    "requestheader-group-headers",
    "requestheader-uid-headers",
    "requestheader-username-headers",
    "tls-cipher-suites",
    "vmodule",
];

const EITHER: &[(&str, &[&str])] = &[
    (
        API,
        &[
            "admission-control",
            "api-audiences",
            "authorization-mode",
            "cors-allowed-origins",
            "disable-admission-plugins",
            "enable-admission-plugins",
            "etcd-servers-overrides",
            "kubelet-preferred-address-types",
            "runtime-config",
            "strict-transport-security-directives",
            "watch-cache-sizes",
        ],
    ),
    (MANAGER, &["controllers"]),
    (PROXY, &["ipvs-exclude-cidrs", "nodeport-addresses"]),
];

/// How a flag in normal form takes several values.
pub fn several(component: &str, flag: &str) -> Several {
    let lists =
        |table: &[(&str, &[&str])]| table.iter().any(|(of, flags)| *of == component && flags.contains(&flag));
    match () {
        () if lists(REPEATED) => Several::Repeated,
        () if lists(EITHER) => Several::Either,
        () if reads_underscores(component) && EITHER_EVERYWHERE.contains(&flag) => Several::Either,
        () => Several::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_has_one_form_however_it_is_written() {
        for written in
            ["secure-port", "secure_port", "--secure-port", "Secure_Port", "-secure-port=1", " secure-port "]
        {
            assert_eq!(normal(API, written), "secure-port", "{written}");
        }
        assert_eq!(normal("flannel", "log_dir"), "log_dir");
    }

    #[test]
    fn every_flag_of_the_tables_is_in_its_one_form() {
        let owned = OWNED.iter().map(|(component, flag, _)| (*component, *flag));
        let several =
            REPEATED.iter().chain(EITHER).flat_map(|(of, flags)| flags.iter().map(|flag| (*of, *flag)));
        for (component, flag) in owned.chain(several) {
            assert_eq!(normal(component, flag), flag);
        }
    }
}
