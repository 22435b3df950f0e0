//! An operator in one file with its definition and its resources, which come first in it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{add, know_each_other};
use crate::checks::{Checks, eventually};
use crate::world::World;

const OPERATOR: &str = include_str!("operator.yaml");
const NAMESPACE: &str = "habitat";
/// In every instance, the file that has the address of one of them.
const PEER: &str = "/habitat-operator/peer-ip";
/// Secret, key, path in every instance, content as brought.
const FILES: [(&str, &str, &str, &str); 4] = [
    ("ring-1", "ring-key", "/hab/cache/keys/ring-1.sym.key", "SYM-SEC-1\nring-1\n"),
    ("db-config", "user.toml", "/hab/user/redis/config/user.toml", "tcp-backlog = 128\n"),
    ("db-files", "motd", "/hab/svc/redis/files/motd", "welcome\n"),
    ("db-files", "tls.pem", "/hab/svc/redis/files/tls.pem", "none\n"),
];

pub fn bring(world: &World) {
    add(world, "operator.yaml", OPERATOR);
}

pub fn check(world: &World, checks: &mut Checks) {
    checks.need("the operator makes a Deployment of its resource", || {
        eventually(60, || has_instances(world, 3));
        let made = world.get(&["deployment", "db", "--namespace", NAMESPACE]);
        let owner = &made["metadata"]["ownerReferences"][0];
        assert_eq!((&owner["kind"], &owner["name"]), (&"Habitat".into(), &"db".into()));
    });
    checks.that("its instances find each other by the address in the ConfigMap", || {
        eventually(30, || know_each_other(world, NAMESPACE, &names(&live(world))));
    });
    checks.that("the ring's key, user.toml and files are at their paths in every instance", || {
        eventually(30, || FILES.iter().try_for_each(|(.., path, content)| everywhere(world, path, content)));
    });
}

pub fn change(world: &World, checks: &mut Checks) {
    checks.that("the ConfigMap follows a live pod when the one in it is deleted", || {
        let address = peer(world);
        let pod = live(world).into_iter().find(|pod| pod["status"]["podIP"] == *address).unwrap();
        let name = pod["metadata"]["name"].as_str().unwrap();
        world.kubectl(&["delete", "pod", name, "--wait=false", "--namespace", NAMESPACE]);
        eventually(30, || {
            let now = peer(world);
            let is_live = now != address && live(world).iter().any(|pod| pod["status"]["podIP"] == *now);
            is_live.then_some(()).ok_or(format!("it has {now}, and had {address}"))
        });
        eventually(60, || has_instances(world, 3));
        eventually(60, || everywhere(world, PEER, &peer(world)));
        eventually(60, || know_each_other(world, NAMESPACE, &names(&live(world))));
    });
    checks.that("a changed Secret reaches every instance", || {
        for (secret, key, _, content) in FILES {
            let patch = serde_json::json!({"stringData": {key: format!("changed {content}")}}).to_string();
            world.kubectl(&["patch", "secret", secret, "--namespace", NAMESPACE, "--patch", &patch]);
        }
        let is_changed =
            |(.., path, content): &(_, _, &str, &str)| everywhere(world, path, &format!("changed {content}"));
        eventually(60, || FILES.iter().try_for_each(is_changed));
    });
    checks.that("a changed resource changes its Deployment", || {
        let patch = r#"[{"op": "replace", "path": "/spec/count", "value": 2}]"#;
        world.kubectl(&["patch", "habitat", "db", "--namespace", NAMESPACE, "--type=json", "--patch", patch]);
        eventually(30, || has_instances(world, 2));
    });
}

/// So many instances are Ready, and no other one is there.
fn has_instances(world: &World, count: usize) -> Result<(), String> {
    let deployment =
        world.try_kubectl(&["get", "deployment", "db", "--namespace", NAMESPACE, "-o", "json"])?;
    let deployment: Value = serde_json::from_str(&deployment).map_err(|error| error.to_string())?;
    let is_ready = deployment["status"]["readyReplicas"] == count && instances(world).len() == count;
    is_ready.then_some(()).ok_or_else(|| format!("{:#}", deployment["status"]))
}

fn instances(world: &World) -> Vec<Value> {
    let pods = world.get(&["pods", "--namespace", NAMESPACE, "--selector=habitat.sh/name=db"]);
    pods["items"].as_array().unwrap().clone()
}

/// Those that run, and do not terminate.
fn live(world: &World) -> Vec<Value> {
    let is_live =
        |pod: &Value| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
    instances(world).into_iter().filter(is_live).collect()
}

fn names(pods: &[Value]) -> BTreeSet<String> {
    pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn peer(world: &World) -> String {
    let map = world.get(&["configmap", "peer-watch-file", "--namespace", NAMESPACE]);
    map["data"]["peer-ip"].as_str().unwrap().to_owned()
}

/// Every instance has a file with this content.
fn everywhere(world: &World, path: &str, content: &str) -> Result<(), String> {
    for pod in names(&live(world)) {
        let found = world.try_kubectl(&["exec", &pod, "--namespace", NAMESPACE, "--", "cat", path])?;
        if found != content {
            return Err(format!("{pod} has in {path}: {found}"));
        }
    }
    Ok(())
}
