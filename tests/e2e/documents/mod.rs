//! The documents' commands on a machine: the README's quick start on a bare one, which is then
//! switched off and on, and after it what the other pages say to type on a running cluster.

mod machine;
mod pages;
mod reader;

use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use self::reader::Reader;
use crate::checks::{Checks, eventually};
use crate::kube::{WORKLOADS, condition};
use crate::page::{command, replaced, says, scripts};
use crate::power::Outage;
use crate::world::{World, record};

const README: (&str, &str) = ("README.md", "Quick start on a real machine");
/// In the README, the address of the machine.
const ADDRESS: &str = "192.0.2.10";
/// The last line of its cluster.yaml.
const LAST_FIELD: &str = "etcd: {mode: staticPod}\n";
/// Longest time until a machine that shuts down is off: kubelet may wait for 45 s.
const SHUTDOWN: f64 = 60.0;

#[test]
fn what_the_documents_say_to_type_works() {
    let world = machine::bare("e2e-documents");
    let mut checks = Checks::default();
    quick_start(&world, &mut checks);
    checks.that("the machine comes back from a reboot by itself", || reboots(&world));
    checks.that("it comes back from a power cut by itself", || {
        let cut = Timestamp::now();
        world.n1().reboot().unwrap();
        is_back(&world, cut);
    });
    pages::all(&world, &mut checks);
    checks.finish();
}

fn quick_start(world: &World, checks: &mut Checks) {
    let [prepare, render, join, start] = scripts("README.md", "Quick start on a real machine");
    let mut reader = Reader::at(&world.n1(), "/root");
    checks.need("README: the machine is prepared, now and for the next boot", || {
        reader.types(&prepare);
        is_prepared(&mut reader);
    });
    checks.need("README: a cluster is rendered from a file of four lines", || {
        let ip = world.n1().ip().to_string();
        let fields = format!("{LAST_FIELD}{}", machine::fields());
        reader.types(&replaced(&render, &[(ADDRESS, &ip), (LAST_FIELD, &fields)]));
        for beginning in ["bootkube config defaults", "bootkube config validate"] {
            reader.types(&command(README.0, README.1, beginning));
        }
    });
    checks.need("README: kubelet runs, and preflight finds the machine ready", || {
        reader.types(&join);
        pages::is_ready(world);
    });
    checks.need("README: start ends with a Ready node and a control plane of pods", || {
        says(README.0, README.1, "The node is Ready, and the control plane is pods of `kube-system`.");
        shows_cluster(&reader.types(&start));
    });
}

fn is_prepared(reader: &mut Reader) {
    assert_eq!(reader.types("sysctl -n net.ipv4.ip_forward"), "1\n");
    assert_eq!(reader.types("swapon --show; grep -c '^[^#].*swap' /etc/fstab || true"), "0\n");
    assert!(reader.types("ctr -n k8s.io images list -q").contains("/bootkube:v"));
    assert!(reader.types("containerd config dump").contains("SystemdCgroup = true"));
}

/// What `kubectl get nodes,pods -A` printed.
fn shows_cluster(printed: &str) {
    let has = |beginning: &str, state: &str| {
        let is_so =
            |line: &str| line.contains(beginning) && line.split_whitespace().any(|word| word == state);
        assert!(printed.lines().any(is_so), "no {beginning} is {state}:\n{printed}");
    };
    has("node/n1 ", "Ready");
    WORKLOADS.iter().for_each(|(_, name)| has(&format!("pod/{name}-"), "Running"));
}

/// A shutdown as a user has it, in which systemd and kubelet end everything in their order.
fn reboots(world: &World) {
    let (cut, begun) = (Timestamp::now(), Instant::now());
    world.n1().shut_down().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    record("documents-shutdown", &json!({"seconds": seconds}));
    world.n1().power_on().unwrap();
    is_back(world, cut);
    assert!(seconds <= SHUTDOWN, "the machine was off only after {seconds:.0} s");
}

/// The node is Ready, and every pod of the control plane was started after `off`.
fn is_back(world: &World, off: Timestamp) {
    eventually(90, || world.answers());
    Outage::over(off).end(world);
    eventually(30, || {
        let node = world.get(&["node", "n1"]);
        condition(&node, "Ready").then_some(()).ok_or("the node is not Ready".into())
    });
}
