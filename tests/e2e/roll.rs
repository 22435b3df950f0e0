//! The control plane is changed like any other workload: with kubectl.

use serde_json::json;

use crate::checks::{Checks, eventually};
use crate::kube::Pod;
use crate::traffic::{self, Traffic};
use crate::world::{World, record};

/// A flag that no manifest has.
const FLAG: &str = "--v=3";

/// Changes a flag of the scheduler and one of the apiserver.
pub fn check(world: &World, checks: &mut Checks) {
    checks.that("a flag of the scheduler is changed with kubectl, and it schedules", || {
        change(world, "deployment/kube-scheduler");
        world.rolled_out("deployment/kube-scheduler");
        only_pod_has_the_flag(world, "Deployment/kube-scheduler");
        world.kubectl(&["delete", "pod", "-l", "app=web", "--wait=false"]);
        world.kubectl(&["rollout", "status", "--timeout=60s", "deployment/web"]);
    });
    checks.that("a flag of the apiserver is changed with kubectl, and the API answers", || {
        let traffic = Traffic::start(world, "roll");
        change(world, "daemonset/kube-apiserver");
        // The only apiserver may be away for a moment, and a watch with it.
        eventually(120, || {
            let pods = world.n1().exec(&ROLLED_OUT).unwrap();
            pods.status.success().then_some(()).ok_or(String::from_utf8_lossy(&pods.stderr).into_owned())
        });
        only_pod_has_the_flag(world, "DaemonSet/kube-apiserver");
        record("apiserver-roll", &json!({"clients": traffic::figures(&traffic.finish())}));
        assert_eq!(world.kubectl(&["get", "--raw", "/readyz"]), "ok");
    });
}

const ROLLED_OUT: [&str; 7] =
    ["kubectl", "-n", "kube-system", "rollout", "status", "--timeout=60s", "daemonset/kube-apiserver"];

fn change(world: &World, workload: &str) {
    let patch = json!([{"op": "add", "path": "/spec/template/spec/containers/0/command/-", "value": FLAG}]);
    world.kubectl(&["-n", "kube-system", "patch", workload, "--type=json", "-p", &patch.to_string()]);
}

/// The older pod may need its grace period to end.
fn only_pod_has_the_flag(world: &World, workload: &str) {
    eventually(40, || match world.pods_of(workload).as_slice() {
        [Pod { ready: true, words, .. }] if words.iter().any(|word| word == FLAG) => Ok(()),
        pods => Err(format!("{pods:#?}")),
    });
}
