//! What people bring, applied by the same start as the control plane: supervisors that find each
//! other by DNS, an operator with its resources, and what Helm makes of a chart.

mod chart;
mod operator;
mod supervisors;

use std::collections::BTreeSet;

use lab::cluster::ASSETS;
use serde_json::{Value, json};

use crate::checks::Checks;
use crate::world::World;

const EVENTS: &str = "/run/workloads-events.jsonl";

#[test]
fn supervisors_an_operator_and_a_chart_run_after_one_start() {
    let world = World::up("e2e-workloads", 1, |_| json!({}));
    world.import(&["habsup", "operator"]);
    world.install(&["helm"]);
    world.render_and_join();
    supervisors::bring(&world);
    operator::bring(&world);
    let mut checks = Checks::default();
    checks.need("docs/workloads.md: Helm renders a chart into the assets", || chart::bring(&world));
    supervisors::foresee(&world, &mut checks);
    checks.need("one start applies everything", || world.start().must_succeed());
    supervisors::check(&world, &mut checks);
    operator::check(&world, &mut checks);
    chart::check(&world, &mut checks);
    checks.that("another start changes nothing", || {
        // The API writes an object anew when it is applied for the second time, though nothing in it differs.
        for _ in 0..2 {
            world.shell(&format!("bootkube start --asset-dir {ASSETS} --events {EVENTS} > /dev/null"));
        }
        assert_eq!(changes(&world), [] as [&str; 0]);
    });
    chart::change(&world, &mut checks);
    operator::change(&world, &mut checks);
    supervisors::cure(&world, &mut checks);
    checks.finish();
}

/// Puts a file into the folder whose objects `start` applies.
fn add(world: &World, name: &str, content: &str) {
    world.n1().write(&format!("{ASSETS}/manifests/{name}"), content.as_bytes(), 0o600).unwrap();
}

/// What became of each object that the last start did not leave as it was.
fn changes(world: &World) -> Vec<String> {
    let events = String::from_utf8(world.n1().read(EVENTS).unwrap()).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let applied = events.filter(|event| event["event"] == "object_applied");
    applied
        .filter(|event| event["outcome"] != "unchanged")
        .map(|event| format!("{}: {}", event["object"], event["outcome"]))
        .collect()
}

/// The names that a supervisor's API lists.
fn census(world: &World, namespace: &str, pod: &str) -> Result<BTreeSet<String>, String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:9631/proxy/census");
    let answer = world.try_kubectl(&["get", "--raw", &path])?;
    let members: Vec<Value> = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
    Ok(members.iter().map(|member| member["name"].as_str().unwrap().to_owned()).collect())
}

/// Every one of `pods` lists them all, and nothing else.
fn know_each_other(world: &World, namespace: &str, pods: &BTreeSet<String>) -> Result<(), String> {
    for pod in pods {
        let known = census(world, namespace, pod)?;
        if known != *pods {
            return Err(format!("{pod} lists {known:?}"));
        }
    }
    Ok(())
}
