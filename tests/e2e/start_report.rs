//! The report and the events of a `start`, held against each other and against what is true of
//! every pivot.

use std::fs;

use serde_json::Value;

use crate::checks::Checks;
use crate::world::{World, record};

/// Where the first controller has it.
pub const FOLDER: &str = "/srv/report";

/// Looks at report and events, which lie in [`FOLDER`].
pub fn check(world: &World, checks: &mut Checks) {
    let read = |name: &str| fs::read_to_string(world.n1().path(&format!("{FOLDER}/{name}"))).unwrap();
    let both = checks.need("start has written its report and its events", || {
        let report: Value = serde_json::from_str(&read("report.json")).unwrap();
        let events: Vec<Value> =
            read("events.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        record("start-figures", &report["figures"]);
        fs::write(lab::workspace().join("target/e2e/start-report.html"), read("report.html")).unwrap();
        (report, events)
    });
    let (report, events) = both.unwrap_or_default();
    checks.that("the phases of the report are those that the events tell", || {
        let told = |kind: &str| {
            let of_kind = events.iter().filter(|event| event["event"] == kind);
            of_kind.map(|event| event["phase"].clone()).collect::<Vec<_>>()
        };
        let phases = told("phase_started");
        assert_eq!(told("phase_finished"), phases);
        let reported = list(&report, "phases").iter().map(|phase| phase["name"].clone());
        assert_eq!(reported.collect::<Vec<_>>(), phases);
        let known = |phase: &Value| bootkube::start::usual_phases().iter().any(|known| phase == known);
        assert!(phases.iter().all(known), "--phase-timeout knows them: {phases:?}");
        assert!(phases.len() > 5 && events.last().unwrap()["event"] == "ended", "{phases:?}");
    });
    checks.that("the report shows how many listened: none, one, two, and one at the end", || {
        let counts: Vec<u64> =
            list(&report, "listeners").iter().filter_map(|l| l["count"].as_u64()).collect();
        assert!(counts.starts_with(&[0, 1]) && counts.contains(&2) && counts.ends_with(&[1]), "{counts:?}");
    });
    checks.that("the report follows the pods of the control plane from created to ready", || {
        let pods = list(&report, "pods");
        for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            let is_whole = |pod: &Value| {
                let moments = ["created", "scheduled", "running", "ready"].map(|moment| pod[moment].as_str());
                moments.iter().all(Option::is_some) && moments.is_sorted()
            };
            let its = |pod: &&Value| pod["name"].as_str().unwrap().starts_with(name);
            assert!(pods.iter().filter(its).any(is_whole), "{name}: {pods:#?}");
        }
    });
    checks.that("the report has figures of the probe, and of what was done after a change", || {
        let figures = &report["figures"];
        assert!(figures["ok_requests"].as_u64().unwrap() > 50, "{figures}");
        assert!(list(&report, "transitions").len() >= 3, "{report:#}");
        assert!(figures["transition_overhead_ms"].as_f64().unwrap() < 1000.0, "{figures}");
        let refused = list(&report, "objects").iter().find(|object| object["outcome"] == "failed").unwrap();
        assert_eq!(refused["object"], "Deployment default/refused");
    });
    checks.that("the page is there", || assert!(read("report.html").contains("runs itself on n1")));
}

fn list<'a>(report: &'a Value, field: &str) -> &'a [Value] {
    report[field].as_array().map(Vec::as_slice).unwrap_or_default()
}
