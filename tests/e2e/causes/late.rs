//! Causes that exist only while the API does.

use k8s_openapi::jiff::Timestamp;
use lab::cluster::{ASSETS, MAY_RESTART_KUBELET};
use serde_json::Value;

use super::{EVENTS, FLAWED, Told, blocked_late, flawed, time_of};
use crate::checks::Checks;
use crate::world::World;

/// Causes that exist only while the API does. The bootstrap control plane stays between them.
pub(super) fn seen_late(world: &World, checks: &mut Checks, told: &mut Told) {
    checks.that("kubelet's certificate request that is never approved is named, and the cure helps", || {
        flawed(world, "rm manifests/csr-approver-role-binding.yaml");
        let request = || world.get(&["csr"])["items"][0].clone();
        let made = || time_of(&request()["metadata"]["creationTimestamp"]);
        let flags = ["--asset-dir", FLAWED, MAY_RESTART_KUBELET[0], MAY_RESTART_KUBELET[1]];
        told.add("request not approved", blocked_late(world, &flags, "apply objects", made));
        world.kubectl(&["certificate", "approve", request()["metadata"]["name"].as_str().unwrap()]);
        world.kubectl(&["wait", "--for=create", "node/n1", "--timeout=30s"]);
    });
    checks.that("an object that admission refuses is named, with its file and what to do", || {
        flawed(world, "true");
        world.n1().write(&format!("{FLAWED}/manifests/intruder.yaml"), INTRUDER.as_bytes(), 0o600).unwrap();
        let started =
            world.start_by(&["bootkube", "start", "--strict", "--timeout=60s", "--asset-dir", FLAWED]);
        let said = String::from_utf8_lossy(&started.output.stderr).into_owned();
        assert_eq!(started.output.status.code(), Some(1), "{said}");
        assert!(said.contains("intruder.yaml"), "{said}");
        told.add("admission refuses", said);
    });
    checks.that("a definition that is never served is named", || {
        flawed(world, "true");
        world.n1().write(&format!("{FLAWED}/manifests/toys.yaml"), TOYS.as_bytes(), 0o600).unwrap();
        let words = ["bootkube", "start", "--strict", "--asset-dir", FLAWED, "--phase-timeout"];
        let started = world.start_by(&[&words[..], &["apply-objects=240s", "--events", EVENTS]].concat());
        assert_eq!(started.output.status.code(), Some(1), "{:?}", started.output);
        let events = String::from_utf8(world.n1().read(EVENTS).unwrap()).unwrap();
        let blocked = events.lines().find(|line| line.contains("\"event\":\"blocked\""));
        let blocked = blocked.unwrap_or_else(|| panic!("nothing was in the way: {events}"));
        told.add("definition never served", blocked.to_owned());
        told.add("definition never served", String::from_utf8(started.output.stderr).unwrap());
        world.kubectl(&["delete", "crd", "--all"]);
    });
    checks.that(
        "a webhook without a backend is named with its configuration, and the cure ends that",
        || {
            told.add("webhook without backend", webhook(world));
        },
    );
    let phase = "wait for the self-hosted control plane";
    checks.that("a program that ends again and again is named with its last lines", || {
        flawed(world, NONSENSE);
        let flags = ["--asset-dir", FLAWED, MAY_RESTART_KUBELET[0], MAY_RESTART_KUBELET[1]];
        told.add("crash loop", blocked_late(world, &flags, phase, || first_crash(world)));
    });
    checks.that("labels that no node has are named", || {
        let selector = "sed -i 's,node-role.kubernetes.io/control-plane: \"\",example.test/none: \"yes\",' manifests/kube-scheduler.yaml";
        flawed(world, &format!("{selector} && grep -q example.test/none manifests/kube-scheduler.yaml"));
        let said = blocked_late(world, &["--asset-dir", FLAWED], phase, || unscheduled(world));
        told.add("wrong node label", said);
    });
    checks.need("with every cause gone the same command succeeds", || world.start().must_succeed());
    checks.that(
        "a program that ends beside an older one, which answers its probe, is named all the same",
        || {
            flawed(world, NONSENSE);
            let said = blocked_late(world, &["--asset-dir", FLAWED], phase, || first_crash(world));
            told.add("crash loop", said);
            world.start().must_succeed();
        },
    );
    checks.that("a Node that was deleted is named, and kubelet brings it back when it is restarted", || {
        world.kubectl(&["delete", "node", "n1"]);
        let deleted = Timestamp::now();
        let said = blocked_late(world, &["--asset-dir", ASSETS], "apply objects", || deleted);
        assert!(
            said.contains("do: run systemctl restart kubelet")
                || said.contains("do:  run systemctl restart kubelet"),
            "{said}"
        );
        told.add("Node deleted", said);
        world.start().must_succeed(); // may restart kubelet, and does
    });
}

const NONSENSE: &str = "sed -i 's,- kube-controller-manager$,- kube-controller-manager\\n        - --nonsense,' \
    manifests/kube-controller-manager.yaml && grep -q nonsense manifests/kube-controller-manager.yaml";

/// Pods of the control plane, by their label.
fn pods(world: &World, app: &str) -> Vec<Value> {
    let pods = world.get(&["pods", "-n", "kube-system", "-l", &format!("k8s-app={app}")]);
    pods["items"].as_array().unwrap().clone()
}

/// When kubelet started the newest controller manager with a wrong flag, which ends at once.
fn first_crash(world: &World) -> Timestamp {
    let mut pods = pods(world, "kube-controller-manager");
    pods.retain(|pod| pod["spec"]["containers"][0]["command"].to_string().contains("--nonsense"));
    let newest = pods.iter().max_by_key(|pod| time_of(&pod["metadata"]["creationTimestamp"])).unwrap();
    let about =
        format!("reason=Started,involvedObject.name={}", newest["metadata"]["name"].as_str().unwrap());
    let events = world.get(&["events", "-n", "kube-system", "--field-selector", &about]);
    time_of(&events["items"][0]["firstTimestamp"])
}

/// When the scheduler first found no node for a scheduler.
fn unscheduled(world: &World) -> Timestamp {
    let pods = pods(world, "kube-scheduler");
    let conditions = pods.iter().filter_map(|pod| pod["status"]["conditions"].as_array()).flatten();
    let is_it = |condition: &&Value| condition["type"] == "PodScheduled" && condition["status"] == "False";
    let found = conditions.clone().find(is_it).unwrap_or_else(|| panic!("every one has a node: {pods:#?}"));
    time_of(&found["lastTransitionTime"])
}

/// The message of a `start` that a webhook keeps from applying an object. The command in it ends that.
fn webhook(world: &World) -> String {
    world.apply(WEBHOOK);
    flawed(world, "true");
    world.n1().write(&format!("{FLAWED}/manifests/limits.yaml"), LIMITS.as_bytes(), 0o600).unwrap();
    let words =
        ["bootkube", "start", "--strict", "--asset-dir", FLAWED, "--phase-timeout", "apply-objects=24s"];
    let started = world.start_by(&[&words[..], &["--events", EVENTS]].concat());
    assert_eq!(started.output.status.code(), Some(1), "{:?}", started.output);
    let events = String::from_utf8(world.n1().read(EVENTS).unwrap()).unwrap();
    let blocked = events.lines().find(|line| line.contains("\"event\":\"blocked\""));
    let blocked = blocked.unwrap_or_else(|| panic!("nothing was in the way: {events}")).to_owned();
    let (_, command) = blocked.split_once("if its backend is gone: kubectl ").unwrap();
    let command: Vec<&str> = command.split(')').next().unwrap().split_whitespace().collect();
    world.kubectl(&command);
    world.kubectl(&["apply", "-f", &format!("{FLAWED}/manifests/limits.yaml")]);
    world.kubectl(&["delete", "limitrange", "limits"]);
    blocked
}

/// A webhook for a kind of which a cluster has no other object. Its Service does not exist.
const WEBHOOK: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: policy}
webhooks:
- name: limits.policy.test
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  clientConfig: {service: {name: gone, namespace: default, path: /}}
  rules:
  - {apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [limitranges]}
";

const LIMITS: &str = "
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: default}
spec: {limits: [{type: Container, default: {memory: 64Mi}}]}
";

/// A Pod that admission refuses in its namespace.
const INTRUDER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: guarded, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Pod
metadata: {name: intruder, namespace: guarded}
spec: {hostNetwork: true, containers: [{name: c, image: none}]}
";

/// Two definitions of one kind in one group: the second is never served.
const TOYS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: toys.example.test}
spec:
  group: example.test
  scope: Cluster
  names: {kind: Toy, plural: toys}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: playthings.example.test}
spec:
  group: example.test
  scope: Cluster
  names: {kind: Toy, plural: playthings}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
";
