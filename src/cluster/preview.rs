//! What applying would do: a server-side dry run of every object, compared with the object in the
//! cluster.
//!
//! Contents of Secrets never leave this module. As in `kubectl diff`, only whether one changes is
//! shown.

use futures::StreamExt as _;
use http::StatusCode;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams, Request, Resource as _};
use serde_json::{Map, Value};

use super::discovery::{Discovery, Target};
use super::item::{Identity, Item, expected, normalised};
use super::raw::{malformed, send};
use super::retry::{Expected, Failure, Patience, Verdict, classify};
use super::webhook;
use crate::FIELD_MANAGER;

/// Requests in flight.
const CONCURRENCY: usize = 8;
/// Fields that only the API sets, and that change with every write.
const BOOKKEEPING: [&str; 5] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];
/// A copy of the whole object, Secrets included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const HIDDEN: &str = "***";

/// What applying an object would do.
#[derive(Clone, Debug, PartialEq)]
pub enum Foreseen {
    /// It is not there.
    Create,
    /// It is there, and would change. Both without bookkeeping, Secrets hidden.
    Change {
        /// As it is.
        before: Value,
        /// As it would be.
        after: Value,
    },
    /// It is there, with this content.
    Unchanged,
    /// The API would refuse it.
    Refuse {
        /// In its words.
        reason: String,
    },
}

/// What applying `items` would do, in their order. Namespaces and kinds that other items create
/// count as there.
pub async fn foresee(client: &Client, items: &[&Item], force_conflicts: bool) -> Vec<Foreseen> {
    let params = PatchParams::apply(FIELD_MANAGER).dry_run();
    let foreseer = Foreseer {
        client,
        discovery: Discovery::new(client.clone()),
        expected: expected(items),
        params: if force_conflicts { params.force() } else { params },
    };
    let foreseer = &foreseer;
    let asked = items.iter().map(|item| async move {
        let (before, after) = foreseer.query(item).await;
        foreseer.judge(before, after)
    });
    futures::stream::iter(asked).buffered(CONCURRENCY).collect().await
}

struct Foreseer<'a> {
    client: &'a Client,
    discovery: Discovery,
    expected: Expected,
    params: PatchParams,
}

type Answer = Result<Value, Failure>;

impl Foreseer<'_> {
    /// The object as it is, if it exists, and as it would be.
    async fn query(&self, item: &Item) -> (Option<Value>, Answer) {
        let identity = match Identity::from_value(&item.value) {
            Ok(identity) => identity,
            Err(reason) => return (None, Err(Failure::Malformed(reason))),
        };
        match self.discovery.resolve(&identity.api_version, &identity.kind).await {
            Ok(target) => self.query_target(&identity, &target, &item.value).await,
            Err(failure) => (None, Err(failure)),
        }
    }

    async fn query_target(
        &self,
        identity: &Identity,
        target: &Target,
        value: &Value,
    ) -> (Option<Value>, Answer) {
        let namespace = target.namespaced.then_some(identity.namespace.as_deref().unwrap_or("default"));
        let requests = Request::new(DynamicObject::url_path(&target.resource, namespace));
        let before = match requests.get(&identity.name, &Default::default()).map_err(malformed) {
            Ok(get) => send(self.client, get).await.ok().map(|(_, value)| value),
            Err(failure) => return (None, Err(failure)),
        };
        let body = normalised(value, target, namespace);
        let patch = match requests.patch(&identity.name, &self.params, &Patch::Apply(&body)) {
            Ok(patch) => patch,
            Err(error) => return (before, Err(malformed(error))),
        };
        let answer = match send(self.client, patch).await {
            Ok((_, value)) => Ok(value),
            Err(failure) => Err(webhook::explained(self.client, failure).await),
        };
        (before, answer)
    }

    fn judge(&self, before: Option<Value>, after: Answer) -> Foreseen {
        match (before, after) {
            (None, Ok(_)) => Foreseen::Create,
            (Some(before), Ok(after)) => compare(plain(before), plain(after)),
            (before, Err(failure)) => match classify(&failure, &self.expected) {
                Verdict::Transient { patience: Patience::Deadline, .. }
                    if before.is_none() && is_early(&failure) =>
                {
                    Foreseen::Create
                }
                Verdict::Transient { reason, .. } | Verdict::Fatal { reason } => Foreseen::Refuse { reason },
            },
        }
    }
}

/// Whether the object fails only because what it needs is applied after it.
fn is_early(failure: &Failure) -> bool {
    match failure {
        Failure::UnknownKind { .. } => true,
        Failure::Api { status, .. } => status.code == StatusCode::NOT_FOUND.as_u16(),
        Failure::Transport(_) | Failure::Untrusted(_) | Failure::Malformed(_) => false,
    }
}

fn compare(mut before: Value, mut after: Value) -> Foreseen {
    if before == after {
        return Foreseen::Unchanged;
    }
    if after["kind"] == "Secret" {
        for field in ["data", "stringData"] {
            hide(&mut before[field], &mut after[field]);
        }
    }
    Foreseen::Change { before, after }
}

/// An object without the fields that change with every write.
fn plain(mut value: Value) -> Value {
    if let Some(metadata) = value["metadata"].as_object_mut() {
        BOOKKEEPING.iter().for_each(|field| drop(metadata.shift_remove(*field)));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove(LAST_APPLIED);
        }
    }
    value
}

/// Replaces the values of two sets of secrets, keeping only which of them differ.
fn hide(before: &mut Value, after: &mut Value) {
    let (old, new) = (before.clone(), after.clone());
    for (side, other, word) in [(before, &new, " (before)"), (after, &old, " (after)")] {
        for (name, value) in side.as_object_mut().unwrap_or(&mut Map::new()) {
            let is_same = other.get(name) == Some(value);
            *value = Value::String(if is_same { HIDDEN.to_owned() } else { format!("{HIDDEN}{word}") });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_names_of_changed_secrets_are_shown() {
        let secret = |data: Value| json!({"kind": "Secret", "metadata": {"name": "s"}, "data": data});
        let before = secret(json!({"a": "c2FtZQ==", "b": "b2xk", "gone": "b2xk"}));
        let after = secret(json!({"a": "c2FtZQ==", "b": "bmV3", "come": "bmV3"}));
        let Foreseen::Change { before, after } = compare(before, after) else { panic!("no change") };
        assert_eq!(before["data"], json!({"a": "***", "b": "*** (before)", "gone": "*** (before)"}));
        assert_eq!(after["data"], json!({"a": "***", "b": "*** (after)", "come": "*** (after)"}));
    }

    #[test]
    fn bookkeeping_is_no_change() {
        let object = |version: &str| {
            let annotations = json!({LAST_APPLIED: version, "own": "1"});
            plain(json!({"kind": "ConfigMap", "data": {"a": "b"}, "metadata": {
                "name": "m", "resourceVersion": version, "managedFields": [version], "annotations": annotations}}))
        };
        assert_eq!(compare(object("1"), object("2")), Foreseen::Unchanged);
        assert_eq!(object("1")["metadata"], json!({"name": "m", "annotations": {"own": "1"}}));
    }
}
