//! A good machine is changed in one respect, and exactly one check must fail and name the cause.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;
use time::OffsetDateTime;
use time::macros::datetime;

use super::checks::CHECKS;
use super::facts::{
    ApiListener, DataFolder, Distrust, Etcd, Health, Kubelet, Manifest, Member, Registry, Room, Runtime,
    StaticPodFolder, Taken, Volume,
};
use super::*;
use crate::assets::load::StaticPod;
use crate::host::cri::Condition;
use crate::host::programs::Program;
use crate::{BOOTSTRAP_SECRETS, CONTROL_PLANE_KEYS, ETCD_KEYS};

const IMAGE: &str = "registry.k8s.io/kube-apiserver:v1.36.3";
const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

pub(super) fn pod(file: &str, command: &[&str]) -> StaticPod {
    let container = json!({"name": "c", "image": IMAGE, "command": command});
    let spec = json!({"hostNetwork": true, "containers": [container]});
    let value = json!({"metadata": {"name": file}, "spec": spec});
    StaticPod { path: format!("{file}.yaml"), bytes: value.to_string().into_bytes(), value }
}

/// An apiserver and an etcd, without certificates: those are tested with real ones.
pub(super) fn layout() -> Layout {
    let apiserver = [
        "kube-apiserver",
        "--secure-port=6443",
        "--etcd-servers=https://127.0.0.1:2379",
        "--etcd-cafile=/etc/kubernetes/secrets/etcd-client-ca.crt",
        SERVICES,
    ];
    let scheduler = ["kube-scheduler", "--secure-port=10359", "--bind-address=127.0.0.1"];
    let etcd = ["etcd", "--listen-client-urls=https://127.0.0.1:2379", "--data-dir=/var/lib/etcd"];
    let issued = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap().cert.pem();
    let cluster =
        json!({"server": "https://api.example.test:6443", "certificate-authority-data": base64(&issued)});
    let kubeconfig = json!({
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    Layout {
        kubeconfig: kubeconfig.to_string().into_bytes(),
        bootstrap_manifests: vec![
            pod("bootstrap-apiserver", &apiserver),
            pod("bootstrap-scheduler", &scheduler),
        ],
        controller_manifests: vec![pod("etcd", &etcd)],
        ..Layout::default()
    }
}

const SERVICES: &str = "--service-cluster-ip-range=10.3.0.0/24";

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

pub(super) fn options() -> CheckOptions {
    CheckOptions {
        asset_dir: PathBuf::from("/assets"),
        pod_manifest_path: PathBuf::from("/etc/kubernetes/manifests"),
        ignored: Ignored::default(),
        placed: BTreeSet::new(),
        etcd_authority: None,
        now: NOW,
        patience: Duration::ZERO,
    }
}

/// This process, which shares our files.
fn process(words: &[&str]) -> Program {
    Program { pid: std::process::id(), words: words.iter().map(|word| (*word).to_owned()).collect() }
}

fn kubelet() -> Kubelet {
    Kubelet {
        process: process(&["kubelet", "--bootstrap-kubeconfig=/b", "--kubeconfig=/k"]),
        config: Ok(json!({"rotateCertificates": true})),
        watched: StaticPodFolder::Ours,
        has_credentials: false,
    }
}

fn ready(name: &str, holds: bool) -> Condition {
    Condition { name: name.into(), holds, reason: "Because".into(), message: "it is so".into() }
}

fn runtime(conditions: Vec<Condition>, images: &[&str]) -> Runtime {
    let images = images.iter().map(|image| (*image).to_owned()).collect();
    Runtime::Answers { version: "containerd 2".into(), conditions, images: Ok(images) }
}

pub(super) fn good() -> Facts {
    let room = Room { free: 1 << 40, has_inodes: true, is_read_only: false };
    let volume = |path: &str| Volume { path: path.into(), needed: 1 << 29, room: Ok(room) };
    Facts {
        is_root: true,
        newest: Some(("/assets/auth/kubeconfig".into(), NOW)),
        kubelet: Some(kubelet()),
        health: Health::Healthy,
        kubelet_listens: true,
        runtime: runtime(vec![ready("RuntimeReady", true), ready("NetworkReady", false)], &[IMAGE]),
        registries: BTreeMap::new(),
        taken: Ok(Vec::new()),
        api: ApiListener::Nothing,
        etcd: vec![Member {
            url: "https://127.0.0.1:2379".into(),
            answer: Etcd::Unreachable("refused".into()),
        }],
        api_host: Ok(()),
        routes: Ok(Vec::new()),
        addresses: Vec::new(),
        volumes: vec![volume("/etc/kubernetes"), volume("/var/lib/etcd")],
        manifests: Ok(Vec::new()),
        key_folders: [BOOTSTRAP_SECRETS, ETCD_KEYS, CONTROL_PLANE_KEYS]
            .map(|folder| (folder.into(), Ok(())))
            .into(),
        etcd_data: DataFolder::Free,
        kubeadm: Vec::new(),
    }
}

/// The outcome of every check but those of certificates, on a good machine changed by `change`.
pub(super) fn outcomes(change: impl FnOnce(&mut Facts)) -> Vec<(&'static str, Outcome)> {
    let (layout, options) = (layout(), options());
    let subject = Subject::new(&layout, &options).unwrap();
    let mut facts = good();
    change(&mut facts);
    let records = CHECKS
        .iter()
        .filter(|record| !record.name.starts_with("certificate") && record.name != "server-names");
    records.map(|record| (record.name, (record.decide)(&subject, &facts))).collect()
}

/// The message of the one check that fails.
fn failure(change: impl FnOnce(&mut Facts)) -> String {
    let mut failed = outcomes(change).into_iter().filter_map(|(name, outcome)| match outcome {
        Outcome::Fail(problems) => Some((name, problems)),
        _ => None,
    });
    let (name, problems) = failed.next().expect("something fails");
    assert_eq!(failed.map(|(name, _)| name).collect::<Vec<_>>(), [] as [&str; 0], "beside {name}");
    let said = problems.iter().map(|Problem { what, why, cure }| format!("{what}; {why}; {cure}"));
    format!("{name}: {}", said.collect::<Vec<_>>().join("\n"))
}

fn unknown(change: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    let outcomes = outcomes(change);
    assert!(!outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Fail(_))), "{outcomes:#?}");
    let unknown = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)));
    unknown.map(|(name, _)| *name).collect()
}

pub(super) type Change = fn(&mut Facts);

/// Each cause, and words that only its message has.
pub(super) const CAUSES: [(Change, &str); 28] = [
    (|facts| facts.is_root = false, "root: bootkube does not run as root"),
    (
        |facts| facts.newest = Some(("/f".into(), datetime!(2026-06-02 0:00 UTC))),
        "clock: this machine's clock is behind",
    ),
    (|facts| room(facts).free = 1, "space: there is not enough room for /etc/kubernetes"),
    (|facts| room(facts).has_inodes = false, "space: no file can be created in /etc/kubernetes"),
    (|facts| room(facts).is_read_only = true, "space: nothing can be written to /etc/kubernetes"),
    (|facts| gone(facts), "kubelet: kubelet is not running"),
    (|facts| silent(facts), "kubelet: kubelet has started but does not answer"),
    (|facts| facts.health = Health::Sick("500".into()), "kubelet: kubelet is not healthy"),
    (
        |facts| watches(facts, StaticPodFolder::Nothing),
        "kubelet-static-pods: kubelet watches no folder for static pods",
    ),
    (
        |facts| watches(facts, StaticPodFolder::Other("/o".into())),
        "kubelet-static-pods: kubelet watches another folder",
    ),
    (|facts| deadlocked(facts), "kubelet-certificates: kubelet will start no static pod"),
    (
        |facts| facts.runtime = mute(),
        "container-runtime: the container runtime does not answer at /run/c.sock",
    ),
    (
        |facts| facts.runtime = runtime(vec![ready("RuntimeReady", false)], &[IMAGE]),
        "container-runtime: containerd 2 is not ready",
    ),
    (
        |facts| missing(facts, Registry::Unreached("no route".into())),
        "images: image registry.k8s.io/kube-apiserver:v1.36.3 is not on this machine",
    ),
    (|facts| taken(facts, 10359, &["nginx"]), "ports: port 10359 of kube-scheduler is taken; nginx"),
    (|facts| taken(facts, 2379, &["etcd", "--mine"]), "ports: port 2379 of etcd is taken; etcd"),
    (
        |facts| other_api(facts),
        "ports: port 6443 of kube-apiserver is taken; a process that is not this cluster's",
    ),
    (
        |facts| etcd_answers(facts, Etcd::Untrusted(Distrust::Authority)),
        "etcd: the certificate of etcd at https://127.0.0.1:2379 is not signed by",
    ),
    (
        |facts| etcd_answers(facts, Etcd::Untrusted(Distrust::Name)),
        "etcd: the certificate of etcd at https://127.0.0.1:2379 does not name",
    ),
    (
        |facts| etcd_answers(facts, Etcd::RefusesUs("alert".into())),
        "etcd: etcd at https://127.0.0.1:2379 refuses our client certificate",
    ),
    (
        |facts| facts.api_host = Err("no such name".into()),
        "api-address: api.example.test, the host of the API's URL, does not resolve",
    ),
    (
        |facts| facts.addresses = vec!["10.3.0.9".parse().unwrap()],
        "networks: the network of services, 10.3.0.0/24, is in use",
    ),
    (
        |facts| held(facts, BOOTSTRAP_SECRETS),
        "bootstrap-secrets: /etc/kubernetes/bootstrap-secrets was not made by bootkube",
    ),
    (
        |facts| copied(facts),
        "static-pods: /etc/kubernetes/manifests/own.json is a copy of a pod of a cluster that was",
    ),
    (
        |facts| held(facts, CONTROL_PLANE_KEYS),
        "control-plane-keys: /etc/kubernetes/control-plane was not made by bootkube",
    ),
    (|facts| held(facts, ETCD_KEYS), "etcd-keys: /etc/kubernetes/etcd was not made by bootkube"),
    (
        |facts| facts.etcd_data = DataFolder::Used { is_of_this_cluster: false },
        "etcd-data: /var/lib/etcd holds the data of another etcd",
    ),
    (
        |facts| facts.kubeadm = vec!["/etc/kubernetes/admin.conf".into()],
        "kubeadm: kubeadm has made this machine a controller",
    ),
];

fn room(facts: &mut Facts) -> &mut Room {
    facts.volumes[0].room.as_mut().unwrap()
}

fn gone(facts: &mut Facts) {
    (facts.kubelet, facts.health, facts.kubelet_listens) = (None, Health::Silent("refused".into()), false);
}

fn silent(facts: &mut Facts) {
    (facts.health, facts.kubelet_listens) = (Health::Silent("refused".into()), false);
}

fn watches(facts: &mut Facts, watched: StaticPodFolder) {
    facts.kubelet.as_mut().unwrap().watched = watched;
}

/// A kubelet that waits for its certificate does not answer at its health endpoint. Only the cause is reported.
fn deadlocked(facts: &mut Facts) {
    silent(facts);
    facts.kubelet.as_mut().unwrap().config = Ok(json!({}));
}

fn mute() -> Runtime {
    Runtime::Silent { socket: "/run/c.sock".into(), why: "refused".into() }
}

pub(super) fn missing(facts: &mut Facts, registry: Registry) {
    facts.runtime = runtime(vec![ready("RuntimeReady", true)], &[]);
    facts.registries = BTreeMap::from([("registry.k8s.io".to_owned(), registry)]);
}

pub(super) fn taken(facts: &mut Facts, port: u16, holder: &[&str]) {
    let holders = if holder.is_empty() { Vec::new() } else { vec![process(holder)] };
    facts.taken = Ok(vec![Taken { port, addresses: vec!["0.0.0.0".parse().unwrap()], holders }]);
}

fn other_api(facts: &mut Facts) {
    taken(facts, 6443, &[]);
    facts.api = ApiListener::Other("invalid peer certificate: UnknownIssuer".into());
}

pub(super) fn etcd_answers(facts: &mut Facts, answer: Etcd) {
    facts.etcd[0].answer = answer;
}

/// A copy that the agent of some cluster left.
fn copied(facts: &mut Facts) {
    let pod = json!({
        "metadata": {"name": "x", "annotations": {"checkpointer.alpha.coreos.com/checkpoint-of": "x"}},
        "spec": {"containers": [{"name": "c", "command": ["kube-apiserver"]}]},
    });
    let path = PathBuf::from("/etc/kubernetes/manifests/own.json");
    facts.manifests = Ok(vec![Manifest { path, content: pod.to_string().into_bytes() }]);
}

fn held(facts: &mut Facts, folder: &str) {
    facts.key_folders.insert(folder.into(), Err("foreign".into()));
}

#[test]
fn a_good_machine_passes_every_check() {
    assert_eq!(unknown(|_| {}), [] as [&str; 0]);
}

#[test]
fn each_cause_has_a_message_of_its_own_and_no_other() {
    let messages: Vec<String> = CAUSES.iter().map(|(change, _)| failure(change)).collect();
    for (i, message) in messages.iter().enumerate() {
        let words = CAUSES.iter().map(|(_, words)| *words);
        let matching: Vec<usize> = words
            .enumerate()
            .filter(|(_, words)| message.starts_with(words))
            .map(|(cause, _)| cause)
            .collect();
        assert_eq!(matching, [i], "{message}");
    }
}

#[test]
fn what_a_container_cannot_see_is_unknown() {
    let container = |facts: &mut Facts| {
        facts.kubelet = None;
        facts.runtime = Runtime::Unseen("no socket".into());
        facts.api_host = Err("no such name".into());
        facts.etcd_data = DataFolder::Unseen;
        facts.volumes[1].room = Err("there is no /var/lib/etcd here".into());
    };
    let expected = [
        "space",
        "kubelet-static-pods",
        "kubelet-certificates",
        "container-runtime",
        "images",
        "api-address",
        "etcd-data",
    ];
    assert_eq!(unknown(container), expected);
}

#[test]
fn a_kubelet_elsewhere_and_images_that_may_come_are_unknown() {
    assert_eq!(unknown(|facts| facts.health = Health::Off), ["kubelet"]);
    assert_eq!(unknown(|facts| facts.etcd.clear()), ["etcd"]);
    assert_eq!(
        unknown(|facts| facts.health = Health::Silent("refused".into())),
        ["kubelet"],
        "10250 is listened on"
    );
    assert_eq!(unknown(|facts| missing(facts, Registry::Reached)), ["images"]);
    assert_eq!(unknown(|facts| missing(facts, Registry::Detour("no route".into()))), ["images"]);
}

#[test]
fn what_this_cluster_left_itself_is_not_in_the_way() {
    let nothing: [&str; 0] = [];
    let rerun = |facts: &mut Facts| {
        let apiserver = &layout().bootstrap_manifests[0];
        let path = PathBuf::from("/etc/kubernetes/manifests/bootstrap-apiserver.yaml");
        facts.manifests = Ok(vec![Manifest { path, content: apiserver.bytes.clone() }]);
        facts.etcd_data = DataFolder::Used { is_of_this_cluster: false };
        taken(facts, 10359, &["kube-scheduler", "--changed-since"]);
    };
    assert_eq!(unknown(rerun), nothing);
    assert_eq!(
        unknown(|facts| (facts.api = ApiListener::Ours, taken(facts, 6443, &["kube-apiserver"])).1),
        nothing
    );
    assert_eq!(
        unknown(|facts| (facts.api = ApiListener::Ours, copied(facts)).1),
        nothing,
        "a copy of this cluster's"
    );
    let own = ["kube-scheduler", "--bind-address=127.0.0.1", "--v=2", "--secure-port=10359"];
    assert_eq!(unknown(|facts| taken(facts, 10359, &own)), nothing, "it has the rendered flags");
    let unseen = |facts: &mut Facts| (facts.api = ApiListener::Ours, taken(facts, 10359, &[])).1;
    assert_eq!(unknown(unseen), nothing, "no holder can be seen, and the machine is ours");
}

#[test]
fn a_file_that_an_earlier_run_placed_is_not_foreign() {
    let (layout, mut options) = (layout(), options());
    let path = PathBuf::from("/etc/kubernetes/manifests/bootstrap-apiserver.yaml");
    let mut facts = good();
    facts.manifests = Ok(vec![Manifest { path: path.clone(), content: b"of an earlier render".to_vec() }]);
    let decide =
        |options: &CheckOptions| leftovers::static_pods(&Subject::new(&layout, options).unwrap(), &facts);
    assert!(matches!(decide(&options), Outcome::Fail(_)));
    options.placed.insert(path);
    assert!(matches!(decide(&options), Outcome::Pass(_)));
}

#[test]
fn services_that_may_be_starting_are_waited_for_and_wrong_certificates_are_not() {
    let (layout, options) = (layout(), options());
    let subject = Subject::new(&layout, &options).unwrap();
    let waits_for = |change: &dyn Fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        let checks = decide(&subject, &facts);
        checks
            .iter()
            .filter(|check| still_starting(check, &facts).is_some())
            .map(|check| check.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(waits_for(&silent), ["kubelet"]);
    assert_eq!(waits_for(&|facts| facts.runtime = mute()), ["container-runtime"]);
    assert_eq!(
        waits_for(&|facts| etcd_answers(facts, Etcd::Untrusted(Distrust::Authority))),
        [] as [&str; 0]
    );
    assert_eq!(waits_for(&deadlocked), [] as [&str; 0]);
    assert_eq!(waits_for(&|facts| facts.is_root = false), [] as [&str; 0]);
}
