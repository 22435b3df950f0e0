//! What the API says: watched, and asked once a round whether it still answers. How much the agent
//! may see depends on its identity ([`View`]).
//!
//! A question that is not answered in a round stays under way for the next one: an API that is slow
//! would otherwise get more and more questions, and answer none in time.
//!
//! A watch that broke off and was taken up again does not show that, and what it said before may be
//! stale meanwhile. So the API counts as silent unless it has just answered a question and no watch
//! has failed for a while.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, SelectAll, StreamExt as _, select_all};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::NAMESPACE;
use crate::checkpoint::parent;
use crate::cluster::objects::{Kind, Objects};
use crate::cluster::retry::describe;
use crate::cluster::wait::{Scope, follow, follow_some};
use crate::patience::{ANSWER, Pace, within};

/// An API that takes longer to answer counts as silent, unless it was slower before.
const FIRST: Duration = Duration::from_secs(2);
/// After a watch has failed: it is tried again at least once in this time.
const QUIET: Duration = Duration::from_secs(2);

/// What the agent may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// On a controller: everything of the control plane's namespace on all machines, and this
    /// machine's pods of all others.
    Controller,
    /// On any other machine, with kubelet's certificate: this machine's pods, and none of the
    /// objects that own them. So a workload without a pod here for a while counts as removed, as it
    /// did in v0.14.
    Worker,
}

enum News {
    Pods(Vec<Pod>),
    Local(Result<Vec<Pod>, String>),
    DaemonSets(Vec<DaemonSet>),
    Deployments(Vec<Deployment>),
    Silence(String),
}

/// The API, watched.
pub struct Watched {
    nodes: Objects<Node>,
    node: String,
    view: View,
    news: SelectAll<BoxStream<'static, News>>,
    pods: Option<Vec<Pod>>,
    local: Option<Vec<Pod>>,
    daemon_sets: Option<Vec<DaemonSet>>,
    deployments: Option<Vec<Deployment>>,
    failed: Option<Instant>,
    asked: Option<Question>,
    pace: Pace,
}

/// A question about this machine's node that is under way, and since when.
type Question = (Instant, BoxFuture<'static, Result<Option<Node>, kube::Error>>);

/// What the API said last.
pub struct Known<'w> {
    /// How much the agent sees.
    pub view: View,
    /// This machine's node, if the API answers now. If not, all else is of the past.
    pub node: Option<Node>,
    /// Pods of the control plane's namespace, of all machines. A worker's agent has none.
    pub pods: &'w [Pod],
    /// DaemonSets of the control plane's namespace.
    pub daemon_sets: &'w [DaemonSet],
    /// Deployments of the control plane's namespace.
    pub deployments: &'w [Deployment],
    /// Pods of this machine that ask to be kept, of other namespaces, and of all where the agent is
    /// a worker's. `None` if they are not watched at present, which does not affect the control
    /// plane.
    pub local: Option<&'w [Pod]>,
}

impl<'w> Known<'w> {
    /// All of them, those of the past included.
    pub fn all_pods(&self) -> impl Iterator<Item = &'w Pod> + use<'w> {
        self.pods.iter().chain(self.local.unwrap_or_default())
    }
}

impl Watched {
    /// Begins to watch, as the agent on `node`.
    pub fn new(client: &Client, node: &str, view: View) -> Self {
        let mut news = vec![local(client, node, view)];
        if view == View::Controller {
            news.push(watch_all(client, News::Pods as fn(Vec<Pod>) -> News));
            news.push(watch_all(client, News::DaemonSets as fn(Vec<DaemonSet>) -> News));
            news.push(watch_all(client, News::Deployments as fn(Vec<Deployment>) -> News));
        }
        Self {
            nodes: Objects::all(client),
            node: node.to_owned(),
            view,
            news: select_all(news),
            pods: None,
            local: None,
            daemon_sets: None,
            deployments: None,
            failed: None,
            asked: None,
            pace: Pace::new(FIRST, FIRST),
        }
    }

    /// Waits until every watch has listed its objects once, or one has failed. Before that it is
    /// unknown whether there is an API.
    pub async fn met(&mut self) {
        let wait = async {
            while self.failed.is_none() && !self.is_whole() {
                self.changed().await;
            }
        };
        // An API that does neither in time is away.
        tokio::time::timeout(FIRST, wait).await.unwrap_or_default();
    }

    /// Waits for news and takes them in.
    ///
    /// # Cancellation
    /// No news is lost if the future is dropped.
    pub async fn changed(&mut self) {
        match self.news.next().await {
            Some(news) => self.take(news),
            // A watch has no last event.
            None => std::future::pending().await,
        }
    }

    /// Takes in all news for a while, and returns whether there were any. It stops at a failure,
    /// since a watch that has never been answered asks again at once.
    pub async fn gather(&mut self, time: Duration) -> bool {
        let (end, failed) = (Instant::now() + time, self.failed);
        let mut has_any = false;
        while self.failed == failed && timeout_at(end, self.changed()).await.is_ok() {
            has_any = true;
        }
        sleep_until(end).await;
        has_any
    }

    fn take(&mut self, news: News) {
        match news {
            News::Pods(pods) => self.pods = Some(pods),
            News::Local(Ok(pods)) => self.local = Some(pods),
            News::Local(Err(why)) if self.view == View::Controller => {
                tracing::debug!(why, "pods of other namespaces are not watched at present");
                self.local = None;
            }
            News::Local(Err(why)) => self.take(News::Silence(why)),
            News::DaemonSets(sets) => self.daemon_sets = Some(sets),
            News::Deployments(deployments) => self.deployments = Some(deployments),
            News::Silence(why) => {
                tracing::debug!(why, "the API is not watched at present");
                self.failed = Some(Instant::now());
            }
        }
    }

    /// What the watches have, and the answer to a question asked now.
    pub async fn known(&mut self) -> Known<'_> {
        let node = match self.is_whole() {
            true => self.ask().await,
            false => {
                self.asked = None; // its answer may be of the time before the silence
                None
            }
        };
        Known {
            view: self.view,
            node,
            local: self.local.as_deref(),
            pods: self.pods.as_deref().unwrap_or_default(),
            daemon_sets: self.daemon_sets.as_deref().unwrap_or_default(),
            deployments: self.deployments.as_deref().unwrap_or_default(),
        }
    }

    fn is_whole(&self) -> bool {
        let is_quiet = self.failed.is_none_or(|failed| failed.elapsed() > QUIET);
        is_quiet
            && match self.view {
                View::Controller => {
                    self.pods.is_some() && self.daemon_sets.is_some() && self.deployments.is_some()
                }
                View::Worker => self.local.is_some(),
            }
    }

    async fn ask(&mut self) -> Option<Node> {
        let (begun, mut question) = self.asked.take().unwrap_or_else(|| self.question());
        let why = match within(self.pace.limit(), &mut question).await {
            Ok(Err(error)) => describe(&error),
            Ok(Ok(node)) => {
                self.pace.answered(begun.elapsed());
                match node {
                    Some(node) => return Some(node),
                    None => "this machine's node is not there".to_owned(),
                }
            }
            Err(late) => {
                if begun.elapsed() < ANSWER {
                    self.asked = Some((begun, question));
                }
                late.to_string()
            }
        };
        tracing::debug!(why, "the API does not tell of this machine at present");
        None
    }

    fn question(&self) -> Question {
        let (nodes, node) = (self.nodes.clone(), self.node.clone());
        (Instant::now(), async move { nodes.get_opt(&node).await }.boxed())
    }
}

/// Pods of this machine that are not watched anyway; of the others only those that ask are kept in
/// memory.
fn local(client: &Client, node: &str, view: View) -> BoxStream<'static, News> {
    let mut fields = format!("spec.nodeName={node}");
    if view == View::Controller {
        fields += &format!(",metadata.namespace!={NAMESPACE}");
    }
    let node = node.to_owned();
    let scope = Scope { fields: Some(fields), ..Scope::default() };
    follow_some(Objects::all(client), &scope, move |pod| parent::asks(pod, &node)).map(News::Local).boxed()
}

fn watch_all<K>(client: &Client, wrap: fn(Vec<K>) -> News) -> BoxStream<'static, News>
where
    K: Kind + Resource<Scope = NamespaceResourceScope>,
{
    follow(Objects::namespaced(client, NAMESPACE), &Scope::default())
        .map(move |known| known.map_or_else(News::Silence, wrap))
        .boxed()
}
