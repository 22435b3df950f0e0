//! A machine whose kernel does not steer connections. The pivot and a roll complete all the same,
//! and say which requests may fail.

use std::thread;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::traffic::{self, Traffic};
use crate::world::{Started, World, record};

/// From kubelet's folder of seccomp profiles.
const PROFILE: &str = "unsteered.json";
const SOL_SOCKET: u32 = 1;
const SO_ATTACH_REUSEPORT_CBPF: u32 = 51;
const EPERM: u32 = 1;

#[test]
fn a_machine_that_does_not_steer_is_pivoted_and_rolled() {
    let world = World::alone("e2e-unsteered", 1, |_| agent_under_profile());
    let profile = profile().to_string();
    world.n1().write(&format!("/var/lib/kubelet/seccomp/{PROFILE}"), profile.as_bytes(), 0o644).unwrap();
    world.render_and_join();
    let mut checks = Checks::default();
    let traffic = Traffic::start(&world, "unsteered-pivot");
    let started = start_without_steering(&world);
    let answered = traffic.finish();
    record("unsteered-pivot", &json!({"clients": traffic::figures(&answered)}));
    checks.need("start succeeds", || started.must_succeed());
    checks.that("start says that a few requests may fail", || {
        let said = [started.output.stdout.as_slice(), &started.output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("does not steer connections"), "{said}");
    });
    checks.that("no client waits for more than five seconds", || {
        for answered in &answered {
            assert!(answered.summary.ok >= 20 && answered.summary.longest_gap <= 5.0, "{}", answered.client);
        }
    });
    checks.that("a roll ends with the new pod alone, and announces its gap", || roll(&world));
    checks.finish();
}

fn roll(world: &World) {
    let patch =
        json!({"spec": {"template": {"metadata": {"annotations": {"example.org/roll": "unsteered"}}}}});
    let before = world.pods_of("DaemonSet/kube-apiserver").remove(0).name;
    world.kubectl(&["-n", "kube-system", "patch", "daemonset/kube-apiserver", "-p", &patch.to_string()]);
    eventually(120, || {
        let output = world.n1().exec(&["kubectl", "-n", "kube-system", "get", "pods", "-o", "json"]).unwrap();
        let pods: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let apiservers: Vec<_> = pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|pod| pod["metadata"]["labels"]["k8s-app"] == "kube-apiserver")
            .collect();
        match apiservers[..] {
            [pod] if pod["metadata"]["name"] != before.as_str() => announced(pod),
            _ => Err(format!("{} pods", apiservers.len())),
        }
    });
}

/// The gate is open, and the message of its condition says that requests may fail.
fn announced(pod: &Value) -> Result<(), String> {
    let conditions = pod["status"]["conditions"].as_array().ok_or("no conditions")?;
    let gate =
        conditions.iter().find(|condition| condition["type"] == "bootkube.dev/serving").ok_or("no gate")?;
    let message = gate["message"].as_str().unwrap_or_default();
    let is_told = gate["status"] == "True" && message.contains("requests may fail in this roll");
    is_told.then_some(()).ok_or(gate.to_string())
}

/// The agent's `setsockopt` fails where it would attach a program.
fn agent_under_profile() -> Value {
    let security = json!({"seccompProfile": {"type": "Localhost", "localhostProfile": PROFILE}});
    let patch = json!({"spec": {"template": {"spec": {"securityContext": security}}}});
    json!({"components": {"pod-checkpointer": {"patches": [{"kind": "DaemonSet", "type": "strategic", "patch": patch}]}}})
}

fn profile() -> Value {
    let is = |index: u32, value: u32| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{
            "names": ["setsockopt"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": EPERM,
            "args": [is(1, SOL_SOCKET), is(2, SO_ATTACH_REUSEPORT_CBPF)],
        }],
    })
}

/// `start`, in a thread whose children are refused the same call.
fn start_without_steering(world: &World) -> Started {
    let start = || {
        seccompiler::apply_filter(&filter()).unwrap();
        world.start()
    };
    thread::scope(|scope| scope.spawn(start).join().unwrap())
}

fn filter() -> BpfProgram {
    const SETSOCKOPT: i64 = if cfg!(target_arch = "aarch64") { 208 } else { 54 };
    let is = |argument, value: u32| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into()).unwrap()
    };
    let rule = SeccompRule::new(vec![is(1, SOL_SOCKET), is(2, SO_ATTACH_REUSEPORT_CBPF)]).unwrap();
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let rules = [(SETSOCKOPT, vec![rule])].into();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM), architecture);
    filter.unwrap().try_into().unwrap()
}
