//! `recover` against a real etcd and apiserver: what it reads from etcd is what the API says,
//! encrypted or not, and from each of the three sources comes the same directory.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootkube::assets::load;
use bootkube::recover::{EtcdAccess, EtcdClient, Keys, decode, prefixes};
use lab::Cache;
use serde_json::{Value, json};
use support::{Api, bootkube, contents, object};

fn kubectl(api: &Api, arguments: &[&str]) -> Output {
    api.kubectl().args(arguments).output().unwrap()
}

fn must(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Each resource is encrypted by another provider or key.
fn encryption() -> Value {
    let key =
        |length: u8| json!([{"name": "first", "secret": STANDARD.encode((0..length).collect::<Vec<u8>>())}]);
    let by = |resource: &str, provider: Value| json!({"resources": [resource], "providers": [provider, {"identity": {}}]});
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            by("secrets", json!({"aescbc": {"keys": key(32)}})),
            by("configmaps", json!({"aesgcm": {"keys": key(24)}})),
            by("serviceaccounts", json!({"secretbox": {"keys": key(32)}})),
            // The provider and the key's name are those of Secrets, the key is another.
            by("deployments.apps", json!({"aescbc": {"keys": key(24)}})),
        ],
    })
}

/// A cluster's API with everything that was rendered applied, and encrypted at rest.
struct World {
    api: Api,
    folder: PathBuf,
}

impl World {
    fn start(name: &str) -> Self {
        let folder = support::folder(&format!("{name}-files"));
        let file = folder.join("encryption.json");
        std::fs::write(&file, encryption().to_string()).unwrap();
        let changes = json!({
            "extraArgs": {"encryption-provider-config": file},
            "extraVolumes": [{"name": "encryption", "hostPath": file, "mountPath": file}],
        });
        let fields = format!("components: {{kube-apiserver: {changes}}}\n");
        let world = Self { api: Api::start(name, &fields), folder };
        let manifests = world.api.assets.join("manifests").display().to_string();
        let begun = Instant::now();
        // Nothing approves or defaults here but the apiserver, whose namespaces come within a
        // second.
        while !kubectl(&world.api, &["apply", "--server-side", "-f", &manifests]).status.success() {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(200));
        }
        world
    }

    fn etcd_file(&self, name: &str) -> PathBuf {
        self.api.assets.join("tls").join(name)
    }

    fn etcd(&self) -> EtcdAccess {
        EtcdAccess {
            servers: vec![format!("https://{}", self.api.etcd).parse().unwrap()],
            ca: Some(self.etcd_file("etcd-client-ca.crt")),
            certificate: Some(self.etcd_file("etcd-client.crt")),
            key: Some(self.etcd_file("etcd-client.key")),
        }
    }

    /// `bootkube recover` into the folder `name`, from where `source` says.
    fn recover(&self, name: &str, source: &[&str]) -> (PathBuf, String) {
        let dir = self.folder.join(name);
        let said = must(&self.try_recover(&dir, source));
        (dir, said)
    }

    fn try_recover(&self, dir: &Path, source: &[&str]) -> Output {
        let dir = format!("--recovery-dir={}", dir.display());
        let kubeconfig = format!("--kubeconfig={}", self.api.assets.join("auth/kubeconfig").display());
        bootkube(&self.folder, &[&["recover", &dir, &kubeconfig], source].concat(), "")
    }

    /// v0.14's flags.
    fn etcd_source(&self) -> Vec<String> {
        let file = |name: &str| self.etcd_file(name).display().to_string();
        vec![
            format!("--etcd-servers=https://{}", self.api.etcd),
            format!("--etcd-ca-path={}", file("etcd-client-ca.crt")),
            format!("--etcd-certificate-path={}", file("etcd-client.crt")),
            format!("--etcd-private-key-path={}", file("etcd-client.key")),
            "--etcd-prefix=/registry".to_owned(),
            "--encryption-config=encryption.json".to_owned(),
        ]
    }

    /// Saves a snapshot with etcd's own tool.
    fn snapshot(&self, name: &str) -> PathBuf {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let program = BUILT.get_or_init(|| lab::tool(&Cache::open().unwrap(), "etcdctl").unwrap());
        let file = self.folder.join(name);
        let mut command = Command::new(program);
        command.args(["snapshot", "save"]).arg(&file).arg(format!("--endpoints=https://{}", self.api.etcd));
        let identity = [("cacert", "client-ca.crt"), ("cert", "client.crt"), ("key", "client.key")];
        for (flag, name) in identity {
            command.arg(format!("--{flag}={}", self.etcd_file(&format!("etcd-{name}")).display()));
        }
        must(&command.output().unwrap());
        file
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn snapshot_source(file: &Path) -> Vec<String> {
    vec![format!("--etcd-snapshot={}", file.display()), "--encryption-config=encryption.json".to_owned()]
}

#[test]
fn every_object_of_etcd_equals_the_apis_and_every_source_gives_the_same_directory() {
    let world = World::start("recover");
    let compared = compare_all(&world);
    assert!(compared > 100, "{compared}");

    let (of_api, said) = world.recover("api", &[]);
    for component in ["DaemonSet kube-system/kube-apiserver", "Deployment kube-system/kube-scheduler"] {
        assert!(said.contains(&format!("found: {component}")), "{said}");
    }
    assert!(!said.contains("missing"), "{said}");
    let (of_etcd, _) = world.recover("etcd", &words(&world.etcd_source()));
    let (of_snapshot, _) =
        world.recover("snapshot", &words(&snapshot_source(&world.snapshot("snapshot.db"))));
    let expected = contents(&of_api);
    assert_eq!(different(&expected, &contents(&of_etcd)), [] as [&String; 0]);
    assert_eq!(different(&expected, &contents(&of_snapshot)), [] as [&String; 0]);

    same_keys(&world.api.assets, &of_api);
    let layout = load::load(&of_api).unwrap();
    assert_eq!(layout.bootstrap_manifests.len(), 3);
    assert!(
        layout.objects.iter().any(|object| object.kind() == "DaemonSet" && object.name() == "kube-apiserver")
    );

    an_unknown_key_is_refused(&world);
    deleted_objects_come_back_from_a_snapshot(&world);
}

fn different<'a>(
    one: &'a BTreeMap<String, Vec<u8>>,
    other: &'a BTreeMap<String, Vec<u8>>,
) -> Vec<&'a String> {
    one.keys().chain(other.keys()).filter(|path| one.get(*path) != other.get(*path)).collect()
}

/// Every object that recover looks for, from etcd and from the API.
fn compare_all(world: &World) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let keys = Keys::read(&world.folder.join("encryption.json")).unwrap();
    let of_etcd = runtime.block_on(async {
        let mut client = EtcdClient::connect(&world.etcd()).await.unwrap();
        let mut entries = Vec::new();
        for prefix in prefixes("/registry") {
            entries.extend(client.below(&prefix).await.unwrap());
        }
        entries
    });
    let resources = "configmaps,secrets,services,serviceaccounts,daemonsets,deployments,poddisruptionbudgets,roles,rolebindings,\
        clusterroles,clusterrolebindings";
    let list = must(&kubectl(
        &world.api,
        &["get", resources, "-n", "kube-system", "-o", "json", "--show-managed-fields"],
    ));
    let list: Value = serde_json::from_str(&list).unwrap();
    let name = |object: &Value| {
        let metadata = &object["metadata"];
        format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"])
    };
    let mut of_api: BTreeMap<String, Value> =
        list["items"].as_array().unwrap().iter().map(|item| (name(item), item.clone())).collect();
    for entry in &of_etcd {
        let encrypted = entry.value.starts_with(b"k8s:enc:");
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        assert_eq!(
            encrypted,
            ["/secrets/", "/configmaps/", "/serviceaccounts/", "/deployments/"]
                .iter()
                .any(|it| key.contains(it)),
            "{key}"
        );
        let decoded = decode(&keys.open(&entry.key, entry.value.clone()).unwrap()).unwrap();
        assert!(decoded.unknown.is_empty(), "{key}: {:?}", decoded.unknown);
        let mut expected =
            of_api.remove(&name(&decoded.object)).unwrap_or_else(|| panic!("{key} is not in the API"));
        // It is etcd's revision, and kept nowhere.
        expected["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        assert_eq!(decoded.object, expected, "{key}");
    }
    assert_eq!(of_api.keys().collect::<Vec<_>>(), [] as [&String; 0], "not in etcd");
    of_etcd.len()
}

/// What an apiserver and a controller manager hold is in the recovered directory, byte for byte.
fn same_keys(rendered: &Path, recovered: &Path) {
    let read =
        |path: PathBuf| std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for file in ["ca.crt", "apiserver.key", "service-account.key", "service-account.pub", "etcd-client.key"] {
        assert_eq!(read(recovered.join("tls").join(file)), read(rendered.join("tls").join(file)), "{file}");
    }
    let authority = recovered.join("tls/kube-controller-manager/secrets/ca.key");
    assert_eq!(read(authority), read(rendered.join("tls/ca.key")));
    let modes = Command::new("find").arg(recovered).args(["-printf", "%y %m\\n"]).output().unwrap();
    let modes: std::collections::BTreeSet<String> = must(&modes).lines().map(str::to_owned).collect();
    assert_eq!(modes, ["d 700", "f 600"].map(str::to_owned).into());
}

fn an_unknown_key_is_refused(world: &World) {
    let dir = world.folder.join("closed");
    let mut source = world.etcd_source();
    source.pop();
    let output = world.try_recover(&dir, &words(&source));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("`first` of aesgcm") && said.contains("--encryption-config"), "{said}");
    assert!(!dir.exists());
}

/// The control plane was deleted from the API; its history is in the snapshot.
fn deleted_objects_come_back_from_a_snapshot(world: &World) {
    let objects = ["daemonset/kube-apiserver", "secret/kube-apiserver", "deployment/kube-scheduler"];
    for object in objects {
        must(&kubectl(&world.api, &["delete", "-n", "kube-system", object, "--cascade=background"]));
    }
    let output = world.try_recover(&world.folder.join("gone"), &words(&world.etcd_source()));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("kube-apiserver"), "{said}");
    let snapshot = world.snapshot("later.db");
    let dir = world.folder.join("revived");
    let output = world.try_recover(&dir, &words(&snapshot_source(&snapshot)));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Secret kube-system/kube-apiserver had been deleted"), "{said}");
    assert_eq!(contents(&dir), contents(&world.folder.join("api")));
}

/// Labels, service accounts and users of v0.14's manifests; nothing says that bootkube made them.
#[test]
fn a_cluster_of_v014s_time_is_found_by_its_labels() {
    let api = Api::start("recover-old", "");
    let folder = support::folder("recover-old-files");
    let pods = |name: &str, command: &str, account: Option<&str>| {
        json!({
            "metadata": {"labels": {"tier": "control-plane", "k8s-app": name},
                "annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true"}},
            "spec": {
                "hostNetwork": true, "serviceAccountName": account, "nodeSelector": {"node-role.kubernetes.io/master": ""},
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65534},
                "containers": [{"name": name, "image": "k8s.gcr.io/hyperkube:v1.12.1", "command": ["/hyperkube", command, "--v=2"],
                    "volumeMounts": [{"name": "secrets", "mountPath": "/etc/kubernetes/secrets", "readOnly": true}]}],
                "volumes": [{"name": "secrets", "secret": {"secretName": name}}],
            },
        })
    };
    let workload = |kind: &str, name: &str, labels: Value, pods: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
            "spec": {"selector": {"matchLabels": pods["metadata"]["labels"]}, "template": pods},
        })
    };
    let secret = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": "kube-system"}, "data": {"ca.crt": "Y2E=", "ca.key": "a2V5"}})
    };
    let old = json!({"k8s-app": "kube-apiserver", "tier": "control-plane"});
    let older = json!({"component": "kube-controller-manager"});
    let mut manager = pods("kube-controller-manager", "controller-manager", Some("kube-controller-manager"));
    manager["metadata"]["labels"] = older.clone();
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        workload("DaemonSet", "kube-apiserver", old, pods("kube-apiserver", "apiserver", None)),
        workload("Deployment", "kube-controller-manager", older, manager),
        secret("kube-apiserver"), secret("kube-controller-manager"),
    ]});
    std::fs::write(folder.join("old.json"), objects.to_string()).unwrap();
    must(&kubectl(&api, &["create", "-f", &folder.join("old.json").display().to_string()]));
    let kubeconfig = format!("--kubeconfig={}", api.assets.join("auth/kubeconfig").display());
    let output = bootkube(
        &folder,
        &["recover", "--recovery-dir=recovered", &kubeconfig, "--pod-manifest-path=/x"],
        "",
    );
    let said = must(&output);
    assert!(said.contains("missing: kube-scheduler"), "{said}");
    let warned = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(warned.contains("trusts another CA"), "{warned}");
    let pod = object(&folder.join("recovered/bootstrap-manifests/bootstrap-apiserver.yaml"));
    assert_eq!(pod["spec"]["volumes"][0]["hostPath"]["path"], "/etc/kubernetes/bootstrap-secrets");
    assert_eq!(pod["spec"]["containers"][0]["command"][1], "apiserver");
    assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 0);
    let pod = object(&folder.join("recovered/bootstrap-manifests/bootstrap-controller-manager.yaml"));
    assert!(
        pod["spec"].get("nodeSelector").is_none() && pod["spec"].get("serviceAccountName").is_none(),
        "{pod}"
    );
    assert_eq!(
        std::fs::read(folder.join("recovered/tls/kube-controller-manager/secrets/ca.key")).unwrap(),
        b"key"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_table_of_fields_is_what_kubernetes_own_types_say() {
    let mut command = lab::go("kubernetes/v1.36");
    command.args(["run", "./fields"]);
    let generated = must(&command.output().unwrap());
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/recover/decode/fields.txt");
    assert_eq!(std::fs::read_to_string(file).unwrap(), generated, "go run ./fields >{file}");
}
