//! Waits for a state of the cluster by watching it.
//!
//! A wait is a pure predicate over the watched objects: done, or why not. It ends only when the predicate says so.
//! Timeouts belong to callers, which keep the last reason. An API that goes away is another reason and no end:
//! while one apiserver hands over to the next, watches reconnect within 50 ms to 1 s and resume where they were.
//!
//! # Cancellation
//! Every wait can be dropped at any time: it holds no lock and changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::stream::{BoxStream, StreamExt as _};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::objects::{Bare, Kind, Objects};
use super::retry::describe;

/// After this time the API ends a watch and the client starts another, which costs one cheap request. A watch
/// whose server vanished silently is noticed 5 s later.
pub const WATCH_SECONDS: u32 = 10;

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// The state of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// It is over, with this.
    Done(T),
    /// Not yet, and why.
    Not(String),
}

/// Which objects to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// A label selector.
    pub labels: Option<String>,
    /// A field selector.
    pub fields: Option<String>,
}

impl Scope {
    /// The object called `name`.
    pub fn named(name: &str) -> Self {
        Self { fields: Some(format!("metadata.name={name}")), ..Self::default() }
    }

    fn config(&self) -> watcher::Config {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        watcher::Config { label_selector: self.labels.clone(), field_selector: self.fields.clone(), ..config }
    }
}

/// The objects of one kind, as the watch last reported them.
#[derive(Debug)]
pub struct Watched<K> {
    objects: BTreeMap<(String, String), K>,
    relisted: BTreeMap<(String, String), K>,
    is_complete: bool,
}

impl<K> Default for Watched<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), relisted: BTreeMap::new(), is_complete: false }
    }
}

impl<K: Resource> Watched<K> {
    /// All of them, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.objects.values()
    }

    /// One of them.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&K> {
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    fn take(&mut self, event: Event<K>) {
        let key = |object: &K| (object.namespace().unwrap_or_default(), object.name_any());
        match event {
            Event::Apply(object) => drop(self.objects.insert(key(&object), object)),
            Event::Delete(object) => drop(self.objects.remove(&key(&object))),
            Event::Init => self.relisted.clear(),
            Event::InitApply(object) => drop(self.relisted.insert(key(&object), object)),
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.relisted);
                self.is_complete = true;
            }
        }
    }
}

impl<K: Resource> FromIterator<K> for Watched<K> {
    fn from_iter<I: IntoIterator<Item = K>>(objects: I) -> Self {
        let mut seen = Self::default();
        objects.into_iter().for_each(|object| seen.take(Event::InitApply(object)));
        seen.take(Event::InitDone);
        seen
    }
}

/// A watch that never ends. It reconnects, and yields the errors in between.
fn watch<K: Kind>(objects: Objects<K>, scope: &Scope) -> BoxStream<'static, watcher::Result<Event<K>>> {
    let events = watcher(objects.bare, scope.config()).backoff(Reconnect::default());
    events.map(|event| event.and_then(parsed)).boxed()
}

fn parsed<K: DeserializeOwned>(event: Event<Bare>) -> watcher::Result<Event<K>> {
    let parsed = |object: Bare| object.typed().map_err(watcher::Error::WatchFailed);
    Ok(match event {
        Event::Apply(object) => Event::Apply(parsed(object)?),
        Event::Delete(object) => Event::Delete(parsed(object)?),
        Event::InitApply(object) => Event::InitApply(parsed(object)?),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    })
}

/// The objects in `scope`, again after every change; while the API does not answer, why. Never ends.
pub fn follow<K: Kind>(objects: Objects<K>, scope: &Scope) -> BoxStream<'static, Result<Vec<K>, String>> {
    follow_some(objects, scope, |_| true)
}

/// The same for those objects that are wanted, where the API cannot select them. The others take no memory.
pub fn follow_some<K: Kind>(
    objects: Objects<K>,
    scope: &Scope,
    is_wanted: impl Fn(&K) -> bool + Send + 'static,
) -> BoxStream<'static, Result<Vec<K>, String>> {
    let take = move |seen: &mut Watched<K>, event: watcher::Result<Event<K>>| {
        let now = match event {
            Err(error) => Some(Err(why(error))),
            Ok(Event::InitApply(object)) if !is_wanted(&object) => None,
            Ok(event) => {
                seen.take(match event {
                    Event::Apply(object) if !is_wanted(&object) => Event::Delete(object),
                    event => event,
                });
                seen.is_complete.then(|| Ok(seen.iter().cloned().collect()))
            }
        };
        futures::future::ready(Some(now))
    };
    watch(objects, scope).scan(Watched::default(), take).filter_map(futures::future::ready).boxed()
}

/// Waits until `is_done` for the objects in `scope`. `on_reason` gets each new reason why it is not.
pub async fn wait_for<K: Kind, T>(
    objects: Objects<K>,
    scope: Scope,
    mut is_done: impl FnMut(&Watched<K>) -> Progress<T>,
    on_reason: &mut (dyn FnMut(&str) + Send),
) -> T {
    let take = |seen: &mut Watched<K>, event| seen.take(event);
    let is_done = |seen: &Watched<K>| match seen.is_complete {
        true => is_done(seen),
        false => Progress::Not("the API has not answered yet".into()),
    };
    drive(Watched::default(), watch(objects, &scope), take, is_done, on_reason).await
}

/// The workloads of a namespace, and their pods.
#[derive(Debug, Default)]
pub struct Workloads {
    /// DaemonSets.
    pub daemon_sets: Watched<DaemonSet>,
    /// Their templates, earlier ones too.
    pub revisions: Watched<ControllerRevision>,
    /// Deployments.
    pub deployments: Watched<Deployment>,
    /// ReplicaSets of the Deployments.
    pub replica_sets: Watched<ReplicaSet>,
    /// Pods.
    pub pods: Watched<Pod>,
}

enum Change {
    DaemonSet(Event<DaemonSet>),
    Revision(Event<ControllerRevision>),
    Deployment(Event<Deployment>),
    ReplicaSet(Event<ReplicaSet>),
    Pod(Event<Pod>),
}

impl Workloads {
    fn take(&mut self, change: Change) {
        match change {
            Change::DaemonSet(event) => self.daemon_sets.take(event),
            Change::Revision(event) => self.revisions.take(event),
            Change::Deployment(event) => self.deployments.take(event),
            Change::ReplicaSet(event) => self.replica_sets.take(event),
            Change::Pod(event) => self.pods.take(event),
        }
    }

    fn is_complete(&self) -> bool {
        let are_sets = self.daemon_sets.is_complete && self.revisions.is_complete;
        are_sets && self.deployments.is_complete && self.replica_sets.is_complete && self.pods.is_complete
    }
}

/// Waits until `is_done` for the workloads in `namespace`. `on_reason` gets each new reason why it is not.
pub async fn wait_for_workloads<T>(
    client: &Client,
    namespace: &str,
    mut is_done: impl FnMut(&Workloads) -> Progress<T>,
    on_reason: &mut (dyn FnMut(&str) + Send),
) -> T {
    let is_done = |seen: &Workloads| match seen.is_complete() {
        true => is_done(seen),
        false => Progress::Not("the API has not answered yet".into()),
    };
    drive(Workloads::default(), changes(client, namespace), Workloads::take, is_done, on_reason).await
}

fn changes(client: &Client, namespace: &str) -> BoxStream<'static, watcher::Result<Change>> {
    fn of<K: Kind + Resource<Scope = NamespaceResourceScope>>(
        client: &Client,
        namespace: &str,
        wrap: fn(Event<K>) -> Change,
    ) -> BoxStream<'static, watcher::Result<Change>> {
        let objects = Objects::namespaced(client, namespace);
        watch(objects, &Scope::default()).map(move |event| event.map(wrap)).boxed()
    }
    let streams = [
        of(client, namespace, Change::DaemonSet),
        of(client, namespace, Change::Revision),
        of(client, namespace, Change::Deployment),
        of(client, namespace, Change::ReplicaSet),
        of(client, namespace, Change::Pod),
    ];
    futures::stream::select_all(streams).boxed()
}

async fn drive<S, E, T>(
    mut state: S,
    mut events: BoxStream<'static, watcher::Result<E>>,
    mut take: impl FnMut(&mut S, E),
    mut is_done: impl FnMut(&S) -> Progress<T>,
    on_reason: &mut (dyn FnMut(&str) + Send),
) -> T {
    let mut last = String::new();
    loop {
        let reason = match events.next().await {
            Some(Ok(event)) => {
                take(&mut state, event);
                match is_done(&state) {
                    Progress::Done(done) => return done,
                    Progress::Not(reason) => reason,
                }
            }
            Some(Err(error)) => format!("the API does not answer: {}", why(error)),
            // Watch and back-off have no end. If they had, the caller's timeout would report it.
            None => std::future::pending().await,
        };
        if reason != last {
            on_reason(&reason);
            last = reason;
        }
    }
}

fn why(error: watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => describe(&error),
        watcher::Error::WatchError(status) => describe(&kube::Error::Api(status)),
        error @ watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// Delays between attempts to watch again. The client's own, 0.8 s to 30 s, are too long for a hand-over.
struct Reconnect(ExponentialBackoff);

impl Default for Reconnect {
    fn default() -> Self {
        let delays = ExponentialBuilder::default().with_min_delay(FIRST_DELAY).with_max_delay(LONGEST_DELAY);
        Self(delays.with_factor(2.0).without_max_times().build())
    }
}

impl Iterator for Reconnect {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Reconnect {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n"}})).unwrap()
    }

    fn names(seen: &Watched<Pod>) -> Vec<String> {
        seen.iter().map(|pod| pod.name_any()).collect()
    }

    #[test]
    fn a_relisting_replaces_what_was_seen_only_when_it_is_complete() {
        let mut seen: Watched<Pod> = [pod("a"), pod("b")].into_iter().collect();
        seen.take(Event::Init);
        seen.take(Event::InitApply(pod("b")));
        assert_eq!(names(&seen), ["a", "b"]);
        seen.take(Event::InitDone);
        assert_eq!(names(&seen), ["b"]);
    }

    #[test]
    fn events_add_and_remove() {
        let mut seen = Watched::default();
        assert!(!seen.is_complete);
        seen.take(Event::Apply(pod("a")));
        seen.take(Event::Apply(pod("b")));
        seen.take(Event::Delete(pod("a")));
        assert_eq!(names(&seen), ["b"]);
        assert!(seen.get("n", "b").is_some() && seen.get("m", "b").is_none());
    }

    #[test]
    fn reconnects_at_first_fast_and_never_slower_than_a_second() {
        let delays: Vec<_> = Reconnect::default().take(50).collect();
        assert_eq!(delays[0], FIRST_DELAY);
        assert_eq!(delays.len(), 50);
        assert!(delays.iter().all(|delay| *delay <= LONGEST_DELAY));
    }
}
