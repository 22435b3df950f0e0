//! How fast the API of a machine is back after a boot, compared with a plain static pod; and leases
//! and conditions that are ten minutes old.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use lab::cluster::ASSETS;
use serde_json::{Value, json};

use crate::power::Outage;
use crate::world::{World, record};

/// Boots of each kind, in turns.
const ROUNDS: usize = 3;
const OWN: &str = "kube-system-pod-checkpointer.json";
/// Seconds from the start of kubelet, by the kernel's clock, until its apiserver is ready.
const MEASURE: &str = "
    until curl --silent --insecure --max-time 1 https://127.0.0.1:6443/readyz | grep -qx ok; do sleep 0.05; done
    now=$(cut -d ' ' -f 1 /proc/uptime)
    began=$(sed 's/.*) //' /proc/$(pidof kubelet)/stat | cut -d ' ' -f 20)
    awk \"BEGIN { print $now - $began / $(getconf CLK_TCK) }\"";

#[test]
#[ignore = "takes minutes: make soak"]
fn the_api_is_back_nearly_as_soon_as_an_apiserver_that_is_a_plain_static_pod() {
    let world = World::alone("e2e-boot", 1, |_| json!({})).started();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let cut = Timestamp::now();
        world.n1().power_cut().unwrap();
        leave_alone(&world);
        times[0].push(boot(&world));
        world.n1().power_cut().unwrap();
        put_back(&world);
        times[1].push(boot(&world));
        Outage::over(cut).end(&world);
    }
    let [alone, with_agent] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times
    });
    let median = |times: &[f64]| times[times.len() / 2];
    let ratio = median(&with_agent) / median(&alone);
    record("boot", &json!({"alone": alone, "with agent": with_agent, "ratio": ratio}));
}

/// Switches the machine on. Returns the seconds until kubelet's apiserver is ready.
fn boot(world: &World) -> f64 {
    world.n1().power_on().unwrap();
    world.shell(MEASURE).trim().parse().unwrap()
}

/// Writes the bootstrap apiserver to the disk of a machine that is off, in place of the agent.
fn leave_alone(world: &World) {
    on_disk(
        world,
        &format!(
            "mv manifests/{OWN} /root/ && cp -r checkpoint-secrets/kube-system/kube-apiserver/*/secrets bootstrap-secrets &&
             cp {ASSETS}/bootstrap-manifests/bootstrap-apiserver.yaml manifests/"
        ),
    );
}

fn put_back(world: &World) {
    on_disk(
        world,
        &format!("rm -r manifests/bootstrap-apiserver.yaml bootstrap-secrets && mv /root/{OWN} manifests/"),
    );
}

/// Runs a script in /etc/kubernetes of a machine that is off. Absolute paths in it are the
/// machine's.
fn on_disk(world: &World, script: &str) {
    let root = world.n1().path("/");
    let script = script.replace(" /", &format!(" {}", root.display()));
    let mut shell = std::process::Command::new("sh");
    let status = shell.args(["-ec", &script]).current_dir(root.join("etc/kubernetes")).status().unwrap();
    assert!(status.success(), "{script}");
}

/// The disk of a machine that hung for ten minutes before it lost power: leaders and kubelet are
/// frozen, and their leases and conditions are old.
pub fn grow_old(world: &World) {
    world.shell(
        "systemctl kill --signal=STOP kubelet
         for one in kube-controller-manager kube-scheduler; do pkill -STOP -f \"^$one \"; done",
    );
    let then = Timestamp::now() - SignedDuration::from_mins(10);
    let renewed =
        json!({"spec": {"renewTime": then.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()}}).to_string();
    for (namespace, lease) in [
        ("kube-system", "kube-controller-manager"),
        ("kube-system", "kube-scheduler"),
        ("kube-node-lease", "n1"),
    ] {
        world.kubectl(&["-n", namespace, "patch", "lease", lease, "--type=merge", "-p", &renewed]);
    }
    let node = world.get(&["node", "n1"]);
    let heartbeat = then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let old = |condition: &Value| json!({"type": condition["type"], "lastHeartbeatTime": heartbeat});
    let conditions: Vec<_> = node["status"]["conditions"].as_array().unwrap().iter().map(old).collect();
    let status = json!({"status": {"conditions": conditions}}).to_string();
    world.kubectl(&["patch", "node", "n1", "--subresource=status", "-p", &status]);
    std::thread::sleep(Duration::from_millis(500)); // a renewal that was under way would show
    let lease = world.get(&["lease", "kube-scheduler", "-n", "kube-system"]);
    let renewed: Timestamp = lease["spec"]["renewTime"].as_str().unwrap().parse().unwrap();
    assert!(renewed <= then, "{lease:#}");
}
