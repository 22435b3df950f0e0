//! Two real apiservers on one port, and a client that sends requests without a pause, each over a
//! new connection. It is a user whom RBAC must allow, because an apiserver that has not finished
//! starting allows an administrator already. With steering the client sees nothing of the
//! hand-over. Without it requests fail, which shows that this client sees failures.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootkube::cluster::connect::Readyz;
use bootkube::cluster::kubeconfig::{self, Access};
use bootkube::cluster::objects::Objects;
use bootkube::cluster::question::Questions;
use bootkube::cluster::wait::{Scope, follow};
use bootkube::handover::lock::Locks;
use bootkube::handover::{Error, Port};
use bootkube::host::sockets;
use bootkube::host::steering::Aim;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::PostParams;
use support::{Api, object};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread")]
async fn steered_nobody_notices_that_one_apiserver_makes_way_for_the_next() {
    let mut api = tokio::task::spawn_blocking(|| Api::start("steered", "")).await.unwrap();
    let number = api.endpoint.port();
    let folder = tempfile::tempdir().unwrap();
    let port = Port::new(number, &api.access).unwrap().with_locks(Locks::in_folder(folder.path()));
    let hold = Aim { serving: 0, asked: 0, starting: 1 };
    port.steer(&port.listeners().await.unwrap(), hold).await.unwrap();
    let client = Client::start(&api);
    let writer = Writer::start(&api);
    api.spawn_apiserver();
    while port.listeners().await.unwrap().len() < 2 {
        tokio::time::sleep(PAUSE).await;
    }
    let listeners = port.listeners().await.unwrap();
    while port.ask(&listeners, hold, 1, drop).await.unwrap().readyz != Readyz::Ready {
        tokio::time::sleep(PAUSE).await;
    }
    let aim = Aim { serving: 1, asked: 1, starting: 1 };
    port.flip(&listeners, aim, |_| true).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await; // what was accepted by the older one is answered
    tokio::task::block_in_place(|| api.end_older_apiserver());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let written = writer.finish_and_be_seen().await;
    assert!(written > 20, "{written}");
    let (answered, failures) = client.finish().await;
    assert!(answered > 100, "{answered}");
    assert_eq!(failures, [] as [String; 0], "{answered} answered");
    let is_stale = |result: Result<_, Error>| matches!(result, Err(Error::Changed { .. }));
    let asked = port.ask(&listeners, aim, 0, drop).await.map(drop);
    assert!(is_stale(asked), "the newer one is no longer the one it was among two");
    assert!(is_stale(port.flip(&listeners, hold, |_| true).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn left_to_the_kernel_requests_fail_while_a_second_apiserver_starts() {
    let mut api = tokio::task::spawn_blocking(|| Api::start("unsteered", "")).await.unwrap();
    let client = Client::start(&api);
    api.spawn_apiserver();
    while sockets::listeners(api.endpoint.port()).unwrap().len() < 2 {
        tokio::time::sleep(PAUSE).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (_, failures) = client.finish().await;
    assert!(!failures.is_empty(), "the newcomer refuses, or does not answer yet");
}

/// A writer that creates objects all the time, and a watch that resumes where its apiserver ended.
struct Writer {
    stop: watch::Sender<bool>,
    task: JoinHandle<BTreeSet<String>>,
    seen: watch::Receiver<BTreeSet<String>>,
}

impl Writer {
    fn start(api: &Api) -> Self {
        let (stop, stopped) = watch::channel(false);
        let maps = kube::Api::namespaced(api.client(), "default");
        let task = tokio::spawn(write(maps, stopped));
        let (tell, seen) = watch::channel(BTreeSet::new());
        let mut watched = follow(Objects::namespaced(&api.client(), "default"), &Scope::default());
        tokio::spawn(async move {
            while let Some(now) = watched.next().await {
                let names = |maps: Vec<ConfigMap>| maps.iter().map(ResourceExt::name_any).collect();
                if let Ok(maps) = now {
                    tell.send_replace(names(maps));
                }
            }
        });
        Self { stop, task, seen }
    }

    /// Waits until the watch has shown everything that was written. Returns how much that is.
    async fn finish_and_be_seen(mut self) -> usize {
        self.stop.send_replace(true);
        let written = self.task.await.unwrap();
        let all = self.seen.wait_for(|seen| written.is_subset(seen));
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("everything is seen").unwrap();
        written.len()
    }
}

/// Names of what was written. Over kept connections a write may be lost with its apiserver, and is then not counted.
async fn write(maps: kube::Api<ConfigMap>, stopped: watch::Receiver<bool>) -> BTreeSet<String> {
    let mut written = BTreeSet::new();
    for number in 0.. {
        if *stopped.borrow() {
            break;
        }
        let mut map = ConfigMap::default();
        map.metadata.name = Some(format!("written-{number}"));
        if let Ok(map) = maps.create(&PostParams::default(), &map).await {
            written.insert(map.name_any());
        }
        tokio::time::sleep(PAUSE * 4).await;
    }
    written
}

/// Several tasks that send requests until they are stopped.
struct Client {
    stop: watch::Sender<bool>,
    tasks: JoinSet<(usize, Vec<String>)>,
}

impl Client {
    fn start(api: &Api) -> Self {
        let (stop, stopped) = watch::channel(false);
        let ask = |_| ask(Questions::new(&scheduler(api)).unwrap(), api.endpoint, stopped.clone());
        Self { tasks: (0..4).map(ask).collect(), stop }
    }

    async fn finish(self) -> (usize, Vec<String>) {
        self.stop.send_replace(true);
        let results = self.tasks.join_all().await;
        (
            results.iter().map(|(answered, _)| answered).sum(),
            results.into_iter().flat_map(|(_, failures)| failures).collect(),
        )
    }
}

async fn ask(
    questions: Questions,
    endpoint: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> (usize, Vec<String>) {
    let (mut answered, mut failures) = (0, Vec::new());
    while !*stopped.borrow() {
        let answer = match questions.connect(Ipv4Addr::LOCALHOST.into(), endpoint).await {
            Ok(mut connection) => questions.probe(&mut connection, "/api/v1/nodes").await,
            Err(failed) => failed,
        };
        match answer {
            Readyz::Ready => answered += 1,
            failure => failures.push(format!("{failure:?}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
    (answered, failures)
}

/// The scheduler may list nodes, because a ClusterRole says so.
fn scheduler(api: &Api) -> Access {
    let file = api.assets.join("manifests/kube-scheduler-secret.yaml");
    let text = STANDARD.decode(object(&file)["data"]["kubeconfig"].as_str().unwrap()).unwrap();
    Access { server: api.access.server.clone(), ..kubeconfig::parse(&text, &file).unwrap() }
}
