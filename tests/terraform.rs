//! `render --output json`, as Terraform's external data source calls it: a JSON object of texts in,
//! one out, nothing else.
//!
//! https://registry.terraform.io/providers/hashicorp/external/latest/docs/data-sources/external
//! says what must hold.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test, with its place")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::{bootkube, contents, render};
use tempfile::TempDir;

const ONE_MACHINE: &str = "apiVersion: bootkube.dev/v1alpha1\nkind: ClusterConfig\n\
    apiServers: ['https://192.0.2.10:6443']\netcd: {mode: staticPod}\nbootstrapToken: {expiry: 1h}\n";

type Map = BTreeMap<String, String>;

/// Runs bootkube with `query` on stdin.
fn ask(arguments: &[&str], query: &Value) -> Output {
    let folder = TempDir::new().unwrap();
    bootkube(folder.path(), &[&["render", "--output=json"], arguments].concat(), &query.to_string())
}

/// The answer. It is read as Terraform does: anything but a map of texts fails.
fn answer(output: &Output) -> Map {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A query with a configuration and everything that was answered before.
fn with_earlier(earlier: &Map) -> Value {
    let mut query = json!(earlier);
    query["config"] = ONE_MACHINE.into();
    query
}

#[test]
fn the_answer_given_back_gives_the_same_bytes() {
    let first = ask(&[], &json!({"config": ONE_MACHINE}));
    let earlier = answer(&first);
    assert!(
        earlier.contains_key("controller-manifests/etcd.yaml") && earlier.contains_key("tls/etcd/server.key")
    );
    let second = ask(&[], &with_earlier(&earlier));
    assert_eq!(answer(&second), earlier);
    assert!(first.stdout == second.stdout);
}

#[test]
fn a_directory_is_reused_to_the_byte_and_answered_as_it_is() {
    let folder = TempDir::new().unwrap();
    render(folder.path(), "etcd: {mode: staticPod}");
    let reuse = || {
        let arguments = ["render", "--output=json", "--config=cluster.yaml", "--reuse-from=assets"];
        bootkube(folder.path(), &arguments, "{}")
    };
    let first = reuse();
    assert!(first.stdout == reuse().stdout);
    let mut files = contents(&folder.path().join("assets"));
    files.remove("bootkube.json").unwrap(); // tells a directory that is ours; there is none here
    assert_eq!(answer(&first), text(files));
}

fn text(files: BTreeMap<String, Vec<u8>>) -> Map {
    files.into_iter().map(|(path, content)| (path, String::from_utf8(content).unwrap())).collect()
}

#[test]
fn a_directory_that_holds_no_render_is_refused_rather_than_replaced_by_a_new_cluster() {
    let empty = TempDir::new().unwrap();
    for dir in [empty.path().join("missing"), empty.path().to_owned()] {
        let output = ask(&[&format!("--reuse-from={}", dir.display())], &json!({"config": ONE_MACHINE}));
        assert_eq!(output.status.code(), Some(3), "{}", dir.display());
        let said = said(&output);
        assert!(output.stdout.is_empty() && said.contains("--reuse-from"), "{said}");
        assert!(said.contains(&dir.display().to_string()), "{said}");
    }
}

/// Fails if `said` holds a line of a private key, or the secret of the token.
fn has_no_secret_of(answer: &Map, said: &str) {
    let keys = answer.iter().filter(|(path, _)| path.ends_with(".key"));
    let lines = keys.flat_map(|(_, pem)| pem.lines().filter(|line| !line.starts_with("-----")));
    let token = answer["manifests/kubelet-bootstrap-token.yaml"].lines();
    let token = token.filter_map(|line| line.trim().strip_prefix("token-secret: "));
    let secrets: Vec<&str> = lines.chain(token).collect();
    assert!(secrets.len() > 20);
    for secret in secrets {
        assert!(!said.contains(secret.trim_matches('"')), "{said}");
    }
}

#[test]
fn messages_and_logs_hold_no_secret() {
    let output = ask(&["--verbose"], &json!({"config": ONE_MACHINE}));
    let earlier = answer(&output);
    has_no_secret_of(&earlier, &said(&output));
    let mut damaged = with_earlier(&earlier);
    let key = earlier["tls/ca.key"].replace("-----END", "----END");
    damaged["tls/ca.key"] = key.into();
    damaged["tls/apiserver.key"] = earlier["tls/admin.key"].clone().into();
    damaged["manifests/kubelet-bootstrap-token.yaml"] =
        earlier["manifests/kubelet-bootstrap-token.yaml"].replace("token-id:", "token-id").into();
    for field in ["tls/ca.key", "manifests/kubelet-bootstrap-token.yaml"] {
        let mut query = with_earlier(&earlier);
        query[field] = damaged[field].clone();
        let output = ask(&["--verbose"], &query);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(output.stdout.is_empty() && said(&output).contains(field), "{}", said(&output));
        has_no_secret_of(&earlier, &said(&output));
    }
}

#[test]
fn a_wrong_configuration_fails_without_an_answer() {
    let wrong = ONE_MACHINE.replace("apiServers", "apiServer");
    let output = ask(&[], &json!({"config": wrong}));
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    assert!(said(&output).contains("did you mean `apiServers`?"), "{}", said(&output));
}

#[test]
fn a_new_api_name_renews_one_certificate_and_keeps_the_rest() {
    let earlier = answer(&ask(&[], &json!({"config": ONE_MACHINE})));
    let mut query = with_earlier(&earlier);
    query["config"] = format!("{ONE_MACHINE}apiServerAltNames: [api.example.test]\n").into();
    let output = ask(&[], &query);
    let now = answer(&output);
    let of_tls = |path: &&String| Path::new(path).starts_with("tls");
    let changed: Vec<&String> = now
        .iter()
        .filter(|(path, text)| earlier[*path] != **text)
        .map(|(path, _)| path)
        .filter(of_tls)
        .collect();
    assert_eq!(changed, ["tls/apiserver.crt"]);
    let said = said(&output);
    assert!(said.contains("\napiserver.crt: renewed: it lacked api.example.test\n"), "{said}");
    assert!(
        said.contains("bootstrap token: kept: valid until ") && said.matches("renewed").count() == 1,
        "{said}"
    );
}
