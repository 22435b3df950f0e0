//! `start --dry-run` and the run that follows name the same acts. One machine: a first start
//! after an interrupted one of other assets, a second one, changed assets, and a changed etcd.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::cluster::ASSETS;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::checks::{Checks, eventually};
use crate::running::{Moment, Running};
use crate::world::World;

const EVENTS: &str = "/run/dry-run-events.jsonl";
/// The phase that removes what an interrupted start of other assets placed.
const ORPHANS: &str = "remove bootstrap pods of earlier assets";
/// A webhook for every pod, behind which nothing runs: no pod can be created once the API has it.
const BLOCKS_PODS: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: blocks-pods}
webhooks:
  - name: blocks-pods.example.com
    clientConfig: {service: {name: absent, namespace: default}}
    rules: [{apiGroups: [''], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
    failurePolicy: Fail
    sideEffects: None
    admissionReviewVersions: [v1]
";
const ADMISSION: &str = "apply webhooks and API services";
/// Phase, word and what it is done to.
type Acts = BTreeSet<(String, String, String)>;

#[test]
fn a_dry_run_foresees_exactly_the_acts_of_the_run_that_follows() {
    let world = World::up("e2e-dry-run", 1, |_| json!({}));
    world.render_and_join();
    eventually(30, || is_ready(&world));
    let mut checks = Checks::default();
    interrupt(&world);
    world.n1().write(&format!("{ASSETS}/manifests/blocks-pods.yaml"), BLOCKS_PODS.as_bytes(), 0o600).unwrap();
    checks.need("a first start, after one that was interrupted with other assets", || {
        assert!(foreseen(&dry_run(&world)).iter().any(|(phase, ..)| phase == ORPHANS));
        let done = same(&world, &["write", "keep", "create", "remove", "steer", "release"]);
        let webhook = "ValidatingWebhookConfiguration blocks-pods".to_owned();
        assert!(done.contains(&(ADMISSION.to_owned(), "create".to_owned(), webhook)), "{done:#?}");
    });
    world.shell(&format!("rm {ASSETS}/manifests/blocks-pods.yaml"));
    world.kubectl(&["delete", "validatingwebhookconfiguration", "blocks-pods"]);
    checks.that("a start of the same assets", || drop(same(&world, &["keep", "unchanged"])));
    world.shell(&format!(
        "printf '{{apiVersion: v1, kind: ConfigMap, metadata: {{name: dry, namespace: default}}}}' \
         > {ASSETS}/manifests/dry.yaml"
    ));
    checks.that("a start of changed assets", || drop(same(&world, &["create"])));
    world.shell(&format!("echo '# changed' >> {ASSETS}/controller-manifests/etcd.yaml"));
    checks.that("a start that replaces etcd's static pod", || drop(same(&world, &["replace"])));
    checks.finish();
}

/// Whether no check of the machine fails. Kubelet has just started, and may not be ready yet.
fn is_ready(world: &World) -> Result<(), String> {
    let acts = foreseen(&dry_run(world));
    acts.into_iter().find(|(_, act, _)| act == "fail").map_or(Ok(()), |(.., check)| Err(check))
}

/// Ends a start once the bootstrap apiserver is placed, and gives its file in the assets another name: what was placed
/// is then a bootstrap pod of earlier assets.
fn interrupt(world: &World) {
    let mut start = Running::start(world, &[]);
    assert!(start.reach(&Moment::Within("wait for the API".to_owned(), Duration::ZERO)));
    start.signal(Signal::TERM);
    assert!(!start.finish().status.success());
    world.shell(&format!(
        "cd {ASSETS}/bootstrap-manifests && mv bootstrap-apiserver.yaml renamed-apiserver.yaml"
    ));
}

fn dry_run(world: &World) -> Value {
    let said = world.shell(&format!("bootkube start --asset-dir {ASSETS} --dry-run -o json"));
    serde_json::from_str(&said).unwrap()
}

/// Compares a dry run with the run that follows, in which all of `words` must occur.
fn same(world: &World, words: &[&str]) -> Acts {
    let plan = dry_run(world);
    world.shell(&format!("bootkube start --asset-dir {ASSETS} --events {EVENTS} > /dev/null"));
    let events = String::from_utf8(world.n1().read(EVENTS).unwrap()).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (foreseen, done) = (foreseen(&plan), done(&events));
    let missed: Vec<_> = done.difference(&foreseen).collect();
    let imagined: Vec<_> = foreseen.difference(&done).collect();
    assert!(missed.is_empty() && imagined.is_empty(), "missed: {missed:#?}\nnot done: {imagined:#?}");
    for word in words {
        assert!(done.iter().any(|(_, act, _)| act == word), "{word}: {done:#?}");
    }
    let phases = |list: Vec<&Value>| list.iter().map(|one| one["phase"].clone()).collect::<Vec<_>>();
    let begun = events.iter().filter(|event| event["event"] == "phase_started").collect();
    assert_eq!(phases(plan["steps"].as_array().unwrap().iter().collect()), phases(begun));
    done
}

fn foreseen(plan: &Value) -> Acts {
    let steps = plan["steps"].as_array().unwrap().iter();
    let acts =
        steps.flat_map(|step| step["acts"].as_array().unwrap().iter().map(move |act| (&step["phase"], act)));
    acts.map(|(phase, act)| (text(phase), text(&act["act"]), text(&act["what"]))).collect()
}

fn done(events: &[Value]) -> Acts {
    let mut phase = String::new();
    let acts = events.iter().filter_map(|event| match event["event"].as_str()? {
        "phase_started" => {
            phase = text(&event["phase"]);
            None
        }
        "act" => Some((text(&event["phase"]), text(&event["act"]), text(&event["what"]))),
        "object_applied" => {
            let word = match event["outcome"].as_str()? {
                "created" => "create",
                "configured" => "change",
                "unchanged" => "unchanged",
                _ => "refuse",
            };
            Some((phase.clone(), word.to_owned(), text(&event["object"])))
        }
        _ => None,
    });
    acts.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
