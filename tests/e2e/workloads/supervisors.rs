//! Supervisors in a StatefulSet. They ask DNS for each other before they are Ready, so the headless
//! Service must publish addresses that are not Ready. The control case has an annotation instead,
//! which Kubernetes no longer reads.

use std::collections::BTreeSet;

use lab::cluster::ASSETS;

use super::{add, know_each_other};
use crate::checks::{Checks, eventually};
use crate::page::replaced;
use crate::world::World;

const SUPERVISORS: &str = include_str!("supervisors.yaml");
const NAMESPACE: &str = "supervisors";
const PUBLISHES: &str = "  publishNotReadyAddresses: true\n";
const SERVICE: &str = "  name: habsup\n  namespace: supervisors\n";
const ANNOTATED: &str = "  name: deaf\n  namespace: supervisors\n  annotations:\n    \
    service.alpha.kubernetes.io/tolerate-unready-endpoints: \"true\"\n";
/// The one pod that the control case's StatefulSet makes: the next one waits until it is Ready.
const DEAF: &str = "deaf-0";
/// How often it has asked DNS in vain before the test believes it.
const TRIES: usize = 5;

pub fn bring(world: &World) {
    add(world, "supervisors.yaml", SUPERVISORS);
    add(world, "deaf.yaml", &deaf());
}

/// The same without the field, under another name.
fn deaf() -> String {
    let (_namespace, rest) = SUPERVISORS.split_once("---\n").unwrap();
    let other = replaced(rest, &[(SERVICE, ANNOTATED), (PUBLISHES, "")]);
    replaced(
        &other,
        &[
            ("{name: habsup,", "{name: deaf,"),
            ("app: habsup", "app: deaf"),
            ("serviceName: habsup", "serviceName: deaf"),
            ("-peer=habsup.", "-peer=deaf."),
        ],
    )
}

/// What will happen is known from the files.
pub fn foresee(world: &World, checks: &mut Checks) {
    checks.that("lint and the dry run say which supervisors will wait for themselves, and how not", || {
        let found = world.shell(&format!("bootkube lint --strict {ASSETS}; test $? = 3"));
        let of =
            |file: &str| found.lines().filter(|line| line.starts_with(&format!("manifests/{file}:"))).count();
        let is_deadlock = |line: &str| {
            line.starts_with("manifests/deaf.yaml:")
                && line.contains("readiness-deadlock")
                && line.contains("publishNotReadyAddresses: true")
        };
        assert!(found.lines().any(is_deadlock), "{found}");
        assert!(found.lines().any(|line| line.contains("ignored-annotation")), "{found}");
        assert_eq!(of("supervisors.yaml"), 0, "{found}");
        let foreseen = world.shell(&format!("bootkube start --dry-run --asset-dir {ASSETS} 2>&1"));
        assert!(foreseen.contains("publishNotReadyAddresses: true"), "{foreseen}");
    });
}

pub fn check(world: &World, checks: &mut Checks) {
    checks.that("three supervisors are Ready, and each lists three peers", || {
        let set = ["rollout", "status", "statefulset/habsup", "--timeout=120s", "--namespace", NAMESPACE];
        world.kubectl(&set);
        let pods: BTreeSet<String> = (0..3).map(|ordinal| format!("habsup-{ordinal}")).collect();
        eventually(20, || know_each_other(world, NAMESPACE, &pods));
    });
    checks.that("without publishNotReadyAddresses the first one has no name, and is not Ready", || {
        eventually(30, || has_asked_in_vain(world));
        is_stuck(world);
    });
}

/// Publishing the addresses ends it.
pub fn cure(world: &World, checks: &mut Checks) {
    checks.that("it is not Ready until its Service publishes the address", || {
        is_stuck(world);
        let patch = r#"{"spec": {"publishNotReadyAddresses": true}}"#;
        world.kubectl(&["patch", "service", "deaf", "--namespace", NAMESPACE, "--patch", patch]);
        let wait = ["wait", "pod", DEAF, "--for=condition=Ready", "--timeout=120s", "--namespace", NAMESPACE];
        world.kubectl(&wait);
    });
}

fn has_asked_in_vain(world: &World) -> Result<(), String> {
    let log = world.try_kubectl(&["logs", DEAF, "--namespace", NAMESPACE])?;
    let is_in_vain = |line: &&str| line.contains("lookup deaf.") && line.contains("no such host");
    let tries = log.lines().filter(is_in_vain);
    (tries.count() >= TRIES).then_some(()).ok_or(log)
}

/// Its container runs, its address is known and not ready, DNS has no name for it, and no other pod
/// of its StatefulSet is made.
fn is_stuck(world: &World) {
    let pods = world.get(&["pods", "--namespace", NAMESPACE, "--selector=app=deaf"]);
    let [pod] = pods["items"].as_array().unwrap().as_slice() else { panic!("{pods:#}") };
    assert!(pod["status"]["containerStatuses"][0]["state"]["running"].is_object(), "{pod:#}");
    assert_eq!(pod["status"]["containerStatuses"][0]["ready"], false);
    let slices = ["endpointslices", "--namespace", NAMESPACE, "--selector=kubernetes.io/service-name=deaf"];
    let slices = world.get(&slices);
    let endpoints = slices["items"][0]["endpoints"].as_array().unwrap();
    assert_eq!(endpoints[0]["conditions"]["ready"], false, "{endpoints:?}");
    assert_eq!(endpoints.len(), 1);
    eventually(40, || find(world, "habsup")); // CoreDNS remembers for half a minute that a name was not there
    let refused = find(world, "deaf").unwrap_err();
    assert!(refused.contains("NXDOMAIN"), "{refused}");
}

/// Looks a Service up in the pod of a supervisor.
fn find(world: &World, service: &str) -> Result<(), String> {
    let script = format!("nslookup -type=a {service}.{NAMESPACE}.svc.cluster.local >&2");
    let words = ["exec", "habsup-0", "--namespace", NAMESPACE, "--", "sh", "-c", &script];
    world.try_kubectl(&words).map(drop)
}
