//! A good machine, and every cause that keeps one from being ready: what it changes, and what is
//! said of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use super::facts::{
    ApiListener, DataFolder, Distrust, Etcd, Kernel, Manifest, Member, PodNetwork, Registry, Room, Setting,
    Swap, Taken, Volume,
};
use super::kernel::SETTINGS;
use super::*;
use crate::assets::load::StaticPod;
use crate::host::cri::Condition;
use crate::host::kernel::AtBoot;
use crate::host::programs::Program;
use crate::host::swap::Source;
use crate::host::systemd::{Service, Standing};
use crate::kubelet::config::Config;
use crate::kubelet::{Health, Kubeconfig, Kubelet, Runtime, StaticPodFolder};
use crate::living::{Living, Other, Settled};
use crate::{BOOTSTRAP_SECRETS, CONTROL_PLANE_KEYS, ETCD_KEYS};

pub(super) const IMAGE: &str = "registry.k8s.io/kube-apiserver:v1.36.3";
pub(super) const PAUSE: &str = "registry.k8s.io/pause:3.10";
pub(super) const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

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

pub(super) const SERVICES: &str = "--service-cluster-ip-range=10.3.0.0/24";

pub(super) fn base64(text: &str) -> String {
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
        asks_cluster: true,
        patience: Duration::ZERO,
    }
}

/// This process, which shares our files.
pub(super) fn process(words: &[&str]) -> Program {
    Program { pid: std::process::id(), words: words.iter().map(|word| (*word).to_owned()).collect() }
}

pub(super) fn kubelet() -> Kubelet {
    Kubelet {
        process: process(&["kubelet", "--bootstrap-kubeconfig=/b", "--kubeconfig=/k"]),
        config: configured(json!({})),
        watched: StaticPodFolder::Ours,
        own: None,
        bootstrap: Some(Ok(joining())),
        authority: None,
        changed: Vec::new(),
    }
}

/// A configuration with more fields.
pub(super) fn configured(more: Value) -> Result<Config, String> {
    let mut value = json!({"rotateCertificates": true});
    json_patch::merge(&mut value, &more);
    Ok(Config::of("/var/lib/kubelet/config.yaml", value))
}

/// The kubeconfig by which kubelet joins.
pub(super) fn joining() -> Kubeconfig {
    Kubeconfig {
        file: "/b".into(),
        server: "https://api.example.test:6443".into(),
        server_name: None,
        skips_verification: false,
        authority: None,
        certificate: None,
        token: Some("abcdef.0123456789abcdef".into()),
        has_plugin: false,
    }
}

pub(super) fn ready(name: &str, holds: bool) -> Condition {
    Condition { name: name.into(), holds, reason: "Because".into(), message: "it is so".into() }
}

pub(super) fn runtime(conditions: Vec<Condition>, images: &[&str]) -> Runtime {
    let images = images.iter().map(|image| (*image).to_owned()).collect();
    let sandbox_image = Some(PAUSE.to_owned());
    Runtime::Answers {
        version: "containerd 2".into(),
        conditions,
        sandbox_image,
        uses_systemd: None,
        images: Ok(images),
    }
}

pub(super) fn good() -> Facts {
    let room = Room { free: 1 << 40, has_inodes: true, is_read_only: false };
    let volume = |path: &str| Volume { path: path.into(), needed: 1 << 29, room: Ok(room) };
    Facts {
        is_root: true,
        newest: Some(("/assets/auth/kubeconfig".into(), NOW)),
        has_kubelet_kubeconfig: true,
        kubelet: Some(kubelet()),
        health: Health::Healthy,
        kubelet_listens: true,
        runtime: runtime(vec![ready("RuntimeReady", true), ready("NetworkReady", false)], &[IMAGE, PAUSE]),
        registries: BTreeMap::new(),
        taken: Ok(Vec::new()),
        api: ApiListener::Nothing,
        admission: None,
        living: Living::Nothing,
        pod_network: PodNetwork { configurations: Ok(Vec::new()), interfaces: Vec::new() },
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
        kubeadm: Ok(Vec::new()),
        swap: Swap { active: Ok(Vec::new()), at_boot: Ok(Vec::new()) },
        kernel: Kernel {
            settings: SETTINGS.map(|name| (name, set("1"))).into(),
            bridges_at_boot: Some(true),
        },
        services: Vec::new(),
        at_rest: None,
    }
}

pub(super) fn set_at_boot(value: &str) -> AtBoot {
    AtBoot { value: value.to_owned(), file: "/etc/sysctl.d/99-sysctl.conf".into() }
}

/// A setting that keeps its value.
pub(super) fn set(value: &str) -> Setting {
    Setting { now: Ok(Some(value.to_owned())), at_boot: Some(Some(set_at_boot(value))) }
}

pub(super) fn service(name: &str, standing: Standing) -> Service {
    Service { name: name.to_owned(), standing, starts_at_boot: true, last_error: None }
}

pub(super) fn on(facts: &mut Facts, devices: &[&str]) {
    facts.swap.active = Ok(devices.iter().map(|device| (*device).to_owned()).collect());
}

pub(super) fn in_fstab(facts: &mut Facts) {
    let cure = "sed -i '/swap/d' /etc/fstab".to_owned();
    facts.swap.at_boot = Ok(vec![Source { what: "line 3 of /etc/fstab (/dev/sda2)".into(), cure }]);
}

pub(super) fn kernel_has(facts: &mut Facts, name: &'static str, value: Option<&str>) {
    let now = Ok(value.map(str::to_owned));
    facts.kernel.settings.insert(name, Setting { now, at_boot: Some(Some(set_at_boot("1"))) });
}

pub(super) type Change = fn(&mut Facts);

/// Each cause, and words that only its message has.
pub(super) const CAUSES: [(Change, &str); 38] = [
    (|facts| facts.is_root = false, "root: bootkube does not run as root"),
    (
        |facts| facts.newest = Some(("/f".into(), datetime!(2026-06-02 0:00 UTC))),
        "clock: this machine's clock is behind",
    ),
    (|facts| room(facts).free = 1, "space: there is not enough room for /etc/kubernetes"),
    (|facts| room(facts).has_inodes = false, "space: no file can be created in /etc/kubernetes"),
    (|facts| room(facts).is_read_only = true, "space: nothing can be written to /etc/kubernetes"),
    (
        |facts| lives(facts, "10.96.0.0/16"),
        "living-cluster: serviceCIDRs: the cluster that runs here has 10.96.0.0/16, the assets have 10.3.0.0/24",
    ),
    (|facts| of_other_ca(facts), "living-cluster: a cluster of another CA runs on this machine"),
    (|facts| on(facts, &["/dev/sda2"]), "swap: swap is on (/dev/sda2)"),
    (|facts| in_fstab(facts), "swap: swap is off, but comes back at the next boot"),
    (|facts| gone(facts), "kubelet: kubelet is not running; refused"),
    (|facts| swapped(facts), "kubelet: kubelet is not running: it ends soon after each start"),
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
        |facts| facts.runtime = without_cri(),
        "container-runtime: the container runtime at /run/c.sock does not offer CRI",
    ),
    (
        |facts| facts.runtime = runtime(vec![ready("RuntimeReady", false)], &[IMAGE, PAUSE]),
        "container-runtime: containerd 2 is not ready",
    ),
    (
        |facts| missing(facts, Registry::Unreached("no route".into())),
        "images: image registry.k8s.io/kube-apiserver:v1.36.3 is not on this machine",
    ),
    (|facts| without_sandbox(facts), "images: image registry.k8s.io/pause:3.10 is not on this machine"),
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
        |facts| {
            etcd_answers(facts, Etcd::Sick("503 {\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}".into()))
        },
        "etcd: etcd at https://127.0.0.1:2379 takes no writes: it has raised the alarm NOSPACE",
    ),
    (
        |facts| {
            etcd_answers(facts, Etcd::Sick("503 {\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}".into()))
        },
        "etcd: etcd at https://127.0.0.1:2379 has raised the alarm CORRUPT",
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
        |facts| kernel_has(facts, "net.ipv4.ip_forward", Some("0")),
        "forwarding: the kernel does not forward IPv4 packets",
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
        |facts| facts.kubeadm = Ok(vec!["/etc/kubernetes/admin.conf".into()]),
        "kubeadm: kubeadm has made this machine a controller",
    ),
];

/// A cluster whose Services are in `range`.
pub(super) fn lives(facts: &mut Facts, range: &str) {
    let object =
        json!({"kind": "ServiceCIDR", "metadata": {"name": "kubernetes"}, "spec": {"cidrs": [range]}});
    facts.living = Living::Known(vec![Settled::read([("ServiceCIDR kubernetes", &object)])]);
}

pub(super) fn of_other_ca(facts: &mut Facts) {
    let authority = "kubernetes-ca of 2026-01-01T00:00:00Z".to_owned();
    facts.living = Living::Other(Other { pid: 7, authority });
}

pub(super) fn room(facts: &mut Facts) -> &mut Room {
    facts.volumes[0].room.as_mut().unwrap()
}

pub(super) fn gone(facts: &mut Facts) {
    (facts.kubelet, facts.health, facts.kubelet_listens) = (None, Health::Silent("refused".into()), false);
}

/// A kubelet that refuses swap, between two starts: only systemd knows.
pub(super) fn swapped(facts: &mut Facts) {
    gone(facts);
    let said = "\"command failed\" err=\"failed to run Kubelet: running with swap on is not supported\"";
    let failed = service("kubelet", Standing::Failed("exit-code".into()));
    facts.services = vec![Service { last_error: Some(said.into()), ..failed }];
}

pub(super) fn silent(facts: &mut Facts) {
    (facts.health, facts.kubelet_listens) = (Health::Silent("refused".into()), false);
}

pub(super) fn watches(facts: &mut Facts, watched: StaticPodFolder) {
    facts.kubelet.as_mut().unwrap().watched = watched;
}

/// A kubelet that waits for its certificate does not answer at its health endpoint. Only the cause
/// is reported.
pub(super) fn deadlocked(facts: &mut Facts) {
    silent(facts);
    facts.kubelet.as_mut().unwrap().config = configured(json!({"rotateCertificates": false}));
}

pub(super) fn mute() -> Runtime {
    Runtime::Silent { socket: "/run/c.sock".into(), why: "refused".into() }
}

pub(super) fn without_cri() -> Runtime {
    Runtime::Silent { socket: "/run/c.sock".into(), why: "unknown service runtime.v1.RuntimeService".into() }
}

/// An image that is pulled from the registry is missing, and that of sandboxes is there.
pub(super) fn missing(facts: &mut Facts, registry: Registry) {
    lacking(facts, &[PAUSE], registry);
}

pub(super) fn without_sandbox(facts: &mut Facts) {
    lacking(facts, &[IMAGE], Registry::Unreached("no route".into()));
}

pub(super) fn lacking(facts: &mut Facts, present: &[&str], registry: Registry) {
    facts.runtime = runtime(vec![ready("RuntimeReady", true)], present);
    facts.registries = BTreeMap::from([("registry.k8s.io".to_owned(), registry)]);
}

pub(super) fn taken(facts: &mut Facts, port: u16, holder: &[&str]) {
    let holders = if holder.is_empty() { Vec::new() } else { vec![process(holder)] };
    facts.taken = Ok(vec![Taken { port, addresses: vec!["0.0.0.0".parse().unwrap()], holders }]);
}

pub(super) fn other_api(facts: &mut Facts) {
    taken(facts, 6443, &[]);
    facts.api = ApiListener::Other("invalid peer certificate: UnknownIssuer".into());
}

pub(super) fn etcd_answers(facts: &mut Facts, answer: Etcd) {
    facts.etcd[0].answer = answer;
}

/// A copy that the agent of some cluster left.
pub(super) fn copied(facts: &mut Facts) {
    let pod = json!({
        "metadata": {"name": "x", "annotations": {"checkpointer.alpha.coreos.com/checkpoint-of": "x"}},
        "spec": {"containers": [{"name": "c", "command": ["kube-apiserver"]}]},
    });
    let path = PathBuf::from("/etc/kubernetes/manifests/own.json");
    facts.manifests = Ok(vec![Manifest { path, content: pod.to_string().into_bytes() }]);
}

pub(super) fn held(facts: &mut Facts, folder: &str) {
    facts.key_folders.insert(folder.into(), Err("foreign".into()));
}
