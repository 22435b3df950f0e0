//! Two renders of one cluster, the second with another value: what is refused on a running cluster, and what is not.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::fields::FIELDS;
use super::*;
use crate::config::{self, Flags};
use crate::pki::{self, Previous, Supplied};
use crate::{assets::Assets, render};

const BASE: &str = "apiServers: ['https://api.example.test:6443']\netcd: {mode: staticPod}\n";

/// What `text` renders, with the keys of `earlier`.
fn rendered(text: &str, earlier: &Previous) -> (Assets, Previous) {
    let text = format!("apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n{text}\n");
    let (config, _) = config::resolve(Flags::default(), Some(("cluster.yaml", &text))).unwrap();
    let now = OffsetDateTime::now_utc();
    let (bundle, _) = pki::issue(&config, Supplied::default(), earlier, now).unwrap();
    let previous = Previous {
        files: bundle.files.clone(),
        token: Some(bundle.bootstrap_token.clone()),
        ..Previous::default()
    };
    (render::render(&config, &bundle).unwrap(), previous)
}

fn settled(assets: &Assets) -> Settled {
    Settled::of_files(&assets.files)
}

/// What a render of `new` differs in from one of `old`.
fn found(old: &str, new: &str) -> Vec<Difference> {
    let (old, keys) = rendered(old, &Previous::default());
    let (new, _) = rendered(new, &keys);
    differences(&[settled(&old)], &settled(&new))
}

fn names(differences: &[Difference]) -> Vec<&'static str> {
    differences.iter().map(|difference| difference.name).collect()
}

/// Fields of the first render and of the second one, what is refused, with both values, and words of the cure.
type Refused = (&'static str, &'static str, &'static str, [&'static str; 2], &'static str);

const REFUSED: [Refused; 18] = [
    (
        BASE,
        "serviceCIDRs: [10.96.0.0/16]",
        "serviceCIDRs",
        ["10.3.0.0/24", "10.96.0.0/16"],
        "(--service-cidr), or give Services more",
    ),
    (BASE, "serviceCIDRs: [10.3.0.0/16]", "serviceCIDRs", ["10.3.0.0/24", "10.3.0.0/16"], "kind ServiceCIDR"),
    (
        BASE,
        "podCIDRs: [10.244.0.0/16]",
        "podCIDRs",
        ["10.2.0.0/16", "10.244.0.0/16"],
        "10.2.0.0/16 as podCIDRs (--pod-cidr), or name a wider",
    ),
    (BASE, "podCIDRs: [10.2.0.0/17]", "podCIDRs", ["10.2.0.0/16", "10.2.0.0/17"], "wider"),
    (
        BASE,
        "clusterDomain: k8s.example",
        "clusterDomain",
        ["cluster.local", "k8s.example"],
        "cluster.local as clusterDomain",
    ),
    (
        BASE,
        "serviceAccountIssuer: 'https://issuer.example'",
        "serviceAccountIssuer",
        ["https://kubernetes.default.svc.cluster.local", "https://issuer.example"],
        "service-account-issuer: [NEW, OLD]",
    ),
    (
        BASE,
        "etcd: {servers: ['https://192.0.2.30:2379']}",
        "etcd.servers",
        ["https://127.0.0.1:2379", "https://192.0.2.30:2379"],
        "etcd.mode: staticPod, or https://127.0.0.1:2379 as etcd.servers (--etcd-servers)",
    ),
    (
        "etcd: {servers: ['https://192.0.2.30:2379']}",
        "etcd: {mode: staticPod}",
        "etcd.servers",
        ["https://192.0.2.30:2379", "https://127.0.0.1:2379"],
        "still in the list",
    ),
    (
        "etcd: {servers: ['http://a.example:2379', 'http://b.example:2379']}",
        "etcd: {servers: ['http://c.example:2379']}",
        "etcd.servers",
        ["http://a.example:2379, http://b.example:2379", "http://c.example:2379"],
        "add members",
    ),
    (
        BASE,
        "components: {kube-apiserver: {extraArgs: {etcd-prefix: /other}}}",
        "components.kube-apiserver.extraArgs.etcd-prefix",
        ["/registry", "/other"],
        "/registry as",
    ),
    (
        BASE,
        MOVED,
        "the data folder of etcd (components.etcd.patches)",
        ["/var/lib/etcd", "/srv/etcd"],
        "mount the other disk",
    ),
    (
        ENCRYPTED,
        "",
        "components.kube-apiserver.extraArgs.encryption-provider-config",
        ["/etc/enc.yaml", "not set"],
        "decrypt",
    ),
    (
        BASE,
        "apiServers: ['https://api.example.test:7443']",
        "the port in apiServers",
        ["6443", "7443"],
        "6443 as the port in apiServers (--api-servers)",
    ),
    (
        BASE,
        "apiServers: ['https://new.example.test:6443']",
        "the host in apiServers",
        ["api.example.test", "new.example.test"],
        "apiServerAltNames",
    ),
    (
        "networking: none",
        "networking: flannel",
        "networking",
        ["none", "flannel"],
        "none as networking (--network-provider)",
    ),
    (
        BASE,
        "kubernetesVersion: v1.34.1",
        "kubernetesVersion",
        ["v1.36.3", "v1.34.1"],
        "one minor version at a time",
    ),
    (
        BASE,
        DNS,
        "clusterIP of the Service kube-dns (the tenth address of serviceCIDRs)",
        ["10.3.0.10", "10.3.0.20"],
        "10.3.0.10 as",
    ),
    (
        TWO,
        "podCIDRs: ['fd00:2::/56', 10.2.0.0/16]\nserviceCIDRs: ['fd00:3::/112', 10.3.0.0/24]",
        "podCIDRs",
        ["10.2.0.0/16, fd00:2::/56", "fd00:2::/56, 10.2.0.0/16"],
        "podCIDRs",
    ),
];
const MOVED: &str = "components: {etcd: {patches: [{kind: Pod, patch: {spec: {volumes: [{name: data, hostPath: {path: /srv/etcd}}]}}}]}}";
const ENCRYPTED: &str = "components: {kube-apiserver: {extraArgs: {encryption-provider-config: /etc/enc.yaml}, extraVolumes: [{name: enc, hostPath: /etc/enc.yaml, mountPath: /etc/enc.yaml}]}}";
const DNS: &str = "components: {coredns: {patches: [{kind: Service, patch: {spec: {clusterIP: 10.3.0.20, clusterIPs: [10.3.0.20]}}}]}}";
const TWO: &str = "podCIDRs: [10.2.0.0/16, 'fd00:2::/56']\nserviceCIDRs: ['10.3.0.0/24', 'fd00:3::/112']";

/// Fields over those of [`BASE`]; a field that is there replaces the one of the base.
fn over(fields: &str) -> String {
    let is_replaced = |line: &str| {
        let name = line.split(':').next().unwrap();
        fields.lines().any(|field| field.split(':').next() == Some(name))
    };
    let base = BASE.lines().filter(|line| !is_replaced(line));
    base.map(|line| format!("{line}\n")).collect::<String>() + fields
}

#[test]
fn what_a_cluster_keeps_is_refused_with_field_values_and_cure() {
    for (old, new, name, values, cure) in REFUSED {
        let found = found(&over(if old == BASE { "" } else { old }), &over(new));
        let one = found.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("{new}: {found:#?}"));
        assert_eq!([&*one.old, &*one.new], values, "{name}");
        assert!(one.cure.contains(cure), "{name}: {}", one.cure);
        assert!(
            one.old_from.contains("manifests/") && one.new_from.contains("manifests/")
                || one.new == "not set"
        );
        let told = one.to_string();
        assert!(told.contains(name) && values.iter().all(|value| told.contains(value)), "{told}");
    }
}

#[test]
fn one_change_is_one_difference_and_what_follows_from_it_is_none() {
    let one = |new: &str| names(&found(&over(""), &over(new)));
    assert_eq!(one("serviceCIDRs: [10.96.0.0/16]"), ["serviceCIDRs"], "the address of DNS follows");
    assert_eq!(one("clusterDomain: k8s.example"), ["clusterDomain"], "the issuer follows");
    let both = "clusterDomain: k8s.example\nserviceAccountIssuer: 'https://issuer.example'";
    assert_eq!(one(both), ["clusterDomain", "serviceAccountIssuer"]);
    assert_eq!(one(""), [] as [&str; 0]);
}

#[test]
fn everything_of_the_reported_case_is_told() {
    let changed = "etcd: {servers: ['https://192.0.2.30:2379']}\nclusterDomain: k8s.example\n\
                   podCIDRs: [10.244.0.0/16]\nserviceCIDRs: [10.96.0.0/16]\nkubernetesVersion: v1.34.1";
    let expected = ["etcd.servers", "serviceCIDRs", "podCIDRs", "clusterDomain", "kubernetesVersion"];
    assert_eq!(names(&found(&over(""), &over(changed))), expected);
}

/// Changes that a rollout makes.
const PASSES: [(&str, &str); 17] = [
    ("podCIDRs: [10.4.0.0/16]", "podCIDRs: [10.4.0.0/15]"),
    ("", "apiServers: ['https://new.example.test:6443']\napiServerAltNames: [api.example.test]"),
    ("", "apiServers: ['https://api.example.test:6443', 'https://b.example.test:6443']"),
    ("", "clusterName: other"),
    ("", "kubernetesVersion: v1.35.4"),
    ("", "images: {kube-apiserver: 'registry.example.test/apiserver:mine'}"),
    (
        "etcd: {servers: ['http://a.example:2379']}",
        "etcd: {servers: ['http://a.example:2379']}\ncontrolPlane: {controllers: 3}",
    ),
    ("", "coreDNS: {replicas: 3, upstream: [192.0.2.53]}"),
    ("", "components: {kube-controller-manager: {extraArgs: {node-cidr-mask-size: '26'}}}"),
    ("", "components: {kube-apiserver: {extraArgs: {v: '4', etcd-prefix: registry}}}"),
    (
        "",
        "components: {kube-apiserver: {extraArgs: {service-account-issuer: ['https://new.example', 'https://kubernetes.default.svc.cluster.local']}}}",
    ),
    (
        "components: {kube-apiserver: {extraArgs: {service-account-issuer: ['https://new.example', 'https://kubernetes.default.svc.cluster.local']}}}",
        "serviceAccountIssuer: 'https://new.example'",
    ),
    ("", ENCRYPTED),
    (
        ENCRYPTED,
        "components: {kube-apiserver: {extraArgs: {encryption-provider-config: /etc/other.yaml}, extraVolumes: [{name: enc, hostPath: /etc/other.yaml, mountPath: /etc/other.yaml}]}}",
    ),
    ("", "networking: none"),
    (
        "etcd: {servers: ['http://a.example:2379']}",
        "etcd: {servers: ['https://b.example:2379', 'https://A.example:2379']}",
    ),
    ("", "aggregation: false"),
];

#[test]
fn what_a_rollout_changes_is_not_refused() {
    for (old, new) in PASSES {
        assert_eq!(names(&found(&over(old), &over(new))), [] as [&str; 0], "{old} -> {new}");
    }
}

#[test]
fn other_keys_are_refused_and_shown_by_name_or_digest_only() {
    let (old, _) = rendered(BASE, &Previous::default());
    let (new, _) = rendered(BASE, &Previous::default());
    let found = differences(&[settled(&old)], &settled(&new));
    assert_eq!(names(&found), ["tls/ca.crt", "tls/service-account.key"]);
    assert!(found[0].old.starts_with("kubernetes-ca of 20"), "{}", found[0].old);
    assert!(found[1].old.starts_with("SHA-256 ") && found[1].old.len() < 30, "{}", found[1].old);
    assert!(found.iter().all(|one| !one.to_string().contains("-----")));
}

fn cluster(objects: &[Value]) -> Settled {
    Settled::read(objects.iter().map(|object| ("API", object)))
}

fn workload(program: &str, flags: &[&str]) -> Value {
    let command: Vec<&str> = [program].iter().chain(flags).copied().collect();
    json!({"kind": "Deployment", "metadata": {"name": program, "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": [{"command": command}]}}}})
}

fn node(ranges: &[&str], is_ready: bool) -> Value {
    json!({"metadata": {"name": "n1"}, "spec": {"podCIDRs": ranges},
        "status": {"conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}]}})
}

/// The range of the assets decides by the Nodes: a range that holds theirs may be narrower than before.
#[test]
fn pod_ranges_are_judged_by_the_nodes_that_there_are() {
    let of =
        |range: &str| cluster(&[workload("kube-controller-manager", &[&format!("--cluster-cidr={range}")])]);
    let is_refused = |nodes: &[Value], range: &str| {
        !differences(&[of("10.2.0.0/16").with_nodes(nodes)], &of(range)).is_empty()
    };
    let nodes = [node(&["10.2.0.0/24"], true), node(&["10.2.5.0/24"], true)];
    assert!(!is_refused(&nodes, "10.2.0.0/20") && !is_refused(&nodes, "10.0.0.0/8"));
    assert!(is_refused(&nodes, "10.2.0.0/22") && is_refused(&nodes, "10.244.0.0/16"));
    assert!(is_refused(&nodes, "10.2.0.0/16,fd00::/56"), "a Node gets no second range");
    assert!(!is_refused(&[], "10.244.0.0/16") && !is_refused(&[node(&[], true)], "10.244.0.0/16"));
}

#[test]
fn the_object_of_the_service_range_counts_over_a_flag_that_was_edited() {
    let object = json!({"kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.3.0.0/24"]}});
    let edited = workload("kube-apiserver", &["--service-cluster-ip-range=10.96.0.0/16"]);
    let assets = cluster(&[workload("kube-apiserver", &["--service-cluster-ip-range=10.3.0.0/24"])]);
    assert_eq!(differences(&[cluster(&[object, edited])], &assets), []);
}

/// An edit with another etcd, whose rollout cannot end: the apiserver before it runs, and the assets bring its flags back.
#[test]
fn assets_that_agree_with_what_runs_may_take_the_place_of_a_broken_edit() {
    let of = |server: &str| {
        cluster(&[workload("kube-apiserver", &[&format!("--etcd-servers=https://{server}:2379")])])
    };
    let words = ["kube-apiserver".to_owned(), "--etcd-servers=https://192.0.2.1:2379".to_owned()];
    let runs = Settled::of_process("kube-apiserver (process 7)", &words);
    assert_eq!(differences(&[of("192.0.2.9"), runs.clone()], &of("192.0.2.1")), []);
    assert_eq!(names(&differences(&[of("192.0.2.1"), runs], &of("192.0.2.9"))), ["etcd.servers"]);
}

/// Before a network is there, a cluster may still get one.
#[test]
fn flannel_is_refused_where_another_network_makes_nodes_ready() {
    let of = |networking: &str| {
        let map = json!({"kind": "ConfigMap", "metadata": {"name": "bootkube-config", "namespace": "kube-system"},
            "data": {"config.yaml": format!("networking: {networking}\n")}});
        cluster(&[map])
    };
    let is_refused =
        |is_ready| !differences(&[of("none").with_nodes(&[node(&[], is_ready)])], &of("flannel")).is_empty();
    assert!(is_refused(true) && !is_refused(false));
}

#[test]
fn what_a_source_does_not_know_is_no_difference() {
    let (assets, _) = rendered(BASE, &Previous::default());
    assert_eq!(differences(&[], &settled(&assets)), []);
    assert_eq!(differences(&[Settled::default()], &settled(&assets)), []);
    assert_eq!(differences(&[settled(&assets)], &Settled::default()), []);
}

#[test]
fn every_field_says_what_a_cluster_would_suffer_and_what_to_do() {
    for record in &FIELDS {
        assert!(!record.name.is_empty() && record.suffers.len() > 20 && !record.otherwise.is_empty());
        assert!(
            REFUSED.iter().any(|refused| refused.2 == record.name) || record.name.starts_with("tls/"),
            "{}",
            record.name
        );
    }
}
