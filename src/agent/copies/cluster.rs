//! What the API says: watched, and asked once a round whether it still answers.
//!
//! A watch that was broken off and taken up again says nothing of it, and what was seen before is stale meanwhile. So the API counts as
//! silent unless it has just answered a question and no watch has failed for a while.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::stream::{BoxStream, SelectAll, StreamExt as _, select_all};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::NAMESPACE;
use crate::cluster::retry::describe;
use crate::cluster::wait::{Scope, follow};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a watch has failed: it is tried again at least once in this time.
const QUIET: Duration = Duration::from_secs(2);

enum News {
    Pods(Vec<Pod>),
    DaemonSets(Vec<DaemonSet>),
    Deployments(Vec<Deployment>),
    Silence(String),
}

/// The API, watched.
pub struct Watched {
    nodes: Api<Node>,
    node: String,
    news: SelectAll<BoxStream<'static, News>>,
    pods: Option<Vec<Pod>>,
    daemon_sets: Option<Vec<DaemonSet>>,
    deployments: Option<Vec<Deployment>>,
    failed: Option<Instant>,
}

/// What the API said last, of the namespace of the control plane.
#[derive(Default)]
pub struct Told<'w> {
    /// This machine's node, if the API answers now. If not, all else is of the past.
    pub node: Option<Node>,
    /// Pods, of all machines.
    pub pods: &'w [Pod],
    /// DaemonSets.
    pub daemon_sets: &'w [DaemonSet],
    /// Deployments.
    pub deployments: &'w [Deployment],
}

impl Watched {
    /// Begins to watch, as the agent on `node`.
    pub fn new(client: &Client, node: &str) -> Self {
        let news = [
            told(client, News::Pods as fn(Vec<Pod>) -> News),
            told(client, News::DaemonSets as fn(Vec<DaemonSet>) -> News),
            told(client, News::Deployments as fn(Vec<Deployment>) -> News),
        ];
        Self {
            nodes: Api::all(client.clone()),
            node: node.to_owned(),
            news: select_all(news),
            pods: None,
            daemon_sets: None,
            deployments: None,
            failed: None,
        }
    }

    /// Waits until it has told everything once, or failed to. Before that nobody knows whether it is there.
    pub async fn met(&mut self) {
        let wait = async {
            while self.failed.is_none() && !self.is_whole() {
                self.changed().await;
            }
        };
        // One that does neither is away.
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_default();
    }

    /// Waits for news, and takes in all there are.
    pub async fn changed(&mut self) {
        let first = self.news.next().await;
        first.into_iter().for_each(|news| self.take(news));
        while let Some(Some(news)) = self.news.next().now_or_never() {
            self.take(news);
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Pods(pods) => self.pods = Some(pods),
            News::DaemonSets(sets) => self.daemon_sets = Some(sets),
            News::Deployments(deployments) => self.deployments = Some(deployments),
            News::Silence(why) => {
                tracing::debug!(why, "the API is not watched at present");
                self.failed = Some(Instant::now());
            }
        }
    }

    /// What it says, asked now.
    pub async fn told(&self) -> Told<'_> {
        let node = match self.is_whole() {
            true => self.ask().await,
            false => None,
        };
        Told {
            node,
            pods: self.pods.as_deref().unwrap_or_default(),
            daemon_sets: self.daemon_sets.as_deref().unwrap_or_default(),
            deployments: self.deployments.as_deref().unwrap_or_default(),
        }
    }

    fn is_whole(&self) -> bool {
        let is_quiet = self.failed.is_none_or(|failed| failed.elapsed() > QUIET);
        is_quiet && self.pods.is_some() && self.daemon_sets.is_some() && self.deployments.is_some()
    }

    async fn ask(&self) -> Option<Node> {
        let answer = tokio::time::timeout(PATIENCE, self.nodes.get_opt(&self.node)).await;
        let why = match answer {
            Ok(Ok(Some(node))) => return Some(node),
            Ok(Ok(None)) => "this machine's node is not there".to_owned(),
            Ok(Err(error)) => describe(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::debug!(why, "the API does not tell of this machine at present");
        None
    }
}

fn told<K>(client: &Client, wrap: fn(Vec<K>) -> News) -> BoxStream<'static, News>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    K: Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let api: Api<K> = Api::namespaced(client.clone(), NAMESPACE);
    follow(api, &Scope::default()).map(move |told| told.map_or_else(News::Silence, wrap)).boxed()
}
