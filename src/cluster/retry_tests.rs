use kube::core::response::StatusDetails;
use serde_json::{Value, json};

use super::*;

/// What a row of the table expects.
#[derive(Debug, PartialEq)]
enum Want {
    Deadline,
    Short,
    Fatal,
}

fn api(code: u16, message: &str) -> Failure {
    Failure::Api { status: Status::failure(message, "").with_code(code).boxed(), retry_after: None }
}

fn details(value: Value) -> StatusDetails {
    serde_json::from_value(value).unwrap()
}

fn no_namespace(name: &str) -> Failure {
    let details = details(json!({"name": name, "kind": "namespaces"}));
    let message = format!("namespaces \"{name}\" not found");
    let status = Status::failure(&message, "NotFound").with_code(404).with_details(details);
    Failure::Api { status: status.boxed(), retry_after: None }
}

fn unknown(api_version: &str, kind: &str) -> Failure {
    Failure::UnknownKind { api_version: api_version.into(), kind: kind.into() }
}

fn expected() -> Expected {
    Expected {
        namespaces: ["toys".to_owned()].into(),
        kinds: [("example.test".to_owned(), "Toy".to_owned())].into(),
    }
}

fn want(failure: &Failure) -> Want {
    match classify(failure, &expected()) {
        Verdict::Fatal { .. } => Want::Fatal,
        Verdict::Transient { patience: Patience::Deadline, .. } => Want::Deadline,
        Verdict::Transient { patience: Patience::Short, .. } => Want::Short,
    }
}

#[test]
fn every_failure_gets_the_patience_it_deserves() {
    use Want::{Deadline, Fatal, Short};
    let table = [
        (Failure::Transport("tcp connect error: Connection refused (os error 111)".into()), Deadline),
        (Failure::Transport("connection reset by peer".into()), Deadline),
        (Failure::Untrusted("invalid peer certificate: UnknownIssuer".into()), Fatal),
        (Failure::Malformed("expected value at line 1".into()), Fatal),
        (unknown("example.test/v1", "Toy"), Deadline),
        (unknown("example.test/v1", "Tyo"), Short),
        (unknown("v1", "Toy"), Short),
        (api(400, "the object provided is unrecognized"), Fatal),
        (api(401, "Unauthorized"), Short),
        (
            api(
                403,
                "pods \"p\" is forbidden: error looking up service account default/default: serviceaccount \"default\" not found",
            ),
            Deadline,
        ),
        (api(403, "clusterroles is forbidden: User \"ops\" cannot patch resource \"clusterroles\""), Short),
        (api(403, "pods \"p\" is forbidden: not yet ready to handle request"), Deadline),
        (
            api(
                403,
                "secrets \"s\" is forbidden: unable to create new content in namespace n because it is being terminated",
            ),
            Deadline,
        ),
        (api(403, "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\""), Fatal),
        (api(403, "pods \"p\" is forbidden: exceeded quota: q"), Fatal),
        (no_namespace("toys"), Deadline),
        (no_namespace("kube-system"), Deadline),
        (no_namespace("default"), Deadline),
        (no_namespace("tyos"), Short),
        (api(404, "404 page not found"), Short),
        (api(404, "the server could not find the requested resource"), Short),
        (api(405, "the server does not allow this method on the requested resource"), Fatal),
        (api(408, ""), Deadline),
        (api(409, "serviceaccounts \"s\" already exists"), Short),
        (api(409, "Operation cannot be fulfilled on nodes \"n\": the object has been modified"), Short),
        (api(413, "request entity too large"), Fatal),
        (api(415, ""), Fatal),
        (api(422, "Deployment.apps \"d\" is invalid: spec.selector: Required value"), Fatal),
        (
            api(
                422,
                "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"10.3.0.10\"]: failed to allocate IP 10.3.0.10: the provided network does not match the current range",
            ),
            Short,
        ),
        (api(429, "Too many requests, please try again later."), Deadline),
        (
            api(
                500,
                "failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.foo: field not declared in schema",
            ),
            Fatal,
        ),
        (
            api(
                500,
                "Internal error occurred: failed calling webhook \"w\": dial tcp 10.3.0.5:443: connect: connection refused",
            ),
            Deadline,
        ),
        (api(500, "etcdserver: leader changed"), Deadline),
        (api(500, "something odd"), Short),
        (api(502, ""), Deadline),
        (api(503, "the server is currently unable to handle the request"), Deadline),
        (api(504, "Timeout: request did not complete within the allotted timeout"), Deadline),
    ];
    for (failure, patience) in table {
        assert_eq!(want(&failure), patience, "{failure:?}");
    }
}

#[test]
fn a_conflict_names_fields_and_their_managers() {
    let cause =
        |field, message| json!({"reason": "FieldManagerConflict", "field": field, "message": message});
    let causes = [
        cause(".data.a", "conflict with \"kubectl-edit\" using v1 at 2026-01-01T00:00:00Z"),
        cause(".data.b", "conflict with \"helm\""),
    ];
    let details = details(json!({"causes": causes}));
    let status =
        Status::failure("Apply failed with 2 conflicts", "Conflict").with_code(409).with_details(details);
    let verdict = classify(&Failure::Api { status: status.boxed(), retry_after: None }, &expected());
    let reason = "conflict: .data.a is owned by manager \"kubectl-edit\", .data.b is owned by manager \"helm\" \
                  (--force-conflicts takes over)";
    assert_eq!(verdict, Verdict::Fatal { reason: reason.into() });
}

#[test]
fn the_api_says_when_to_ask_again() {
    let after = Some(Duration::from_secs(3));
    let status = Status::failure("", "TooManyRequests").with_code(429).boxed();
    let verdict = classify(&Failure::Api { status, retry_after: after }, &expected());
    let reason = "HTTP status 429 TooManyRequests".to_owned();
    assert_eq!(verdict, Verdict::Transient { reason, patience: Patience::Deadline, after });
}

#[test]
fn the_clients_own_errors_keep_the_retry_delay_of_the_body() {
    let details = details(json!({"retryAfterSeconds": 2}));
    let status = Status::failure("slow down", "").with_code(429).with_details(details).boxed();
    match Failure::from(kube::Error::Api(status)) {
        Failure::Api { retry_after, .. } => assert_eq!(retry_after, Some(Duration::from_secs(2))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn delays_grow_from_50_ms_to_2_s_and_never_end() {
    let delays: Vec<_> = backoff().build().take(100).collect();
    assert_eq!((delays.len(), delays[0], delays[99]), (100, FIRST_DELAY, LONGEST_DELAY));
    assert!(delays.is_sorted());
}

#[test]
fn impatience_starts_anew_after_a_failure_that_deserves_patience() {
    let mut since = Instant::now().checked_sub(SHORT * 2);
    assert!(is_spent(Patience::Short, SHORT, &mut since));
    assert!(!is_spent(Patience::Deadline, SHORT, &mut since));
    assert!(!is_spent(Patience::Short, SHORT, &mut since));
}

#[tokio::test]
async fn tries_again_until_it_works_and_tells_why() {
    let mut answers = [Ok("done"), Err(api(503, "busy")), Err(api(429, "later"))].to_vec();
    let mut reasons = Vec::new();
    let attempt = || std::future::ready(answers.pop().unwrap());
    let done = retrying(&Expected::default(), attempt, |reason| reasons.push(reason.to_owned())).await;
    assert_eq!(done, Ok("done"));
    assert_eq!(reasons, ["later", "busy"]);
}
