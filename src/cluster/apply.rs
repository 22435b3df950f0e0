//! Server-side apply of many objects at once.
//!
//! Every object is tried on its own until it is accepted, refused for good, or the deadline passes: an object that waits for
//! another (a namespace, a definition) holds no place among the requests in flight, so order decides speed and never success.
//! A definition counts as applied when its resources can be listed. Fields owned by another manager are left alone and
//! reported unless told otherwise. Nothing is ever deleted.

use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::StatusCode;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, Request, Resource as _};
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::crd;
use super::discovery::{Discovery, Target};
use super::retry::{Expected, Failure, retrying};
use crate::FIELD_MANAGER;

/// An object to apply.
#[derive(Clone)]
pub struct Item {
    /// File it came from, for messages.
    pub file: String,
    /// The object.
    pub value: Value,
}

impl Item {
    /// `Kind namespace/name`, for messages.
    pub fn label(&self) -> String {
        let text = |pointer| self.value.pointer(pointer).and_then(Value::as_str);
        let kind = text("/kind").unwrap_or("object without kind");
        let name = text("/metadata/name").unwrap_or("(no name)");
        match text("/metadata/namespace") {
            Some(namespace) => format!("{kind} {namespace}/{name}"),
            None => format!("{kind} {name}"),
        }
    }
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there before.
    Created,
    /// It was there, and changed.
    Configured,
    /// It was there already, just so.
    Unchanged,
    /// It was refused, or the deadline passed.
    Failed {
        /// What the API said last.
        reason: String,
    },
    /// It was not tried: `strict`, and an earlier one failed.
    Skipped,
}

/// How to apply.
#[derive(Clone, Debug)]
pub struct Options {
    /// Requests in flight. The apiserver's own limit is far above; more than this only makes two cores queue.
    pub concurrency: usize,
    /// Takes over fields of other managers.
    pub force_conflicts: bool,
    /// Stops at the first object that fails.
    pub strict: bool,
    /// For everything together.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 16, force_conflicts: false, strict: false, deadline: Duration::from_secs(120) }
    }
}

/// Who is told what happens, while it happens.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    /// An object is done with, so long after its turn came.
    pub outcome: &'a (dyn Fn(&Item, &Outcome, Duration) + Sync),
    /// An object will be tried again, and why.
    pub waiting: &'a (dyn Fn(&Item, &str) + Sync),
}

/// Applies the stages one after the other, the objects of each at once. Outcomes are in the order of the input.
pub async fn apply_all(
    client: &Client,
    stages: &[Vec<Item>],
    options: &Options,
    listener: Listener<'_>,
) -> Vec<Vec<Outcome>> {
    let items: Vec<&Item> = stages.iter().flatten().collect();
    let applier = Applier::new(client, expected(&items), options, listener);
    let mut outcomes = Vec::new();
    let mut stopped = false;
    for stage in stages {
        let done = match stopped {
            true => vec![Outcome::Skipped; stage.len()],
            false => applier.stage(stage).await,
        };
        stopped |= options.strict && done.iter().any(is_failure);
        outcomes.push(done);
    }
    outcomes
}

fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed { .. })
}

/// The namespaces and kinds that `items` will bring.
pub(super) fn expected(items: &[&Item]) -> Expected {
    let text = |item: &Item, pointer| item.value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut expected = Expected::default();
    for item in items {
        match text(item, "/kind").as_deref() {
            Some("Namespace") => expected.namespaces.extend(text(item, "/metadata/name")),
            Some(crd::KIND) => {
                let kind = text(item, "/spec/group").zip(text(item, "/spec/names/kind"));
                expected.kinds.extend(kind);
            }
            _ => {}
        }
    }
    expected
}

struct Applier<'a> {
    client: &'a Client,
    discovery: Discovery,
    expected: Expected,
    permits: Semaphore,
    params: PatchParams,
    strict: bool,
    deadline: Instant,
    listener: Listener<'a>,
}

impl<'a> Applier<'a> {
    fn new(client: &'a Client, expected: Expected, options: &Options, listener: Listener<'a>) -> Self {
        let params = PatchParams::apply(FIELD_MANAGER);
        Self {
            client,
            discovery: Discovery::new(client.clone()),
            expected,
            permits: Semaphore::new(options.concurrency.max(1)),
            params: if options.force_conflicts { params.force() } else { params },
            strict: options.strict,
            deadline: Instant::now() + options.deadline,
            listener,
        }
    }

    async fn stage(&self, items: &[Item]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Skipped; items.len()];
        let began = Instant::now();
        let before = OnceCell::new();
        let before = &before;
        let mut next = items.iter().enumerate();
        let mut trying = FuturesUnordered::new();
        loop {
            // A permit is held only during a request, so those that wait to be tried again keep nobody from a first try.
            let (index, outcome) = tokio::select! {
                Ok(permit) = self.permits.acquire(), if next.len() > 0 => {
                    let tried = next.next();
                    trying.extend(tried.map(|(index, item)| async move { (index, self.item(item, permit, before).await) }));
                    continue;
                }
                Some(done) = trying.next() => done,
                else => return outcomes,
            };
            (self.listener.outcome)(&items[index], &outcome, began.elapsed());
            let stop = self.strict && is_failure(&outcome);
            outcomes[index] = outcome;
            if stop {
                return outcomes;
            }
        }
    }

    async fn item(&self, item: &Item, permit: SemaphorePermit<'_>, before: &Revision) -> Outcome {
        let last = Mutex::new(String::from("no answer yet"));
        let told = |reason: &str| {
            if let Ok(mut last) = last.lock() {
                reason.clone_into(&mut last);
            }
            (self.listener.waiting)(item, reason);
        };
        let failed = match timeout_at(self.deadline, self.persist(item, permit, before, &told)).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(reason)) => reason,
            Err(_) => {
                let last = last.into_inner().unwrap_or_default();
                format!("the deadline passed; the last reason: {last}")
            }
        };
        Outcome::Failed { reason: failed }
    }

    async fn persist(
        &self,
        item: &Item,
        permit: SemaphorePermit<'_>,
        before: &Revision,
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<Outcome, String> {
        let identity = Identity::of(&item.value)?;
        let mut first = Some(permit);
        let attempt = || {
            let permit = first.take();
            self.attempt(&identity, &item.value, permit, before)
        };
        let outcome = retrying(&self.expected, attempt, told).await?;
        if identity.kind == crd::KIND {
            crd::wait_served(self.client, &item.value, told).await?;
        }
        Ok(outcome)
    }

    async fn attempt(
        &self,
        identity: &Identity,
        value: &Value,
        permit: Option<SemaphorePermit<'_>>,
        before: &Revision,
    ) -> Result<Outcome, Failure> {
        let _permit = match permit {
            Some(permit) => permit,
            None => self.permits.acquire().await.map_err(malformed)?,
        };
        let target = self.discovery.resolve(&identity.api_version, &identity.kind).await?;
        let namespace = target.namespaced.then_some(identity.namespace.as_deref().unwrap_or("default"));
        let requests = Request::new(DynamicObject::url_path(&target.resource, namespace));
        let body = normalised(value, &target, namespace);
        let before = *before.get_or_try_init(|| self.revision()).await?;
        let patch = requests.patch(&identity.name, &self.params, &Patch::Apply(&body)).map_err(malformed)?;
        let (status, answer) = send(self.client, patch).await?;
        Ok(match status {
            StatusCode::CREATED => Outcome::Created,
            _ if version(&answer).is_some_and(|after| Some(after) <= before) => Outcome::Unchanged,
            _ => Outcome::Configured,
        })
    }

    /// How far the store is. The answer to an apply does not tell whether it changed anything; that the object's version is older than this
    /// does, and costs one request for all of them. Versions of one cluster can be compared: Kubernetes KEP-5504.
    async fn revision(&self) -> Result<Option<u64>, Failure> {
        let namespaces = Request::new(Namespace::url_path(&(), None));
        let request = namespaces.list(&ListParams::default().limit(1)).map_err(malformed)?;
        let (_, answer) = send(self.client, request).await?;
        Ok(version(&answer))
    }
}

/// How far the store was before a stage.
type Revision = OnceCell<Option<u64>>;

/// What an object is called.
pub(super) struct Identity {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
}

impl Identity {
    pub(super) fn of(value: &Value) -> Result<Self, String> {
        let text = |pointer: &str| {
            value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let need = |pointer: &str, field: &str| {
            text(pointer).ok_or_else(|| format!("{field} is missing or not a string"))
        };
        Ok(Self {
            api_version: need("/apiVersion", "apiVersion")?,
            kind: need("/kind", "kind")?,
            name: need("/metadata/name", "metadata.name")?,
            namespace: text("/metadata/namespace"),
        })
    }
}

/// The object as server-side apply wants it.
///
/// Without what only the API sets, which an exported object still carries. With a namespace exactly where there is one: a
/// stray one on a cluster-scoped object is refused. And with `""` for null in a Secret or ConfigMap: v0.14 wrote
/// `data: {ca.key: null}`, the API stores that as empty, and would see a change in every further apply of the null.
pub(super) fn normalised(value: &Value, target: &Target, namespace: Option<&str>) -> Value {
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in
            ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"]
        {
            metadata.shift_remove(field);
        }
        match namespace {
            Some(namespace) => metadata.insert("namespace".into(), namespace.into()),
            None => metadata.shift_remove("namespace"),
        };
    }
    if target.resource.group.is_empty() && ["Secret", "ConfigMap"].contains(&target.resource.kind.as_str()) {
        for field in ["data", "stringData", "binaryData"] {
            let entries = value.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten();
            entries.filter(|(_, entry)| entry.is_null()).for_each(|(_, entry)| *entry = "".into());
        }
    }
    value
}

fn version(answer: &Value) -> Option<u64> {
    answer.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}

pub(super) fn malformed(error: impl std::error::Error) -> Failure {
    Failure::Malformed(error.to_string())
}

/// One request. Unlike the client's own, it keeps the status code of success and the `Retry-After` of failure.
pub(super) async fn send(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<(StatusCode, Value), Failure> {
    let response = client.send(request.map(Body::from)).await?;
    let code = response.status();
    let retry_after = response.headers().get(http::header::RETRY_AFTER);
    let retry_after =
        retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    let body = response.into_body().collect_bytes().await?;
    if code.is_success() {
        return Ok((code, serde_json::from_slice(&body).map_err(malformed)?));
    }
    let status = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&body).trim(), ""))
        .with_code(code.as_u16());
    Err(Failure::Api { status: status.boxed(), retry_after })
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
