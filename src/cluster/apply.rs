//! Server-side apply of many objects at once.
//!
//! Every object is tried on its own until it is accepted, refused for good, or the deadline passes.
//! An object that waits for another (a namespace, a definition) holds no place among the requests
//! in flight, so order decides speed and never success. A definition counts as applied when its
//! resources can be listed. Fields owned by another manager are left alone and reported unless
//! `force_conflicts` is set. Nothing is ever deleted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::StatusCode;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, Request, Resource as _};
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::discovery::Discovery;
pub use super::item::Item;
use super::item::{Identity, expected, normalised};
use super::raw::{malformed, send};
use super::retry::{Expected, Failure, retrying};
use super::{crd, webhook};
use crate::FIELD_MANAGER;

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there before.
    Created,
    /// It was there, and changed.
    Configured,
    /// It was there, with this content.
    Unchanged,
    /// It was refused, or the deadline passed.
    Failed {
        /// What the API said last.
        reason: String,
    },
    /// It was never sent, because an earlier object failed and [`ApplyOptions::strict`] is set.
    Skipped,
}

/// How to apply.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// Requests in flight. The apiserver allows far more, but two cores are busy with these.
    pub concurrency: usize,
    /// Take over fields of other managers.
    pub force_conflicts: bool,
    /// Send no further request after the first object that fails.
    pub strict: bool,
    /// For all objects together. A stage leaves each later one as much time as it takes itself.
    pub deadline: Duration,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self { concurrency: 16, force_conflicts: false, strict: false, deadline: Duration::from_secs(120) }
    }
}

/// Called while objects are applied.
#[derive(Clone, Copy)]
pub struct Observer<'a> {
    /// With the outcome of an object, and the time since its stage began.
    pub outcome: &'a (dyn Fn(&Item, &Outcome, Duration) + Sync),
    /// With an object that will be tried again, and why.
    pub waiting: &'a (dyn Fn(&Item, &str) + Sync),
}

/// Applies the stages one after the other, the objects of each at once. Outcomes are in the order
/// of the input.
pub async fn apply_all(
    client: &Client,
    stages: &[Vec<Item>],
    options: &ApplyOptions,
    observer: Observer<'_>,
) -> Vec<Vec<Outcome>> {
    let items: Vec<&Item> = stages.iter().flatten().collect();
    let mut applier = Applier::new(client, expected(&items), options, observer);
    let end = Instant::now() + options.deadline;
    let mut outcomes = Vec::new();
    let mut stopped = false;
    for (stage, left) in stages.iter().zip((1..=stages.len()).rev()) {
        applier.deadline = share(Instant::now(), end, left);
        let done = match stopped {
            true => vec![Outcome::Skipped; stage.len()],
            false => applier.stage(stage).await,
        };
        stopped |= options.strict && done.iter().any(is_failure);
        outcomes.push(done);
    }
    outcomes
}

/// When a stage must end, so that each of the `left` stages has as much time as it.
fn share(now: Instant, end: Instant, left: usize) -> Instant {
    let parts = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + end.saturating_duration_since(now) / parts
}

fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { .. })
}

struct Applier<'a> {
    client: &'a Client,
    discovery: Discovery,
    expected: Expected,
    permits: Semaphore,
    params: PatchParams,
    strict: bool,
    deadline: Instant,
    observer: Observer<'a>,
}

impl<'a> Applier<'a> {
    fn new(client: &'a Client, expected: Expected, options: &ApplyOptions, observer: Observer<'a>) -> Self {
        let params = PatchParams::apply(FIELD_MANAGER);
        Self {
            client,
            discovery: Discovery::new(client.clone()),
            expected,
            permits: Semaphore::new(options.concurrency.max(1)),
            params: if options.force_conflicts { params.force() } else { params },
            strict: options.strict,
            deadline: Instant::now() + options.deadline,
            observer,
        }
    }

    async fn stage(&self, items: &[Item]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Skipped; items.len()];
        let began = Instant::now();
        let before = OnceCell::new();
        let before = &before;
        let stop = CancelFlag::default();
        let stop = &stop;
        let mut next = items.iter().enumerate();
        let mut trying = FuturesUnordered::new();
        loop {
            // A permit is held during a request only, so objects that wait for a retry do not delay
            // a first try.
            let (index, outcome) = tokio::select! {
                Ok(permit) = self.permits.acquire(), if next.len() > 0 && !stop.is_set() => {
                    let tried = next.next();
                    trying.extend(tried.map(|(index, item)| async move {
                        (index, self.item(item, permit, before, stop).await)
                    }));
                    continue;
                }
                Some(done) = trying.next() => done,
                else => return outcomes,
            };
            (self.observer.outcome)(&items[index], &outcome, began.elapsed());
            if self.strict && is_failure(&outcome) {
                stop.set();
            }
            outcomes[index] = outcome;
        }
    }

    /// Applies one object.
    ///
    /// # Cancellation
    /// Once `stop` is set, a request that is in flight still ends, since the API may carry it out,
    /// but no other follows it.
    async fn item(
        &self,
        item: &Item,
        permit: SemaphorePermit<'_>,
        before: &Revision,
        stop: &CancelFlag,
    ) -> Outcome {
        let last = Mutex::new(String::from("no answer yet"));
        let report = |reason: &str| {
            reason.clone_into(&mut lock(&last));
            (self.observer.waiting)(item, reason);
        };
        let in_flight = tokio::sync::Mutex::new(());
        let applied = timeout_at(self.deadline, self.persist(item, permit, before, &in_flight, &report));
        let stopped = async {
            stop.wait().await;
            drop(in_flight.lock().await); // the request in flight, if there is one, has ended
        };
        let reason = tokio::select! {
            biased;
            applied = applied => match applied {
                Ok(Ok(outcome)) => return outcome,
                Ok(Err(reason)) => reason,
                Err(_) => format!("the deadline passed; the last reason: {}", lock(&last)),
            },
            () = stopped => format!("not tried again after an earlier failure (--strict): {}", lock(&last)),
        };
        Outcome::Failed { reason }
    }

    async fn persist(
        &self,
        item: &Item,
        permit: SemaphorePermit<'_>,
        before: &Revision,
        in_flight: &tokio::sync::Mutex<()>,
        report: &(dyn Fn(&str) + Sync),
    ) -> Result<Outcome, String> {
        let identity = Identity::from_value(&item.value)?;
        let mut first = Some(permit);
        let identity_ref = &identity;
        let attempt = || {
            let permit = first.take();
            async move {
                let _permit = match permit {
                    Some(permit) => permit,
                    None => self.permits.acquire().await.map_err(malformed)?,
                };
                let _in_flight = in_flight.lock().await;
                self.attempt(identity_ref, &item.value, before).await
            }
        };
        let outcome = retrying(&self.expected, attempt, report).await?;
        if identity.kind == crd::KIND {
            crd::wait_served(self.client, &item.value, report).await?;
        }
        Ok(outcome)
    }

    async fn attempt(
        &self,
        identity: &Identity,
        value: &Value,
        before: &Revision,
    ) -> Result<Outcome, Failure> {
        let target = self.discovery.resolve(&identity.api_version, &identity.kind).await?;
        let namespace = target.namespaced.then_some(identity.namespace.as_deref().unwrap_or("default"));
        let requests = Request::new(DynamicObject::url_path(&target.resource, namespace));
        let body = normalised(value, &target, namespace);
        let before = *before.get_or_try_init(|| self.revision()).await?;
        let patch = requests.patch(&identity.name, &self.params, &Patch::Apply(&body)).map_err(malformed)?;
        let sent = send(self.client, patch).await;
        let (status, answer) = match sent {
            Ok(answer) => answer,
            Err(failure) => return Err(webhook::explained(self.client, failure).await),
        };
        Ok(match status {
            StatusCode::CREATED => Outcome::Created,
            _ if version(&answer).is_some_and(|after| Some(after) <= before) => Outcome::Unchanged,
            _ => Outcome::Configured,
        })
    }

    /// The revision of the store. The answer to an apply does not say whether it changed anything,
    /// but an object whose version is not newer than this was not changed. It costs one request for
    /// all objects, and versions of one cluster can be compared (Kubernetes KEP-5504).
    async fn revision(&self) -> Result<Option<u64>, Failure> {
        let namespaces = Request::new(Namespace::url_path(&(), None));
        let request = namespaces.list(&ListParams::default().limit(1)).map_err(malformed)?;
        let (_, answer) = send(self.client, request).await?;
        Ok(version(&answer))
    }
}

/// The revision of the store before a stage.
type Revision = OnceCell<Option<u64>>;

/// Set once, and waited for by all.
struct CancelFlag(watch::Sender<bool>);

impl Default for CancelFlag {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl CancelFlag {
    fn set(&self) {
        self.0.send_replace(true);
    }

    fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    async fn wait(&self) {
        // The sender lives as long as `self`, so this ends with the flag set and never with an
        // error.
        if self.0.subscribe().wait_for(|is_set| *is_set).await.is_err() {
            std::future::pending().await
        }
    }
}

fn lock(last: &Mutex<String>) -> MutexGuard<'_, String> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

fn version(answer: &Value) -> Option<u64> {
    answer.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}
