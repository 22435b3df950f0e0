//! What a real apiserver says of rendered objects: each is applied as a dry run, static pods as Pods.
//!
//! The Service of cluster DNS is applied for good, in its cluster's range, and deleted again: in a dry
//! run the apiserver looks at an address in one range only, whichever comes first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use http::header::{CONTENT_TYPE, WARNING};
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::cases::Accepted;

/// Requests at a time.
const AT_ONCE: usize = 20;
const APPLY: &str = "fieldManager=random&force=true&fieldValidation=Strict";
/// For the allocator of a new range.
const PATIENCE: Duration = Duration::from_secs(20);
/// The apiserver of an address until it has seen its range.
const OF_NO_RANGE: &str = "does not match the current range";
const RANGES: &str = "/apis/networking.k8s.io/v1/servicecidrs";

/// An answer that is not what one hopes for: status and body, or warnings.
type Answer = Result<(), String>;

/// What the apiserver has against objects of these configurations.
pub async fn problems(client: &Client, accepted: &[Accepted]) -> Vec<String> {
    ready(client).await;
    // What is alike in several configurations is sent once.
    let (mut alike, mut services): (BTreeMap<String, _>, BTreeMap<String, _>) = Default::default();
    for accepted in accepted {
        for object in &accepted.objects {
            let list = if object["kind"] == "Service" { &mut services } else { &mut alike };
            list.entry(object.to_string()).or_insert((accepted, object));
        }
    }
    println!("{} objects and {} Services", alike.len(), services.len());
    let asked = stream::iter(alike.into_values()).map(async |(accepted, object)| {
        let path = format!("{}?dryRun=All&{APPLY}", path(object));
        problem(accepted, object, ask(client, Method::PATCH, &path, object).await)
    });
    let allocated = async {
        let mut problems = Vec::new();
        for (accepted, service) in services.into_values() {
            problems.extend(problem(accepted, service, allocate(client, accepted, service).await));
        }
        problems
    };
    let (asked, allocated) = futures::join!(
        asked.buffer_unordered(AT_ONCE).filter_map(async |found| found).collect::<Vec<_>>(),
        allocated
    );
    asked.into_iter().chain(allocated).collect()
}

fn problem(accepted: &Accepted, object: &Value, answer: Answer) -> Option<String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    answer.err().map(|said| accepted.case.problem(&format!("{} {name}: {said}", object["kind"])))
}

/// The namespace and the account that pods need are there. No controller makes the account.
async fn ready(client: &Client) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let accounts = "/api/v1/namespaces/kube-system/serviceaccounts";
    let start = Instant::now();
    while let Err(said) = ask(client, Method::POST, accounts, &account).await {
        assert!(start.elapsed() < PATIENCE, "no account in kube-system: {said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Applies the Service of cluster DNS in its range, and deletes it.
async fn allocate(client: &Client, accepted: &Accepted, service: &Value) -> Answer {
    let name = format!("range-{}", accepted.case.index);
    let range = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": name},
        "spec": {"cidrs": accepted.config.service_cidrs},
    });
    ask(client, Method::POST, RANGES, &range).await?;
    let (path, start) = (path(service), Instant::now());
    let apply = format!("{path}?{APPLY}");
    loop {
        match ask(client, Method::PATCH, &apply, service).await {
            Ok(()) => break,
            Err(said) if !said.contains(OF_NO_RANGE) || start.elapsed() > PATIENCE => {
                return Err(said);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    ask(client, Method::DELETE, &path, &json!({})).await
}

/// Where an object is in the API. Plurals of what is rendered all end in s.
fn path(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let version = text("/apiVersion").unwrap_or_default();
    let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let namespace = text("/metadata/namespace").map(|name| format!("/namespaces/{name}")).unwrap_or_default();
    let plural = text("/kind").unwrap_or_default().to_lowercase() + "s";
    format!("{root}{namespace}/{plural}/{}", text("/metadata/name").unwrap_or_default())
}

async fn ask(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    let content = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content);
    let request = request.body(Body::from(body.to_string().into_bytes())).unwrap();
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let warnings: Vec<String> = response
        .headers()
        .get_all(WARNING)
        .iter()
        .map(|warning| String::from_utf8_lossy(warning.as_bytes()).into_owned())
        .collect();
    let answer = response.into_body().collect_bytes().await.map_err(|error| error.to_string())?;
    match (status.is_success(), warnings.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(warnings.join("; ")),
        (false, _) => {
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            Err(format!("{status}: {}", answer["message"].as_str().unwrap_or_default()))
        }
    }
}
