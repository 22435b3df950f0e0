//! Copies of pods as a real API has them, defaults and admission included, with every source of volumes and environment: kubelet takes
//! each one. The judge is kubelet's own function, in Go.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bootkube::checkpoint::copy::{self, Copy, Sources};
use bootkube::checkpoint::store::Store;
use bootkube::checkpoint::{Id, Role, parent};
use bootkube::yaml;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use serde_json::{Value, json};
use support::Api;
use time::OffsetDateTime;

const NODE: &str = "n1";
/// What is rendered and asks to be kept.
const CONTROL_PLANE: [&str; 4] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "pod-checkpointer"];

/// What kubelet says of each manifest; an empty text is consent.
fn kubelet(manifests: &[Value]) -> Vec<String> {
    let mut command = lab::go("kubernetes/v1.36");
    command.args(["run", "./staticpod"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("go runs");
    let mut stdin = child.stdin.take().unwrap();
    let input: String = manifests.iter().map(|manifest| format!("{manifest}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let answers: Vec<String> = answers.map(Result::unwrap).collect();
    assert_eq!(answers.len(), manifests.len());
    answers
}

fn kubectl(api: &Api, arguments: &[&str], input: &Value) -> Result<Vec<u8>, String> {
    let mut command = api.kubectl();
    command.args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Creates objects, and returns them as the API made them.
fn create(api: &Api, objects: &[Value]) -> Vec<Value> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let made = kubectl(api, &["create", "-f", "-", "-o", "json"], &list).unwrap();
    serde_json::Deserializer::from_slice(&made).into_iter().map(Result::unwrap).collect()
}

/// An API with the service accounts that pods need: no controller makes them.
fn api() -> Api {
    let api = Api::start("checkpoint", "");
    let start = Instant::now();
    for account in CONTROL_PLANE.into_iter().chain(["default"]) {
        let create = ["create", "serviceaccount", account, "-n", "kube-system"];
        while let Err(error) = kubectl(&api, &create, &Value::Null) {
            assert!(start.elapsed() < Duration::from_secs(30), "{error}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    api
}

fn pod(name: &str, spec: &Value, change: &Value) -> Value {
    let mut spec = spec.clone();
    spec["nodeName"] = json!(NODE);
    for (key, value) in change.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "kube-system", "labels": {"app": name},
            "annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true"},
        },
        "spec": spec,
    })
}

/// A pod for each kind of volume and of environment, and for whatever else a pod may say.
fn every_kind() -> Vec<Value> {
    let probe = json!({"httpGet": {"port": "web"}});
    let plain = json!({"containers": [{"name": "a", "image": "example.test/a:v1"}]});
    let volume = |name: &str, source: Value| {
        let mut volume = source;
        volume["name"] = json!("v");
        let mounts = json!([{"name": "v", "mountPath": "/v", "subPath": "x"}]);
        let containers = json!([{"name": "a", "image": "example.test/a", "volumeMounts": mounts}]);
        pod(name, &json!({}), &json!({"containers": containers, "volumes": [volume]}))
    };
    let items = json!([{"key": "user", "path": "sub/user", "mode": 256}]);
    let downward = json!({"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]});
    let named = json!({"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]});
    let env = json!([{"name": "a", "image": "example.test/a",
    "envFrom": [{"secretRef": {"name": "s"}, "prefix": "1."}, {"configMapRef": {"name": "c"}}],
    "env": [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "user"}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a.conf"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
        {"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
    ]}]);
    vec![
        pod("plain", &plain, &json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["x"]}]})),
        pod(
            "pulls",
            &plain,
            &json!({"imagePullSecrets": [{"name": "s"}], "priorityClassName": "system-node-critical"}),
        ),
        pod(
            "env",
            &json!({}),
            &json!({"containers": env, "initContainers": [
                {"name": "i", "image": "example.test/i", "restartPolicy": "Always", "envFrom": [{"secretRef": {"name": "s"}}]},
            ]}),
        ),
        pod(
            "picky",
            &plain,
            &json!({
                "nodeSelector": {"a": "b"}, "affinity": {"podAntiAffinity": {}},
                "readinessGates": [{"conditionType": "example.test/x"}],
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"app": "picky"}}}],
            }),
        ),
        pod(
            "ports",
            &json!({}),
            &json!({"hostNetwork": true, "containers": [{"name": "a", "image": "example.test/a",
            "ports": [{"name": "web", "containerPort": 80}], "livenessProbe": probe, "readinessProbe": probe,
            "lifecycle": {"preStop": {"httpGet": {"port": "web"}}}}]}),
        ),
        volume("secret", json!({"secret": {"secretName": "s", "items": items, "optional": true}})),
        volume("config-map", json!({"configMap": {"name": "c"}})),
        volume(
            "projected",
            json!({"projected": {"sources": [
                {"secret": {"name": "s"}}, {"configMap": {"name": "c"}}, {"downwardAPI": named},
            ]}}),
        ),
        volume("projected-downward", json!({"projected": {"sources": [{"downwardAPI": downward}]}})),
        volume("downward", json!({"downwardAPI": downward})),
        volume("downward-own", json!({"downwardAPI": named})),
        volume("empty", json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})),
        volume("host", json!({"hostPath": {"path": "/x", "type": "DirectoryOrCreate"}})),
        volume("nfs", json!({"nfs": {"server": "nfs.example.test", "path": "/"}})),
    ]
}

/// The pods that the rendered control plane would have.
fn control_plane(api: &Api) -> Vec<Value> {
    let template = |name: &str| {
        let mut template =
            support::object(&api.assets.join(format!("manifests/{name}.yaml")))["spec"]["template"].take();
        template["apiVersion"] = json!("v1");
        template["kind"] = json!("Pod");
        template["metadata"]["name"] = json!(format!("{name}-x7z2k"));
        template["metadata"]["namespace"] = json!("kube-system");
        template["spec"]["nodeName"] = json!(NODE);
        template
    };
    CONTROL_PLANE.map(template).into()
}

/// The Secrets and ConfigMaps of all pods here, as they were rendered or are needed.
fn sources(api: &Api) -> Sources {
    let secret = json!({"data": {"user": "cm9vdA==", "pass.word": "JChIT01FKQ=="}});
    let config_map = json!({"data": {"a.conf": "A"}});
    let mut secrets: BTreeMap<String, Secret> =
        [("s".into(), serde_json::from_value(secret).unwrap())].into();
    let config_maps: BTreeMap<String, ConfigMap> =
        [("c".into(), serde_json::from_value(config_map).unwrap())].into();
    for name in CONTROL_PLANE {
        let text = std::fs::read_to_string(api.assets.join(format!("manifests/{name}-secret.yaml"))).unwrap();
        let object = yaml::parse(&text, name).unwrap().swap_remove(0);
        secrets.insert(name.into(), serde_json::from_value(object).unwrap());
    }
    Sources { secrets, config_maps }
}

fn keep(pod: &Pod, sources: &Sources, store: &Store) -> (Id, Role, Copy) {
    assert!(parent::is_parent(pod, NODE), "{:?}", pod.metadata.name);
    let (id, _) = parent::workload(pod);
    let role = parent::role(&id, pod.spec.as_ref().unwrap(), &Id::new("kube-system", "pod-checkpointer"));
    let copy = copy::make(pod, &id, role, sources, &store.files(&id).to_string_lossy()).unwrap();
    store.save(&copy, "a test", OffsetDateTime::UNIX_EPOCH).unwrap();
    (id, role, copy)
}

/// Every file below `folder` that is not 0600 root.
fn exposed(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            found.extend(exposed(&entry.path()));
        } else if (metadata.mode() & 0o777, metadata.uid()) != (0o600, 0) {
            found.push(format!("{} {:o}", entry.path().display(), metadata.mode()));
        }
    }
    found
}

#[test]
fn kubelet_takes_the_copy_of_every_kind_of_pod_and_refused_the_pod() {
    let api = api();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store { manifests: at("manifests"), inactive: at("inactive"), secrets: at("secrets") };
    let sources = sources(&api);
    let made = create(&api, &[every_kind(), control_plane(&api)].concat());
    let pods: Vec<Pod> = made.iter().map(|pod| serde_json::from_value(pod.clone()).unwrap()).collect();

    let mut manifests = Vec::new();
    let mut roles = BTreeMap::new();
    for pod in &pods {
        let (id, role, _) = keep(pod, &sources, &store);
        store.activate(&id).unwrap();
        roles.insert(id.name.clone(), role);
        let text = std::fs::read(store.manifests.join(format!("kube-system-{}.json", id.name))).unwrap();
        manifests.push(serde_json::from_slice(&text).unwrap());
    }
    // The API's pods as they are name a service account, a token, and what they mount.
    assert!(kubelet(&made).iter().all(|answer| answer.contains("static pods may not reference")));
    for (pod, answer) in pods.iter().zip(kubelet(&manifests)) {
        assert_eq!(answer, "", "{:?}", pod.metadata.name);
    }
    assert_eq!(roles["kube-apiserver-x7z2k"], Role::Apiserver);
    assert_eq!(roles["kube-scheduler-x7z2k"], Role::Leader);
    assert_eq!(roles["plain"], Role::Exclusive);
    for name in CONTROL_PLANE.map(|name| format!("{name}-x7z2k")) {
        assert_eq!(exposed(&store.secrets.join("kube-system").join(name)), [] as [String; 0]);
    }
    assert_eq!(exposed(&store.manifests), [] as [String; 0]);
    assert_eq!(exposed(&store.inactive), [] as [String; 0]);
}
