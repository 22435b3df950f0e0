//! Every message of a failed check, pinned by a golden file: what, why, what to do.

use std::collections::BTreeMap;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use time::OffsetDateTime;
use time::macros::datetime;

use super::agreement_tests::told;
use super::causes_tests::{
    CAUSES, Change, NOW, etcd_answers, gone, good, in_fstab, kernel_has, layout, missing, options, pod,
    service, set_at_boot, taken,
};
use super::checks::CHECKS;
use super::facts::{ApiListener, Distrust, Etcd, Facts, Manifest};
use super::outcome::{Outcome, Problem};
use super::report::to_text;
use super::subject::Subject;
use super::tests::outcomes;
use super::{Check, facts::Registry};
use crate::assets::object::Object;
use crate::golden;
use crate::host::systemd::{Service, Standing};
use crate::kubelet::Runtime;
use crate::yaml;

/// Causes that are not in [`CAUSES`], since each shares its check and its place with one that is.
const MORE: [Change; 18] = [
    |facts| etcd_answers(facts, Etcd::Sick("503 {\"health\":\"false\"}".into())),
    |facts| etcd_answers(facts, Etcd::Untrusted(Distrust::Expired)),
    |facts| etcd_answers(facts, Etcd::Untrusted(Distrust::NotYetValid)),
    |facts| etcd_answers(facts, Etcd::Untrusted(Distrust::Other)),
    |facts| etcd_answers(facts, Etcd::Unreachable("Connection refused (os error 111)".into())),
    |facts| missing(facts, Registry::Unreached("no connection within 2 s".into())),
    |facts| taken(facts, 10359, &[]),
    |facts| (facts.api = ApiListener::Other("connection reset".into()), taken(facts, 6443, &[])).1,
    |facts| manifest(facts, "bootstrap-apiserver.yaml", "{}"),
    |facts| manifest(facts, "other.yaml", "metadata: {name: bootstrap-scheduler}"),
    |facts| manifest(facts, "own.yaml", "spec: {containers: [{command: [kube-apiserver]}]}"),
    |facts| facts.newest = Some(("/f".into(), datetime!(2026-06-02 0:00 UTC))),
    |facts| (in_fstab(facts), facts.swap.active = Ok(vec!["/dev/sda2".into()])).0,
    |facts| stands(facts, "kubelet", Standing::Stopped),
    |facts| stands(facts, "kubelet", Standing::Missing),
    |facts| stands(facts, "containerd", Standing::Failed("exit-code".into())),
    |facts| stands(facts, "containerd", Standing::Masked),
    |facts| stands(facts, "containerd", Standing::Broken("bad-setting".into())),
];

/// A service that systemd knows not to run.
fn stands(facts: &mut Facts, name: &str, standing: Standing) {
    match name {
        "kubelet" => gone(facts),
        _ => facts.runtime = Runtime::Silent { socket: "/run/c.sock".into(), why: "refused".into() },
    }
    let starts_at_boot = standing != Standing::Stopped;
    facts.services = vec![Service { starts_at_boot, ..service(name, standing) }];
}

/// What warns on a machine of a cluster with flannel, and what fails there.
fn of_the_kernel() -> Vec<(&'static str, Outcome)> {
    let mut layout = layout();
    let mut apiserver = layout.bootstrap_manifests[0].value.clone();
    let words = apiserver["spec"]["containers"][0]["command"].as_array_mut().unwrap();
    words.push("--service-cluster-ip-range=10.3.0.0/24,fd00:3::/112".into());
    layout.bootstrap_manifests[0].value = apiserver;
    let template = pod("x", &["/opt/bin/flanneld"]).value;
    let flannel = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"template": template},
        "metadata": {"name": "kube-flannel-ds", "namespace": "kube-flannel"}});
    let flannel = yaml::documents(&flannel.to_string(), "flannel.yaml").unwrap().remove(0);
    layout.objects = Object::from_document(flannel, "flannel.yaml").unwrap();
    let options = options();
    let subject = Subject::new(&layout, &options).unwrap();
    let changes: [Change; 9] = [
        |facts| kernel_has(facts, "net.ipv6.conf.all.forwarding", Some("0")),
        |facts| kernel_has(facts, "net.ipv6.conf.all.forwarding", None),
        |facts| kernel_has(facts, "net.bridge.bridge-nf-call-iptables", None),
        |facts| kernel_has(facts, "net.bridge.bridge-nf-call-ip6tables", Some("0")),
        |facts| facts.kernel.bridges_at_boot = Some(false),
        |facts| at_boot(facts, None),
        |facts| at_boot(facts, Some("0")),
        |facts| (kernel_has(facts, "net.ipv4.ip_forward", Some("0")), at_boot(facts, Some("0"))).1,
        |facts| {
            let forgotten = Service { starts_at_boot: false, ..service("kubelet", Standing::Runs) };
            facts.services = vec![forgotten];
        },
    ];
    let wanted =
        || CHECKS.iter().filter(|check| ["kubelet", "forwarding", "bridge-netfilter"].contains(&check.name));
    let all = changes.into_iter().flat_map(|change| {
        let mut facts = good();
        change(&mut facts);
        wanted().map(|check| (check.name, (check.decide)(&subject, &facts))).collect::<Vec<_>>()
    });
    all.filter(|(_, outcome)| matches!(outcome, Outcome::Fail(_) | Outcome::Warn(_))).collect()
}

fn at_boot(facts: &mut Facts, value: Option<&str>) {
    let setting = facts.kernel.settings.get_mut("net.ipv4.ip_forward").unwrap();
    setting.at_boot = Some(value.map(set_at_boot));
}

fn manifest(facts: &mut Facts, name: &str, content: &str) {
    let path = format!("/etc/kubernetes/manifests/{name}").into();
    facts.manifests = Ok(vec![Manifest { path, content: content.as_bytes().to_vec() }]);
}

/// The failures of a machine changed by `change`.
fn failures(change: Change) -> Vec<(&'static str, Problem)> {
    failed(outcomes(change))
}

fn failed(outcomes: Vec<(&'static str, Outcome)>) -> Vec<(&'static str, Problem)> {
    let problems = outcomes.into_iter().filter_map(|(name, outcome)| match outcome {
        Outcome::Fail(problems) => Some(problems.into_iter().map(move |problem| (name, problem))),
        _ => None,
    });
    problems.flatten().collect()
}

/// Failures where etcd is another's to run, and where a pod is never to pull its image.
fn elsewhere() -> Vec<(&'static str, Problem)> {
    let mut layout = layout();
    layout.controller_manifests.clear();
    let scheduler = &mut layout.bootstrap_manifests[1].value["spec"]["containers"][0];
    scheduler["imagePullPolicy"] = "Never".into();
    scheduler["image"] = "example.test/scheduler:1".into();
    let options = options();
    let subject = Subject::new(&layout, &options).unwrap();
    let answers = [
        Etcd::Sick("503 {\"health\":\"false\"}".into()),
        Etcd::Unreachable("Connection refused (os error 111)".into()),
    ];
    let all = answers.map(|answer| {
        let mut facts = good();
        etcd_answers(&mut facts, answer);
        let wanted = CHECKS.iter().filter(|check| ["etcd", "images"].contains(&check.name));
        failed(wanted.map(|check| (check.name, (check.decide)(&subject, &facts))).collect())
    });
    all.concat()
}

/// Failures of certificates: with one CA, its server certificate, and `change` of the rendered
/// files.
fn of_certificates(change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) -> Vec<(&'static str, Problem)> {
    let mut layout = layout();
    let flags = [
        "kube-apiserver",
        "--tls-cert-file=/etc/kubernetes/secrets/apiserver.crt",
        "--client-ca-file=/etc/kubernetes/secrets/ca.crt",
        "--kubelet-client-certificate=/etc/kubernetes/secrets/client.crt",
    ];
    layout.bootstrap_manifests[0] = pod("bootstrap-apiserver", &flags);
    layout.tls = rendered();
    change(&mut layout.tls);
    let options = options();
    let subject = Subject::new(&layout, &options).unwrap();
    let facts = good();
    let is_of_certificates = |name: &str| name.starts_with("certificate") || name == "server-names";
    let wanted = CHECKS.iter().filter(|check| is_of_certificates(check.name));
    failed(wanted.map(|check| (check.name, (check.decide)(&subject, &facts))).collect())
}

/// A CA that ends within a year, and certificates that end sooner.
fn of_endings() -> Vec<(&'static str, Outcome)> {
    let mut layout = layout();
    layout.tls = rendered();
    // Render would keep the second one, and nothing is said of it.
    for (file, past, left) in [("client", 60, 6), ("apiserver", 53, 6), ("etcd-client", 1, 5)] {
        let (past, left) = (time::Duration::days(past), time::Duration::days(left));
        layout.tls.insert(format!("{file}.crt"), self_signed(NOW - past, NOW + left));
    }
    let options = options();
    let subject = Subject::new(&layout, &options).unwrap();
    let check = CHECKS.iter().find(|check| check.name == "certificate-validity").unwrap();
    vec![(check.name, (check.decide)(&subject, &good()))]
}

const FROM: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const UNTIL: OffsetDateTime = datetime!(2027-01-01 0:00 UTC);

fn rendered() -> BTreeMap<String, Vec<u8>> {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (FROM, UNTIL);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let mut files = BTreeMap::from([("ca.crt".to_owned(), ca.pem().into_bytes())]);
    for name in ["apiserver", "client"] {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(FROM, UNTIL).signed_by(&key, &issuer).unwrap();
        files.insert(format!("{name}.crt"), certificate.pem().into_bytes());
        files.insert(format!("{name}.key"), key.serialize_pem().into_bytes());
    }
    files
}

fn leaf(from: OffsetDateTime, until: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["other.example.test".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (from, until);
    params
}

fn self_signed(from: OffsetDateTime, until: OffsetDateTime) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    leaf(from, until).self_signed(&key).unwrap().pem().into_bytes()
}

#[test]
fn golden_messages_of_every_check() {
    let put = |name: &str, content: Vec<u8>| {
        let name = name.to_owned();
        of_certificates(move |files| drop(files.insert(name, content)))
    };
    let early = datetime!(2026-05-01 0:00 UTC);
    let late = datetime!(2026-07-01 0:00 UTC);
    let mut all: Vec<(&str, Problem)> = CAUSES.iter().flat_map(|(change, _)| failures(*change)).collect();
    all.extend(MORE.into_iter().flat_map(failures));
    all.extend(elsewhere());
    all.extend(put("client.crt", self_signed(FROM, early)));
    all.extend(put("client.crt", self_signed(late, UNTIL)));
    all.extend(put("client.crt", b"no certificate".to_vec()));
    all.extend(put("client.key", b"no key".to_vec()));
    let order = |name: &str| CHECKS.iter().position(|check| check.name == name);
    all.sort_by_key(|(name, problem)| (order(name), problem.what.clone(), problem.why.clone()));
    all.dedup();
    let all = all
        .into_iter()
        .map(|(name, problem)| (name, Outcome::Fail(vec![problem])))
        .chain(of_the_kernel())
        .chain(of_endings())
        .chain(told());
    let text: String = all.map(|(name, outcome)| to_text(&[Check { name, about: "", outcome }])).collect();
    let text = text.replace(&format!("process {}", std::process::id()), "process 4711");
    let text = text.replace(&format!("process is {}", std::process::id()), "process is 4711");
    golden::check_file("messages/preflight.txt", &text);
    let sources = [
        "certificates",
        "credentials",
        "etcd",
        "images",
        "kernel",
        "kubelet/mod",
        "leftovers",
        "living_cluster",
        "machine",
        "network",
        "pod_network",
        "ports",
        "settings",
        "swap",
    ];
    for source in sources {
        golden::assert_complete(&format!("src/preflight/{source}.rs"), &text);
    }
}
