//! What `render` writes, held against a real apiserver and kubectl, and against the rules that kubelet and a drain set.
//!
//! One dual-stack API serves every variant: all of them fit into its Service networks.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bootkube::assets::kinds;
use bootkube::yaml;
use serde_json::Value;
use support::{Api, folder, render};
use tempfile::TempDir;

/// Name and configuration of everything that is rendered here.
const VARIANTS: [(&str, &str); 6] = [
    ("default", ""),
    (
        "one-machine",
        "apiServers: ['https://192.0.2.10:6443']\netcd: {mode: staticPod}\nnetworking: none\naggregation: false",
    ),
    (
        "dual-stack",
        "podCIDRs: [10.2.0.0/16, 'fd00:2::/48']\nserviceCIDRs: [10.3.0.0/24, 'fd00:3::/112']\n\
         apiServers: ['https://api.example.com']\ncontrolPlane: {controllers: 3, workers: true}\ncloudProvider: external\ncheckpointWorkers: true",
    ),
    (
        "ipv6",
        "podCIDRs: ['fd00:2::/48']\nserviceCIDRs: ['fd00:3::/112']\napiServers: ['https://[2001:db8::10]:6443']",
    ),
    ("rsa", "certificates: {keyAlgorithm: rsa-2048}\netcd: {servers: ['http://127.0.0.1:2379']}"),
    (
        "changed",
        "components: {kube-scheduler: {extraArgs: {v: '4'}, extraVolumes: [{name: a, hostPath: /a, mountPath: /a}],\n\
         patches: [{kind: Deployment, patch: {spec: {minReadySeconds: 7}}}]}}\n\
         trustedCertsDir: /etc/pki\nbootstrapToken: {expiry: never}",
    ),
];

/// The asset directories, by variant.
fn variants() -> &'static BTreeMap<&'static str, PathBuf> {
    static RENDERED: OnceLock<BTreeMap<&str, PathBuf>> = OnceLock::new();
    RENDERED.get_or_init(|| {
        let root = folder("variants");
        let render = |(name, fields): &(&'static str, &str)| {
            let folder = root.join(name);
            std::fs::create_dir(&folder).unwrap();
            render(&folder, fields);
            (*name, folder.join("assets"))
        };
        VARIANTS.iter().map(render).collect()
    })
}

/// Objects of a folder of one variant, with the path of their file. Empty where there is no such folder.
fn objects(assets: &Path, folder: &str) -> Vec<(PathBuf, Value)> {
    let entries = std::fs::read_dir(assets.join(folder)).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let parse = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let objects = yaml::parse(&text, &path.display().to_string()).unwrap();
        objects.into_iter().map(move |object| (path.clone(), object)).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(parse).collect()
}

const FOLDERS: [&str; 3] = ["manifests", "bootstrap-manifests", "controller-manifests"];

/// Calls `check` with every object of every variant.
fn each(check: impl Fn(&Path, &str, &Value)) {
    for assets in variants().values() {
        for folder in FOLDERS {
            objects(assets, folder).iter().for_each(|(path, object)| check(path, folder, object));
        }
    }
}

/// The pod template of a workload, or the pod itself.
fn pod(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "Pod" => Some(object),
        "DaemonSet" | "Deployment" => Some(&object["spec"]["template"]),
        _ => None,
    }
}

/// Every mapping inside `value`, itself included.
fn mappings(value: &Value) -> Vec<&serde_json::Map<String, Value>> {
    match value {
        Value::Object(map) => std::iter::once(map).chain(map.values().flat_map(mappings)).collect(),
        Value::Array(list) => list.iter().flat_map(mappings).collect(),
        _ => Vec::new(),
    }
}

fn kubectl(api: &Api, arguments: &[&str], assets: &Path) -> Output {
    let mut command = api.kubectl();
    command.args(arguments);
    for folder in FOLDERS.map(|folder| assets.join(folder)).iter().filter(|folder| folder.is_dir()) {
        command.arg("-f").arg(folder);
    }
    command.output().unwrap()
}

fn dual_stack() -> Api {
    let api = Api::start(
        "manifests",
        "podCIDRs: [10.2.0.0/16, 'fd00:2::/48']\nserviceCIDRs: [10.3.0.0/24, 'fd00:3::/112']",
    );
    // Else admission refuses a pod: no controller is here to make the account.
    let start = Instant::now();
    let account =
        || kubectl(&api, &["create", "serviceaccount", "default", "-n", "kube-system"], Path::new("/none"));
    while !account().status.success() {
        assert!(start.elapsed() < Duration::from_secs(30), "no namespace kube-system");
        std::thread::sleep(Duration::from_millis(100));
    }
    api
}

#[test]
fn kubectl_and_the_apiserver_take_every_manifest_without_a_warning_and_read_it_as_we_do() {
    let api = dual_stack();
    for (name, assets) in variants() {
        let dry_run = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-R"];
        let output = kubectl(&api, &dry_run, assets);
        let (said, warned) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {warned}");
        assert_eq!(warned, "", "{name}");
        let ours: Vec<Value> =
            FOLDERS.iter().flat_map(|folder| objects(assets, folder)).map(|(_, object)| object).collect();
        assert_eq!(said.lines().count(), ours.len(), "{said}");

        let output = kubectl(&api, &["create", "--dry-run=client", "-o", "json", "-R"], assets);
        let theirs = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
        let theirs: Vec<Value> = theirs.map(Result::unwrap).collect();
        assert_eq!(theirs.len(), ours.len(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        ours.iter().zip(&theirs).for_each(|(ours, theirs)| assert_eq!(ours, theirs, "{name}"));
        println!("{name}: {} objects", ours.len());
    }
    serves_the_kinds_of_the_table(&api);
}

/// What is refused as a kind that no API serves must not be served, and what may be applied must be.
fn serves_the_kinds_of_the_table(api: &Api) {
    let raw = |path: &str| -> Value {
        let output = api.kubectl().args(["get", "--raw", path]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let groups = raw("/apis")["groups"].as_array().unwrap().clone();
    let versions = groups.iter().flat_map(|group| group["versions"].as_array().unwrap());
    let versions = versions.map(|version| version["groupVersion"].as_str().unwrap().to_owned());
    let mut compared = 0;
    for version in versions.chain(["v1".to_owned()]) {
        let path = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
        let list = raw(&path);
        let whole = |resource: &&Value| !resource["name"].as_str().unwrap().contains('/');
        for resource in list["resources"].as_array().unwrap().iter().filter(whole) {
            let kind = resource["kind"].as_str().unwrap();
            let is_kept = resource["verbs"].as_array().unwrap().iter().any(|verb| verb == "patch");
            assert_eq!(kinds::mistake(&version, kind).is_none(), is_kept, "{kind} of {version}");
            let group = version.split_once('/').map_or("", |(group, _)| group);
            let scope = kinds::is_namespaced(group, kind);
            assert_eq!(scope.is_some(), is_kept, "{kind} of {version}");
            assert!(scope.is_none_or(|scope| resource["namespaced"] == scope), "{kind} of {version}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

/// What kubelet 1.36 refuses in a static pod (its PreventStaticPodAPIReferences), wherever it stands.
const OF_THE_API: [&str; 12] = [
    "configMap",
    "configMapKeyRef",
    "configMapRef",
    "ephemeral",
    "imagePullSecrets",
    "persistentVolumeClaim",
    "projected",
    "resourceClaims",
    "secret",
    "secretKeyRef",
    "secretRef",
    "serviceAccountName",
];

#[test]
fn static_pods_name_no_object_of_the_api() {
    each(|path, folder, object| {
        if folder == "manifests" {
            return;
        }
        assert_eq!(object["kind"], "Pod", "{}", path.display());
        for key in mappings(object).into_iter().flat_map(|map| map.keys()) {
            assert!(!OF_THE_API.contains(&key.as_str()), "{}: {key}", path.display());
            // csi, cephfs and the like carry references under names such as nodePublishSecretRef.
            assert!(!key.ends_with("SecretRef") && key != "secretName", "{}: {key}", path.display());
        }
        assert!(object["spec"].get("nodeSelector").is_none(), "{}", path.display());
        assert_eq!(object["spec"]["automountServiceAccountToken"], false, "{}", path.display());
    });
}

#[test]
fn no_workload_declares_a_port_of_the_host() {
    each(|path, _, object| {
        let Some(pod) = pod(object) else { return };
        let on_the_host = pod["spec"]["hostNetwork"] == true;
        for map in mappings(pod) {
            assert!(!map.contains_key("hostPort"), "{}", path.display());
            // On the host's network every declared port is one of the host's.
            assert!(!(on_the_host && map.contains_key("containerPort")), "{}", path.display());
        }
    });
}

/// Kind and name of the Secrets and ConfigMaps that a pod uses, in volumes and in its environment.
fn used(pod: &Value) -> BTreeSet<(&'static str, String)> {
    let named = |map: &serde_json::Map<String, Value>| {
        let name = |key: &str, field: &str| map.get(key)?.get(field)?.as_str().map(str::to_owned);
        let secret = name("secret", "secretName")
            .or_else(|| name("secretKeyRef", "name"))
            .or_else(|| name("secretRef", "name"));
        let config_map = name("configMap", "name")
            .or_else(|| name("configMapKeyRef", "name"))
            .or_else(|| name("configMapRef", "name"));
        secret.map(|name| ("Secret", name)).into_iter().chain(config_map.map(|name| ("ConfigMap", name)))
    };
    mappings(pod).into_iter().flat_map(|map| named(map).collect::<Vec<_>>()).collect()
}

const CHECKSUM: &str = "bootkube.dev/checksum";

fn checksum(pod: &Value) -> Option<&str> {
    pod["metadata"]["annotations"][CHECKSUM].as_str()
}

#[test]
fn a_workload_has_a_checksum_exactly_when_it_uses_secrets_or_config_maps_and_all_of_them_are_rendered() {
    for assets in variants().values() {
        let all = objects(assets, "manifests");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let known: BTreeSet<(String, String)> = all
            .iter()
            .map(|(_, object)| (text(&object["kind"]), text(&object["metadata"]["name"])))
            .collect();
        let mut workloads = 0;
        for (path, object) in &all {
            let Some(pod) = pod(object) else { continue };
            let used = used(pod);
            assert_eq!(checksum(pod).is_some(), !used.is_empty(), "{}", path.display());
            for (kind, name) in used {
                assert!(
                    known.contains(&(kind.to_owned(), name.clone())),
                    "{}: {kind} {name}",
                    path.display()
                );
            }
            workloads += 1;
        }
        assert!(workloads >= 5, "{workloads}");
    }
}

#[test]
fn everything_is_labelled_and_everything_namespaced_is_in_kube_system() {
    each(|path, _, object| {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "bootkube", "{}", path.display());
        let is_of_the_cluster = object["kind"].as_str().unwrap().starts_with("ClusterRole");
        let namespace = metadata["namespace"].as_str();
        assert_eq!(namespace, (!is_of_the_cluster).then_some("kube-system"), "{}", path.display());
    });
}

#[test]
fn every_disruption_budget_lets_a_drain_take_one_pod_of_a_workload_that_is_there() {
    for assets in variants().values() {
        let all = objects(assets, "manifests");
        let budgets: Vec<_> =
            all.iter().filter(|(_, object)| object["kind"] == "PodDisruptionBudget").collect();
        assert_eq!(budgets.len(), 3);
        for (path, budget) in budgets {
            let spec = &budget["spec"];
            assert!(spec["maxUnavailable"] == 1 && spec.get("minAvailable").is_none(), "{}", path.display());
            let wanted = spec["selector"]["matchLabels"].as_object().unwrap();
            let has =
                |pod: &Value| wanted.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
            assert!(all.iter().filter_map(|(_, object)| pod(object)).any(has), "{}", path.display());
        }
    }
}

/// Checksum of each workload.
fn checksums(assets: &Path) -> BTreeMap<String, String> {
    let of = |(path, object): &(PathBuf, Value)| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Some((name, checksum(pod(object)?)?.to_owned()))
    };
    objects(assets, "manifests").iter().filter_map(of).collect()
}

/// Names of the workloads whose checksum differs after `fields` and a lost file are rendered into the same directory.
fn rolled(lost: &[&str], fields: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    render(folder.path(), "");
    let assets = folder.path().join("assets");
    let before = checksums(&assets);
    lost.iter().for_each(|file| std::fs::remove_file(assets.join(file)).unwrap());
    render(folder.path(), fields);
    let after = checksums(&assets);
    before.into_iter().filter(|(name, sum)| after[name] != *sum).map(|(name, _)| name).collect()
}

#[test]
fn what_changes_in_one_secret_or_config_map_rolls_its_users_and_nobody_else() {
    assert_eq!(rolled(&[], ""), Vec::<String>::new());
    assert_eq!(rolled(&["tls/scheduler.crt"], ""), ["kube-scheduler"]);
    assert_eq!(rolled(&["tls/kube-proxy.crt"], ""), ["kube-proxy"]);
    assert_eq!(rolled(&["tls/apiserver.crt"], ""), ["kube-apiserver"]);
    assert_eq!(rolled(&["tls/admin.crt"], ""), Vec::<String>::new());
    assert_eq!(rolled(&[], "coreDNS: {upstream: [192.0.2.53]}"), ["coredns-deployment"]);
}
