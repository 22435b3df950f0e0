//! A configuration that disagrees with itself, or with what a component takes, is refused by all
//! that read it, with file, field and cure.
//!
//! Tier: no cluster, no root, seconds. The lines of the sources are read where Go's module cache has
//! them, which the lab fills.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

#[path = "support/command.rs"]
mod command;

use std::path::PathBuf;
use std::process::{Command, Output};

use bootkube::limits::table;
use command::bootkube;
use tempfile::TempDir;

const HEADER: &str = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n";
const HERE: &str = "apiServers: ['https://192.0.2.10:6443']\netcd: {mode: staticPod}\n";

/// A row: fields of the file, the field that is named, what is wrong, the cure.
type Row<'r> = (&'r str, &'r str, &'r str, &'r str);

fn run(fields: &str, words: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("cluster.yaml"), format!("{HEADER}{fields}\n")).unwrap();
    let output = bootkube(folder.path(), words, "");
    assert!(!folder.path().join("assets").join("manifests").exists() || output.status.success());
    output
}

/// Rows: fields of the file, the place of the warning, what it says. There is one at the place.
fn warned(rows: &[(&str, &str, &[&str])], common: &str) {
    for (fields, place, words) in rows {
        let output = run(&format!("{common}{fields}"), VALIDATE);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{fields}\n{said}");
        let at = format!("cluster.yaml: {place}: ");
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(&at)).collect();
        assert_eq!(lines.len(), 1, "{fields}\n{said}");
        assert!(words.iter().all(|word| lines[0].contains(word)), "{fields}\n{said}\nlacks {words:?}");
    }
}

const VALIDATE: &[&str] = &["config", "validate", "--config=cluster.yaml"];
const RENDER: &[&str] = &["render", "--config=cluster.yaml", "--asset-dir=assets"];

fn refused(rows: &[Row<'_>], common: &str) {
    for (fields, field, problem, cure) in rows {
        for words in [VALIDATE, RENDER] {
            let output = run(&format!("{common}{fields}"), words);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(3), "{fields}\n{said}");
            let lines: Vec<&str> =
                said.lines().filter(|line| line.contains(&format!("cluster.yaml: {field}: "))).collect();
            let fits = |line: &&&str| line.contains(problem) && line.contains(cure);
            assert!(
                lines.iter().any(|line| fits(&line)),
                "{fields}\n{said}\nlacks {field}: {problem}; {cure}"
            );
        }
    }
}

#[test]
fn ranges_can_be_a_clusters_and_have_a_size_that_is_taken() {
    refused(
        &[
            (
                "podCIDRs: [10.244.0.0/16, 'fde0:84f0:eafe:b173::/56']\nserviceCIDRs: [10.96.0.0/12, 'fde0:84f1::/32']",
                "serviceCIDRs[1]",
                "takes /64 and smaller",
                "use fde0:84f1::/112",
            ),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/48']",
                "serviceCIDRs[0]",
                "takes /64 and smaller",
                "use fd02::/112",
            ),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/63']",
                "serviceCIDRs[0]",
                "takes /64 and smaller",
                "use fd02::/112",
            ),
            (
                "kubernetesVersion: v1.34.4\nserviceCIDRs: [10.96.0.0/11]\n\
              components: {kube-apiserver: {extraArgs: {feature-gates: 'DisableAllocatorDualWrite=false'}}}",
                "serviceCIDRs[0]",
                "keeps its bitmap",
                "use /12",
            ),
            (
                "podCIDRs: [169.254.0.0/16]",
                "podCIDRs[0]",
                "169.254.0.0/16, which is link-local",
                "10.0.0.0/8",
            ),
            ("serviceCIDRs: [127.0.0.0/24]", "serviceCIDRs[0]", "which is loopback", "10.0.0.0/8"),
            ("podCIDRs: [224.8.0.0/16]", "podCIDRs[0]", "which is multicast", "10.0.0.0/8"),
            ("podCIDRs: [0.0.0.0/4]", "podCIDRs[0]", "which is unspecified", "10.0.0.0/8"),
            (
                "podCIDRs: ['fe80::/56']\nserviceCIDRs: ['fd02::/112']",
                "podCIDRs[0]",
                "link-local",
                "fd00::/8",
            ),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['::ffff:10.3.0.0/112']",
                "serviceCIDRs[0]",
                "IPv4 written as IPv6",
                "fd00::/8",
            ),
        ],
        HERE,
    );
    let large = "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/64']";
    for good in [large, "serviceCIDRs: [10.96.0.0/11]", "podCIDRs: [240.0.0.0/12]"] {
        let output = run(&format!("{HERE}{good}"), VALIDATE);
        assert!(output.status.success(), "{good}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn addresses_of_machines_are_in_no_range_of_the_cluster() {
    refused(
        &[
            (
                "apiServers: ['https://10.2.0.100:6443']",
                "apiServers[0]",
                "is inside 10.2.0.0/16 of podCIDRs (default)",
                "such as 10.244.0.0/16",
            ),
            (
                "etcd: {servers: ['https://10.3.0.20:2379']}",
                "etcd.servers[0]",
                "is inside 10.3.0.0/24 of serviceCIDRs (default)",
                "such as 10.96.0.0/16",
            ),
            (
                "apiServerAltNames: [10.2.9.9]",
                "apiServerAltNames[0]",
                "addresses are those of pods",
                "set podCIDRs",
            ),
            (
                "apiServerAltNames: [224.0.0.1]",
                "apiServerAltNames[0]",
                "which is multicast",
                "other machines reach",
            ),
            ("apiServerAltNames: [0.1.2.3]", "apiServerAltNames[0]", "unspecified", "other machines reach"),
            (
                "podCIDRs: ['fd01::/56']\nserviceCIDRs: ['fd02::/112']\napiServers: ['https://[fd01::9]:6443']",
                "apiServers[0]",
                "is inside fd01::/56 of podCIDRs[0]",
                "such as fd00:2::/56",
            ),
            (
                "coreDNS: {upstream: [10.3.0.10]}",
                "coreDNS.upstream[0]",
                "is the address of cluster DNS itself",
                "/etc/resolv.conf",
            ),
            (
                "coreDNS: {upstream: ['10.2.0.9:53']}",
                "coreDNS.upstream[0]",
                "addresses are those of pods",
                "set podCIDRs",
            ),
            (
                "coreDNS: {upstream: [127.0.0.53]}",
                "coreDNS.upstream[0]",
                "which is loopback",
                "resolvers that it asks itself",
            ),
            (
                "coreDNS: {upstream: [/run/systemd/resolve/resolv.conf]}",
                "coreDNS.upstream[0]",
                "CoreDNS' pod does not have",
                "write /etc/resolv.conf",
            ),
            (
                "coreDNS: {upstream: [10.0.0.1, /etc/resolvconf/run/resolv.conf]}",
                "coreDNS.upstream[1]",
                "CoreDNS' pod does not have",
                "the addresses of resolvers",
            ),
            (
                "coreDNS: {upstream: ['0.0.0.0']}",
                "coreDNS.upstream[0]",
                "which is unspecified",
                "other machines reach",
            ),
            (
                "apiServerAltNames: ['::ffff:192.0.2.1']",
                "apiServerAltNames[0]",
                "IPv4 written as IPv6",
                "write 192.0.2.1",
            ),
            (
                "apiServers: ['https://[::ffff:192.0.2.10]:6443']",
                "apiServers[0]",
                "IPv4 written as IPv6",
                "write https://192.0.2.10:6443",
            ),
            ("apiServerAltNames: ['fe80::1']", "apiServerAltNames[0]", "link-local", "other machines reach"),
            (
                "apiServers: ['https://169.254.1.1:6443']",
                "apiServers[0]",
                "link-local",
                "other machines reach",
            ),
            (
                "components: {kube-apiserver: {extraArgs: {advertise-address: 10.2.1.1}}}",
                "components.kube-apiserver.extraArgs.advertise-address",
                "addresses are those of pods",
                "set podCIDRs",
            ),
            (
                "clusterDomain: example.com\napiServers: ['https://api.example.com:6443']",
                "apiServers[0]",
                "is in the domain of Services (example.com)",
                "set clusterDomain",
            ),
        ],
        "",
    );
    for good in [
        "apiServerAltNames: [10.3.0.1, 127.0.0.1]",
        "coreDNS: {upstream: [169.254.169.253]}",
        "apiServers: ['https://api.example.com:6443']",
    ] {
        assert!(run(good, VALIDATE).status.success(), "{good}");
    }
    warned(
        &[
            (
                "apiServerAltNames: ['0.0.0.0']",
                "apiServerAltNames[0]",
                &["0.0.0.0 is an address to listen on"],
            ),
            ("apiServerAltNames: ['::']", "apiServerAltNames[0]", &[":: is an address to listen on"]),
            (
                "apiServerAltNames: [10.3.0.7]",
                "apiServerAltNames[0]",
                &["10.3.0.7 is an address of Services (10.3.0.0/24)"],
            ),
            (
                "coreDNS: {upstream: [10.3.0.53]}",
                "coreDNS.upstream[0]",
                &["names outside of the cluster do not resolve until a Service has this address"],
            ),
        ],
        "",
    );
}

#[test]
fn two_parts_of_ours_never_share_a_port() {
    let proxy = "components.kube-proxy.extraArgs.metrics-bind-address";
    refused(
        &[
            (
                "apiServers: ['https://192.0.2.10:2379']\netcd: {mode: staticPod}",
                "apiServers[0]",
                "takes port 2379 of etcd",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:2381']\netcd: {mode: staticPod}",
                "apiServers[0]",
                "of etcd's health",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10250']",
                "apiServers[0]",
                "takes port 10250 of kubelet",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10256']",
                "apiServers[0]",
                "of kube-proxy's health",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10257']",
                "apiServers[0]",
                "of kube-controller-manager",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:10359']",
                "apiServers[0]",
                "of the bootstrap kube-scheduler",
                "such as 6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:2379']\netcd: {servers: ['https://192.0.2.10:2379']}",
                "apiServers[0]",
                "takes port 2379 of etcd (etcd.servers[0])",
                "such as 6443",
            ),
            (
                "apiServers: ['https://a.example:2379']\napiServerAltNames: [192.0.2.10]\netcd: {servers: ['https://192.0.2.10:2379']}",
                "apiServers[0]",
                "of etcd (etcd.servers[0])",
                "such as 6443",
            ),
            (
                "etcd: {servers: ['https://127.0.0.1:10259']}",
                "etcd.servers[0]",
                "of kube-scheduler",
                "another port",
            ),
            (
                "apiServers: ['https://a:6443']\ncomponents: {kube-proxy: {extraArgs: {metrics-bind-address: '0.0.0.0:6443'}}}",
                proxy,
                "takes port 6443 of kube-apiserver",
                "such as 8443",
            ),
            (
                "components: {kube-proxy: {extraArgs: {metrics-bind-address: '0.0.0.0'}}, flannel: {extraArgs: {healthz-port: '10249'}}}",
                "components.flannel.extraArgs.healthz-port",
                "of kube-proxy's metrics",
                "another port",
            ),
            (
                "components: {kube-proxy: {extraArgs: {metrics-bind-address: localhost}}}",
                proxy,
                "would end",
                "an address, with or without port",
            ),
            (
                "components: {kube-proxy: {extraArgs: {healthz-bind-address: '127.0.0.1'}}}",
                "components.kube-proxy.extraArgs.healthz-bind-address",
                "readiness probe",
                "remove it",
            ),
            (
                "components: {kube-proxy: {extraArgs: {metrics_bind_address: '0.0.0.0:10250'}}}",
                "components.kube-proxy.extraArgs.metrics_bind_address",
                "of kubelet",
                "such as 8443",
            ),
            (
                "components: {flannel: {extraArgs: {healthz-port: '10249'}}}",
                "components.flannel.extraArgs.healthz-port",
                "of kube-proxy's metrics",
                "another port",
            ),
        ],
        "",
    );
    let proxy = |flags: &str| format!("components: {{kube-proxy: {{extraArgs: {{{flags}}}}}}}");
    for good in [
        "apiServers: ['https://192.0.2.10:2379']\netcd: {servers: ['https://192.0.2.20:2379']}".into(),
        proxy("metrics-bind-address: '0.0.0.0', healthz-bind-address: '0.0.0.0'"),
        proxy("metrics-bind-address: '::', healthz-bind-address: '::'"),
        proxy("metrics-bind-address: '', healthz-bind-address: '0.0.0.0:10256'"),
    ] {
        let output = run(&good, VALIDATE);
        assert!(output.status.success(), "{good}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_range_of_node_ports_that_holds_ours_is_one_warning() {
    warned(
        &[
            (
                "components: {kube-apiserver: {extraArgs: {service-node-port-range: '6000-32767'}}}",
                "components.kube-apiserver.extraArgs.service-node-port-range",
                &["6000-32767", "6443 (kube-apiserver)", "10250 (kubelet)", "10256 (kube-proxy's health)"],
            ),
            (
                "apiServers: ['https://127.0.0.1:31000']\netcd: {servers: ['https://127.0.0.1:31001']}",
                "etcd.servers[0]",
                &["30000-32767", "31000 (kube-apiserver)", "31001 (etcd (etcd.servers[0]))"],
            ),
            (
                "etcd: {servers: ['https://127.0.0.1:32379']}",
                "etcd.servers[0]",
                &["30000-32767", "32379 (etcd"],
            ),
        ],
        "",
    );
}

#[test]
fn a_flag_that_has_a_field_is_refused_with_the_field_however_it_is_written() {
    let api = "components.kube-apiserver.extraArgs";
    for flag in [
        "service-cluster-ip-range",
        "service_cluster_ip_range",
        "--service-cluster-ip-range",
        "Service-Cluster-IP-Range",
    ] {
        let fields =
            format!("{HERE}components: {{kube-apiserver: {{extraArgs: {{{flag}: '10.9.0.0/16'}}}}}}");
        let said = String::from_utf8(run(&fields, RENDER).stderr).unwrap();
        assert!(
            said.contains(&format!("cluster.yaml: {api}.{flag}: is set by bootkube from serviceCIDRs")),
            "{said}"
        );
        assert!(said.contains("remove it and set serviceCIDRs"), "{said}");
    }
    refused(
        &[
            (
                "{kube-apiserver: {extraArgs: {secure_port: '7443'}}}",
                "components.kube-apiserver.extraArgs.secure_port",
                "share a port",
                "remove it",
            ),
            (
                "{kube-apiserver: {extraArgs: {permit_port_sharing: 'false'}}}",
                "components.kube-apiserver.extraArgs.permit_port_sharing",
                "share a port",
                "remove it",
            ),
            (
                "{kube-apiserver: {extraArgs: {bind_address: '127.0.0.1'}}}",
                "components.kube-apiserver.extraArgs.bind_address",
                "share a port",
                "remove it",
            ),
            (
                "{kube-apiserver: {extraArgs: {anonymous_auth: 'true'}}}",
                "components.kube-apiserver.extraArgs.anonymous_auth",
                "excludes",
                "set authentication-config",
            ),
            (
                "{kube-apiserver: {extraArgs: {etcd-servers: 'https://10.0.0.9:2379'}}}",
                "components.kube-apiserver.extraArgs.etcd-servers",
                "from etcd.servers",
                "set etcd.servers",
            ),
            (
                "{kube-apiserver: {extraArgs: {insecure-port: '0'}}}",
                "components.kube-apiserver.extraArgs.insecure-port",
                "no supported version",
                "remove it",
            ),
            (
                "{kube-apiserver: {extraArgs: {Authorization-Mode: AlwaysAllow}}}",
                "components.kube-apiserver.extraArgs.Authorization-Mode",
                "capital letter",
                "write `authorization-mode",
            ),
            (
                "{kube-apiserver: {extraArgs: {authorization-mode: AlwaysAllow}}}",
                "components.kube-apiserver.extraArgs.authorization-mode",
                "leaves out Node or RBAC",
                "write Node,RBAC",
            ),
            (
                "{kube-apiserver: {extraArgs: {authorization-mode: null, authorization-config: null}}}",
                "components.kube-apiserver.extraArgs.authorization-mode",
                "leaves out Node or RBAC",
                "write Node,RBAC",
            ),
            (
                "{kube-apiserver: {extraArgs: {authorization-mode: null, authorization-config: ''}}}",
                "components.kube-apiserver.extraArgs.authorization-mode",
                "leaves out Node or RBAC",
                "write Node,RBAC",
            ),
            (
                "{kube-apiserver: {extraArgs: {authorization-mode: '', authorization-config: /a.yaml}}}",
                "components.kube-apiserver.extraArgs.authorization-mode",
                "would end",
                "some of ABAC",
            ),
            (
                "{kube-apiserver: {extraArgs: {v: '2', audit_log_maxage: '1', audit-log-maxage: '2'}}}",
                "components.kube-apiserver.extraArgs.audit-log-maxage",
                "is the same flag as",
                "keep one",
            ),
            (
                "{kube-controller-manager: {extraArgs: {cluster-cidr: '10.9.0.0/16'}}}",
                "components.kube-controller-manager.extraArgs.cluster-cidr",
                "from podCIDRs",
                "set podCIDRs",
            ),
            (
                "{kube-controller-manager: {extraArgs: {leader-elect: 'false'}}}",
                "components.kube-controller-manager.extraArgs.leader-elect",
                "at the same time",
                "remove it",
            ),
            (
                "{kube-scheduler: {extraArgs: {leader_elect_resource_name: x}}}",
                "components.kube-scheduler.extraArgs.leader_elect_resource_name",
                "one lease",
                "remove it",
            ),
            (
                "{kube-controller-manager: {extraArgs: {bind-address: '192.0.2.10'}}}",
                "components.kube-controller-manager.extraArgs.bind-address",
                "probes",
                "write 0.0.0.0",
            ),
            (
                "{kube-proxy: {extraArgs: {healthz-bind-address: '0.0.0.0:10300'}}}",
                "components.kube-proxy.extraArgs.healthz-bind-address",
                "readiness probe",
                "remove it",
            ),
            (
                "{kube-proxy: {extraArgs: {cluster-cidr: '10.9.0.0/16'}}}",
                "components.kube-proxy.extraArgs.cluster-cidr",
                "from podCIDRs",
                "set podCIDRs",
            ),
            (
                "{etcd: {extraArgs: {data-dir: /data}}}",
                "components.etcd.extraArgs.data-dir",
                "/var/lib/etcd",
                "; on a running cluster stop etcd and move its data to /var/lib/etcd first",
            ),
            (
                "{etcd: {extraArgs: {wal-dir: /data}}}",
                "components.etcd.extraArgs.wal-dir",
                "/var/lib/etcd",
                "mount that disk",
            ),
            (
                "{etcd: {extraArgs: {listen-metrics-urls: 'http://127.0.0.1:2382'}}}",
                "components.etcd.extraArgs.listen-metrics-urls",
                "where its probes ask",
                "write http://127.0.0.1:2381",
            ),
            (
                "{etcd: {extraArgs: {listen-metrics-urls: 'http://127.0.0.1:2381,http://192.0.2.10:10250'}}}",
                "components.etcd.extraArgs.listen-metrics-urls",
                "takes port 10250 of kubelet",
                "another port",
            ),
            (
                "{etcd: {extraArgs: {listen-client-urls: 'https://0.0.0.0:2379'}}}",
                "components.etcd.extraArgs.listen-client-urls",
                "etcd.mode",
                "run etcd yourself",
            ),
            (
                "{etcd: {extraArgs: {quota_backend_bytes: '1'}}}",
                "components.etcd.extraArgs.quota_backend_bytes",
                "has a `_`",
                "write `quota-backend-bytes",
            ),
        ],
        &format!("{HERE}components: "),
    );
}

#[test]
fn flags_of_what_is_not_rendered_are_neither_refused_nor_take_ports() {
    let etcd = "components: {etcd: {extraArgs: {data-dir: /data, listen-metrics-urls: 'http://0.0.0.0:10250', heartbeat-interval: '0'}}}";
    let flannel = "networking: none\ncomponents: {flannel: {extraArgs: {healthz-port: '10250', kube-subnet-mgr: 'false', subnet-file: /x}}}";
    warned(
        &[
            (etcd, "components.etcd", &["has no effect, because etcd.mode is external"]),
            (flannel, "components.flannel", &["has no effect, because networking is not flannel"]),
        ],
        "",
    );
    for urls in ["http://0.0.0.0:2381", "http://127.0.0.1:2381,http://192.0.2.10:2382"] {
        let fields = format!("{HERE}components: {{etcd: {{extraArgs: {{listen-metrics-urls: '{urls}'}}}}}}");
        let output = run(&fields, VALIDATE);
        assert!(output.status.success(), "{urls}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn values_of_flags_are_within_what_the_component_takes() {
    let dual = "podCIDRs: [10.244.0.0/16, 'fd01::/48']\nserviceCIDRs: [10.96.0.0/16, 'fd02::/112']\n";
    let sizes = |dual: &str, sizes: &str| {
        format!("{HERE}{dual}components: {{kube-controller-manager: {{extraArgs: {{{sizes}}}}}}}")
    };
    let at = "components.kube-controller-manager.extraArgs.node-cidr-mask-size";
    for (ranges, flags, field, problem, cure) in [
        (
            dual,
            "node-cidr-mask-size: '26'",
            at.to_owned(),
            "for one address family",
            "write node-cidr-mask-size-ipv4: \"26\"",
        ),
        (
            dual,
            "node_cidr_mask_size: '26'",
            at.replace("node-cidr-mask-size", "node_cidr_mask_size"),
            "for one address family",
            "-ipv4",
        ),
        (
            "",
            "node-cidr-mask-size-ipv6: '64'",
            format!("{at}-ipv6"),
            "podCIDRs does not have",
            "write node-cidr-mask-size-ipv4",
        ),
        ("", "node-cidr-mask-size: '12'", at.to_owned(), "larger than the whole range", "from 16 to 30"),
        ("", "node-cidr-mask-size: '32'", at.to_owned(), "no address for a pod", "from 16 to 30"),
        ("", "node-cidr-mask-size: big", at.to_owned(), "is not a prefix length", "from 16 to 30"),
        (dual, "node-cidr-mask-size-ipv6: '80'", format!("{at}-ipv6"), "can count", "from 48 to 64"),
        (
            "controlPlane: {controllers: 3}\netcd: {servers: ['https://192.0.2.10:2379']}\n",
            "node-cidr-mask-size: '17'",
            at.to_owned(),
            "fewer ranges",
            "from 18 to 30",
        ),
    ] {
        let fields = sizes(ranges, flags);
        let fields =
            if ranges.contains("etcd:") { fields.replace("etcd: {mode: staticPod}\n", "") } else { fields };
        let said = String::from_utf8(run(&fields, VALIDATE).stderr).unwrap();
        let fits = |line: &str| {
            line.contains(&format!("{field}: ")) && line.contains(problem) && line.contains(cure)
        };
        assert!(said.lines().any(fits), "{fields}\n{said}");
    }
    let no_size = sizes(dual, "node-cidr-mask-size: null");
    assert!(run(&no_size, VALIDATE).status.success());
    for off in ["null", "'false'", "'False'", "'f'", "'0'"] {
        let none = sizes("", &format!("allocate-node-cidrs: {off}"));
        refused(
            &[(
                &none,
                "components.kube-controller-manager.extraArgs.allocate-node-cidrs",
                "leaves nodes without ranges",
                "remove it",
            )],
            "",
        );
        assert!(run(&format!("networking: none\n{none}"), VALIDATE).status.success(), "{off}");
    }
    refused(
        &[
            (
                "{kube-proxy: {extraArgs: {oom-score-adj: '-2000'}}}",
                "components.kube-proxy.extraArgs.oom-score-adj",
                "would end",
                "from -1000 to 1000",
            ),
            (
                "{kube-proxy: {extraArgs: {proxy-mode: ebpf}}}",
                "components.kube-proxy.extraArgs.proxy-mode",
                "would end",
                "one of iptables, ipvs, nftables",
            ),
            (
                "{kube-apiserver: {extraArgs: {goaway-chance: '0.5'}}}",
                "components.kube-apiserver.extraArgs.goaway-chance",
                "would end",
                "from 0 to 0.02",
            ),
            (
                "{kube-apiserver: {extraArgs: {service-account-max-token-expiration: 10m}}}",
                "components.kube-apiserver.extraArgs.service-account-max-token-expiration",
                "would end",
                "at least 1h",
            ),
            (
                "{kube-scheduler: {extraArgs: {leader-elect-lease-duration: 1d}}}",
                "components.kube-scheduler.extraArgs.leader-elect-lease-duration",
                "would end",
                "in hours, minutes and seconds",
            ),
            (
                "{kube-apiserver: {extraArgs: {request-timeout: 20sec, livez-grace-period: '5 s'}}}",
                "components.kube-apiserver.extraArgs.request-timeout",
                "would end",
                "such as 1h30m or 30s",
            ),
            (
                "{kube-apiserver: {extraArgs: {livez-grace-period: '5 s'}}}",
                "components.kube-apiserver.extraArgs.livez-grace-period",
                "would end",
                "such as 1h30m or 30s",
            ),
            (
                "{kube-scheduler: {extraArgs: {leader-elect-lease-duration: 10s}}}",
                "components.kube-scheduler.extraArgs.leader-elect-lease-duration",
                "no longer than the deadline",
                "longer than",
            ),
            (
                "{kube-controller-manager: {extraArgs: {leader-elect-retry-period: 9s}}}",
                "components.kube-controller-manager.extraArgs.leader-elect-retry-period",
                "no time for a retry",
                "shorter",
            ),
            (
                "{etcd: {extraArgs: {heartbeat-interval: '500'}}}",
                "components.etcd.extraArgs.heartbeat-interval",
                "five times",
                "at least \"2500\"",
            ),
        ],
        &format!("{HERE}components: "),
    );
    for (flag, value) in [
        ("livez-grace-period", "0m0s"),
        ("shutdown-delay-duration", "0"),
        ("request-timeout", "1h0m0s"),
        ("service-account-max-token-expiration", "1.5h"),
        ("service-account-max-token-expiration", "0"),
    ] {
        let fields = format!("{HERE}components: {{kube-apiserver: {{extraArgs: {{{flag}: '{value}'}}}}}}");
        let output = run(&fields, VALIDATE);
        assert!(output.status.success(), "{fields}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_list_is_a_repeated_flag() {
    let issuers = "components: {kube-apiserver: {extraArgs: {service-account-issuer: ['https://new.example', 'https://kubernetes.default.svc'], tls-sni-cert-key: 'a.crt,a.key'}}}";
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("cluster.yaml"), format!("{HEADER}{HERE}{issuers}\n")).unwrap();
    let output = bootkube(folder.path(), RENDER, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["manifests/kube-apiserver.yaml", "bootstrap-manifests/bootstrap-apiserver.yaml"] {
        let text = std::fs::read_to_string(folder.path().join("assets").join(file)).unwrap();
        let flags: Vec<&str> =
            text.lines().filter_map(|line| line.trim().strip_prefix("- --service-account-issuer=")).collect();
        assert_eq!(flags, ["https://new.example", "https://kubernetes.default.svc"], "{file}");
        assert!(text.contains("--tls-sni-cert-key=a.crt,a.key"), "{file}");
    }
    let at = "components.kube-apiserver.extraArgs";
    for (flags, field, problem, cure) in [
        (
            "service-account-key-file: 'a.pub,b.pub'",
            "service-account-key-file",
            "holds a comma",
            "write a list: [\"a.pub\", \"b.pub\"]",
        ),
        (
            "service-account-key-file: [a.pub, b.pub]",
            "service-account-key-file",
            "leaves out the key",
            "service-account.pub",
        ),
        (
            "service-account-issuer: 'https://a'",
            "service-account-issuer",
            "from serviceAccountIssuer",
            "set serviceAccountIssuer",
        ),
        ("audit-log-path: [a, b]", "audit-log-path", "takes one value", "write one text"),
        ("api-audiences: [a, a]", "api-audiences", "has a twice", "keep it once"),
        ("api-audiences: [1]", "api-audiences", "is not a list of texts", "in quotes"),
    ] {
        let fields = format!("{HERE}components: {{kube-apiserver: {{extraArgs: {{{flags}}}}}}}");
        let said = String::from_utf8(run(&fields, VALIDATE).stderr).unwrap();
        assert!(
            said.contains(&format!("{at}.{field}: ")) && said.contains(problem) && said.contains(cure),
            "{said}"
        );
    }
}

#[test]
fn a_wrong_character_is_named_with_the_corrected_text() {
    refused(
        &[
            (
                "apiServers: ['https://api.example.com.:6443']",
                "apiServers[0]",
                "ends in a dot",
                "write https://api.example.com:6443",
            ),
            ("apiServers: ['https://Node_1:6443']", "apiServers[0]", "has `_`", "write https://node-1:6443"),
            (
                "apiServers: ['https://fd00::1:6443']",
                "apiServers[0]",
                "without brackets",
                "write https://[fd00::1]:6443",
            ),
            (
                "apiServers: ['https://192.0.2.10:']",
                "apiServers[0]",
                "without a port",
                "write https://192.0.2.10:6443",
            ),
            ("apiServers: ['https://[fe80::1%25eth0]:6443']", "apiServers[0]", "a zone", "other machines"),
            (
                "etcd: {servers: [' https://a:2379']}",
                "etcd.servers[0]",
                "begins with a space",
                "write https://a:2379",
            ),
            (
                "etcd: {servers: ['https://a :2379']}",
                "etcd.servers[0]",
                "contains a space",
                "write https://a:2379",
            ),
            (
                "etcd: {servers: ['https://etcd_1:2379']}",
                "etcd.servers[0]",
                "has `_`",
                "write https://etcd-1:2379",
            ),
            (
                "etcd: {servers: ['https://fd00::1:2379']}",
                "etcd.servers[0]",
                "without brackets",
                "write https://[fd00::1]:2379",
            ),
            (
                "apiServerAltNames: ['api.example.com.']",
                "apiServerAltNames[0]",
                "ends in a dot",
                "write api.example.com",
            ),
            ("apiServerAltNames: ['[fd00::1]']", "apiServerAltNames[0]", "brackets", "write fd00::1"),
            (
                "apiServerAltNames: ['bücher.example']",
                "apiServerAltNames[0]",
                "has `ü`",
                "write xn--bcher-kva.example",
            ),
            (
                "apiServerAltNames: ['10.0.0.01']",
                "apiServerAltNames[0]",
                "leading zero (01)",
                "write 10.0.0.1",
            ),
            (
                "apiServerAltNames: ['a.example,b.example']",
                "apiServerAltNames[0]",
                "is several names",
                "write each as an item of its own",
            ),
            (
                "apiServers: ['https://a:6443 https://b:6443']",
                "apiServers[0]",
                "is several names",
                "write each as an item of its own",
            ),
            (
                "coreDNS: {upstream: ['192.0.2.1 192.0.2.2']}",
                "coreDNS.upstream[0]",
                "is several names",
                "write each as an item of its own",
            ),
            ("apiServerAltNames: ['root@a.example']", "apiServerAltNames[0]", "has `@`", "write a.example"),
            ("clusterDomain: a.example b.example", "clusterDomain", "is several names", "write one of them"),
            ("clusterDomain: cluster.local.", "clusterDomain", "ends in a dot", "write cluster.local"),
            ("clusterDomain: Cluster_Local", "clusterDomain", "capital letter `C`", "write cluster-local"),
            ("podCIDRs: ['10.4.0.0/16 ']", "podCIDRs[0]", "a space", "write 10.4.0.0/16"),
            ("coreDNS: {upstream: ['[fd00::53]']}", "coreDNS.upstream[0]", "brackets", "write fd00::53"),
        ],
        "",
    );
}

#[test]
fn no_part_of_a_finding_shows_a_password() {
    for (url, cure) in [
        ("https://root:hunter2@10.0.0.1:6443 ", "write https://10.0.0.1:6443"),
        ("https://root:hunter2@a b:6443", "write"),
        ("https://root:hunter2@a:", "write https://a:6443"),
        ("https://root:hunter2@a_b:6443", "write https://a"),
    ] {
        let output = run(&format!("apiServers: ['{url}']"), VALIDATE);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{url}\n{said}");
        assert!(!said.contains("hunter2") && said.contains("https://…@"), "{said}");
        assert!(said.contains(cure), "{said}");
    }
}

#[test]
fn the_sources_of_limits_say_what_the_table_says() {
    let output = Command::new("go").args(["env", "GOMODCACHE"]).output().unwrap();
    let cache = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let mut read = 0;
    for source in table::sources() {
        let Ok(text) = std::fs::read_to_string(cache.join(source.module).join(source.file)) else { continue };
        let line = text.lines().nth(source.line - 1).unwrap_or_default();
        assert!(line.contains(source.says), "{}/{}:{}: {line}", source.module, source.file, source.line);
        read += 1;
    }
    eprintln!("{read} of {} lines read", table::sources().len());
}
