//! The agent's certificate, with a real apiserver that looks at it: it is followed by another one before it ends, and where it is not,
//! everybody can read why.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

#[path = "support/client.rs"]
mod client;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootkube::agent::{self, Options};
use bootkube::assets::{load, order};
use bootkube::checkpoint::store::Store;
use bootkube::cluster::apply::{Item, Observer, Outcome, apply_all};
use bootkube::cluster::connect::connect;
use bootkube::cluster::kubeconfig;
use client::client;
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::{object, shared};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::task::{LocalSet, spawn_local};

const POD: &str = "pod-checkpointer-x7z2k";
const IDENTITY: &str = "bootkube.dev/identity";

/// The machine of an agent: its folders, and its kubeconfig.
struct Machine {
    folder: TempDir,
    pods: Api<Pod>,
}

impl Machine {
    /// With an agent's pod in the API, and everything that the agent may read.
    async fn new() -> Self {
        let api = shared().client();
        apply_agents_objects(&api).await;
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "n1"}})).unwrap();
        Api::all(api.clone()).create(&PostParams::default(), &node).await.unwrap();
        let pods: Api<Pod> = Api::namespaced(api, "kube-system");
        let pod = serde_json::from_value(json!({
            "metadata": {
                "name": POD,
                "labels": {"controller-revision-hash": "5f"},
                "annotations": {"checkpointer.alpha.coreos.com/checkpoint": "true"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "pod-checkpointer",
                    "uid": "b0e7c1c6-0000-4000-8000-000000000000", "controller": true}],
            },
            "spec": {
                "nodeName": "n1", "serviceAccountName": "pod-checkpointer",
                "readinessGates": [{"conditionType": "bootkube.dev/kept"}],
                "containers": [{"name": "agent", "image": "i"}],
            },
        }));
        pods.create(&PostParams::default(), &pod.unwrap()).await.unwrap();
        Self { folder: TempDir::new().unwrap(), pods }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the kubeconfig as kubelet does: another file takes its place.
    fn write_kubeconfig(&self, text: &str) {
        fs::write(self.path("next"), text).unwrap();
        fs::rename(self.path("next"), self.path("kubeconfig")).unwrap();
    }

    fn options(&self) -> Options {
        let store = Store {
            manifests: self.path("manifests"),
            inactive: self.path("inactive-manifests"),
            secrets: self.path("checkpoint-secrets"),
        };
        let kubeconfig = self.path("kubeconfig");
        Options { kubeconfig, node: "n1".into(), store, runtime: self.path("no-runtime.sock") }
    }

    /// What the agent's pod says of its certificate: whether another follows, and the words.
    async fn said(&self) -> Option<(bool, String)> {
        let pod = self.pods.get(POD).await.unwrap();
        let condition = pod.status?.conditions?.into_iter().find(|condition| condition.type_ == IDENTITY)?;
        Some((condition.status == "True", condition.message.unwrap()))
    }

    /// Waits until the pod says so.
    async fn says(&self, follows: bool, part: &str) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said().await;
            match said {
                Some((told, message)) if told == follows && message.contains(part) => return message,
                said if begun.elapsed() > Duration::from_secs(40) => panic!("not {part:?}, but {said:?}"),
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn forget(&self) {
        let nothing = Patch::Merge(json!({"status": {"conditions": null}}));
        self.pods.patch_status(POD, &PatchParams::default(), &nothing).await.unwrap();
        assert_eq!(self.said().await, None);
    }
}

/// The agent's service account and RBAC, and the Secret with the cluster's CA.
async fn apply_agents_objects(api: &Client) {
    let is_wanted = |file: &str| {
        file.contains("pod-checkpointer") && (file.contains("role") || file.contains("-sa"))
            || file.contains("kube-controller-manager-secret")
    };
    let stages = order::order(load::load(&shared().assets).unwrap().objects);
    let item = |object: bootkube::assets::object::Object| Item { file: object.file, value: object.value };
    let of_stage = |objects: Vec<bootkube::assets::object::Object>| {
        objects.into_iter().map(item).filter(|item| is_wanted(&item.file.to_string())).collect()
    };
    let stages: Vec<Vec<Item>> = stages.into_iter().map(|(_, objects)| of_stage(objects)).collect();
    let listener = Observer { outcome: &|_, _, _| {}, waiting: &|_, _| {} };
    let outcomes = apply_all(api, &stages, &Default::default(), listener).await;
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    assert!(outcomes.len() >= 6 && outcomes.iter().all(|it| *it == Outcome::Created), "{outcomes:?}");
}

/// The rendered kubeconfig of the agent.
fn rendered() -> Value {
    let file = shared().assets.join("manifests/pod-checkpointer-secret.yaml");
    let text = STANDARD.decode(object(&file)["data"]["kubeconfig"].as_str().unwrap()).unwrap();
    bootkube::yaml::parse(&String::from_utf8(text).unwrap(), "kubeconfig").unwrap().swap_remove(0)
}

/// The same with a certificate of an hour, of which so much is left.
fn ending_in(left: Duration) -> String {
    let read = |name: &str| fs::read_to_string(shared().assets.join("tls").join(name)).unwrap();
    let now = OffsetDateTime::now_utc();
    let life = (now - Duration::from_secs(3600), now + left);
    let (certificate, key) = client("bootkube-agent", (&read("ca.crt"), &read("ca.key")), life);
    let mut kubeconfig = rendered();
    kubeconfig["users"][0]["user"] = json!({
        "client-certificate-data": STANDARD.encode(certificate), "client-key-data": STANDARD.encode(key),
    });
    kubeconfig.to_string()
}

#[tokio::test]
async fn the_agent_outlives_its_certificate_takes_another_and_says_when_there_is_none() {
    LocalSet::new().run_until(lives_through_certificates()).await;
}

async fn lives_through_certificates() {
    let machine = Machine::new().await;
    let ended = ending_in(Duration::from_secs(8));
    let end = Instant::now() + Duration::from_secs(9);
    machine.write_kubeconfig(&ended);
    let options = machine.options();
    let working = spawn_local(async move { agent::run(&options).await.map_err(|error| error.to_string()) });

    machine.says(true, "issued by the agent itself").await;
    tokio::time::sleep_until(end.into()).await;
    let refused = connect(&kubeconfig::parse(ended.as_bytes(), Path::new("ended")).unwrap(), None).unwrap();
    let refused = Api::<Node>::all(refused).get("n1").await.unwrap_err();
    assert!(refused.to_string().contains("Unauthorized"), "{refused}");
    machine.forget().await;
    let own = machine.says(true, "issued by the agent itself").await;

    machine.write_kubeconfig(&rendered().to_string());
    let taken = machine.says(true, "as the kubeconfig has it").await;
    assert_ne!(own, taken);

    let secrets: Api<Secret> = Api::namespaced(shared().client(), "kube-system");
    let keyless = Patch::Merge(json!({"data": {"ca.key": null}}));
    secrets.patch("kube-controller-manager", &PatchParams::default(), &keyless).await.unwrap();
    machine.write_kubeconfig(&ending_in(Duration::from_secs(600)));
    let stuck = machine.says(false, "has no ca.key").await;
    assert!(stuck.contains("no copy of kube-system/kube-controller-manager is kept"), "{stuck}");
    assert!(stuck.contains("run bootkube render"), "{stuck}");
    assert!(!working.is_finished(), "{:?}", working.await);
    working.abort();
}
