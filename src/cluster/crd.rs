//! Custom resource definitions: when their resources are served.
//!
//! A definition becomes Established shortly after it is stored, and the API serves its resources
//! shortly after that. The first is watched. The second cannot be watched, so a list is tried every
//! 50 ms. A version that needs a webhook for its conversion is served whether or not that answers:
//! the webhook may be one of the objects that are applied later.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use serde_json::Value;

use super::objects::Objects;
use super::retry::{describe, poll};
use super::wait::{Progress, Scope, wait_for};

/// The kind of a definition.
pub const KIND: &str = "CustomResourceDefinition";

/// How the API begins where a webhook did not convert
/// (apiextensions-apiserver, pkg/apiserver/conversion/webhook_converter.go).
const CONVERSION: &str = "conversion webhook for ";
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// Whether the API has taken up a definition; if not, why.
pub fn is_established(definition: &CustomResourceDefinition) -> Result<(), String> {
    let conditions = || definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is = |kind: &str, status: &str| conditions().find(|c| c.type_ == kind && c.status == status);
    if is("Established", "True").is_some() {
        return Ok(());
    }
    let rejected = is("NamesAccepted", "False").and_then(|condition| condition.message.clone());
    Err(rejected
        .map_or_else(|| "it is not Established yet".into(), |why| format!("its names are refused: {why}")))
}

/// Waits until the definition in `value` is Established and each version it serves can be listed.
pub async fn wait_served(
    client: &Client,
    value: &Value,
    report: &(dyn Fn(&str) + Sync),
) -> Result<(), String> {
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    wait_established(client, name, report).await;
    for path in served_paths(value)? {
        wait_listed(client, &path, report).await;
    }
    Ok(())
}

async fn wait_established(client: &Client, name: &str, report: &(dyn Fn(&str) + Sync)) {
    let scope = Scope::named(name);
    let is_done = |seen: &super::wait::Watched<CustomResourceDefinition>| match seen.iter().next() {
        None => Progress::Not("the definition does not exist yet".into()),
        Some(definition) => match is_established(definition) {
            Ok(()) => Progress::Done(()),
            Err(why) => Progress::Not(format!("the definition is not served: {why}")),
        },
    };
    wait_for(Objects::all(client), scope, is_done, &mut |reason| report(reason)).await;
}

async fn wait_listed(client: &Client, path: &str, report: &(dyn Fn(&str) + Sync)) {
    let attempt = async || match list_one(client, path).await {
        Err(error) if !is_converting(&error) => {
            Err(format!("the definition is Established, but {path} is not served: {}", describe(&error)))
        }
        _ => Ok(()),
    };
    poll(PROBE_INTERVAL, attempt, report).await;
}

/// Whether the API serves a version, but cannot convert what it has stored to that.
fn is_converting(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.message.contains(CONVERSION))
}

async fn list_one(client: &Client, path: &str) -> Result<(), kube::Error> {
    let request = http::Request::get(format!("{path}?limit=1")).body(Vec::new());
    client.request::<Value>(request.map_err(kube::Error::HttpError)?).await.map(|_| ())
}

/// Where the served versions of a definition are listed.
fn served_paths(value: &Value) -> Result<Vec<String>, String> {
    let spec: CustomResourceDefinition = serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
    let (group, plural) = (&spec.spec.group, &spec.spec.names.plural);
    let served = spec.spec.versions.iter().filter(|version| version.served);
    Ok(served.map(|version| format!("/apis/{group}/{}/{plural}", version.name)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(conditions: Value) -> CustomResourceDefinition {
        serde_json::from_value(json!({
            "metadata": {"name": "toys.example.test"},
            "spec": {"group": "example.test", "scope": "Namespaced", "names": {"kind": "Toy", "plural": "toys"},
                "versions": [{"name": "v1", "served": true, "storage": true},
                             {"name": "v0", "served": false, "storage": false}]},
            "status": {"conditions": conditions}
        }))
        .unwrap()
    }

    #[test]
    fn only_established_definitions_are_established() {
        let established = json!([{"type": "Established", "status": "True"}]);
        assert_eq!(is_established(&definition(established)), Ok(()));
        let waiting = json!([{"type": "Established", "status": "False"}]);
        assert_eq!(is_established(&definition(waiting)).unwrap_err(), "it is not Established yet");
        let refused = json!([{"type": "NamesAccepted", "status": "False", "message": "\"Toy\" is taken"}]);
        assert!(is_established(&definition(refused)).unwrap_err().contains("taken"));
    }

    #[test]
    fn only_served_versions_are_listed() {
        let value = serde_json::to_value(definition(json!([]))).unwrap();
        assert_eq!(served_paths(&value).unwrap(), ["/apis/example.test/v1/toys"]);
    }
}
