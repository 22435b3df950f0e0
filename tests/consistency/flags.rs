//! Extra flags: those that have a field, their values, and lists.

use tempfile::TempDir;

use crate::command::bootkube;
use crate::rows::{HEADER, HERE, RENDER, VALIDATE, refused, run, warned};

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
    let issuers = "components: {kube-apiserver: {extraArgs: {service-account-issuer: ['https://new.example', 'https://kubernetes.default.svc'], tls-sni-cert-key: '/a/a.crt,/a/a.key'}, extraVolumes: [{name: sni, hostPath: /a, mountPath: /a}]}}";
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("cluster.yaml"), format!("{HEADER}{HERE}{issuers}\n")).unwrap();
    let output = bootkube(folder.path(), RENDER, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in ["manifests/kube-apiserver.yaml", "bootstrap-manifests/bootstrap-apiserver.yaml"] {
        let text = std::fs::read_to_string(folder.path().join("assets").join(file)).unwrap();
        let flags: Vec<&str> =
            text.lines().filter_map(|line| line.trim().strip_prefix("- --service-account-issuer=")).collect();
        assert_eq!(flags, ["https://new.example", "https://kubernetes.default.svc"], "{file}");
        assert!(text.contains("--tls-sni-cert-key=/a/a.crt,/a/a.key"), "{file}");
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
