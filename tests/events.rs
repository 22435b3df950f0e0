//! Events and reports as programs meet them: lines that stand for themselves, documented, whatever the exit code.
//!
//! Tier: no cluster, no root, seconds.
#![allow(clippy::unwrap_used)] // helpers of tests fail like tests

#[path = "support/command.rs"]
mod command;
#[path = "report/events.rs"]
mod events;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use bootkube::report::{Blocker, Outcome, Story};
use bootkube::ui::{Event, EventLines, Output as _, Stamped};
use command::bootkube;
use serde_json::Value;
use tempfile::TempDir;

fn lines(text: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(text).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);
impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a reader of the file reads.
fn written(stamped: &[Stamped]) -> Vec<Value> {
    let memory = Memory::default();
    let output = EventLines::to(memory.clone());
    stamped.iter().for_each(|stamped| output.receive(stamped));
    let text = memory.0.lock().unwrap().clone();
    lines(&text)
}

/// A row of the phase table: name, start, duration, outcome, the last thing waited for, and what was in the way at the end.
type Row = (String, f64, f64, Outcome, Option<String>, Option<[String; 3]>);

/// The phase table, made from nothing but the lines.
fn rebuilt(lines: &[Value]) -> Vec<Row> {
    let mut table: Vec<Row> = Vec::new();
    for line in lines {
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        let at = line["elapsed_ms"].as_f64().unwrap();
        match (line["event"].as_str().unwrap(), table.last_mut()) {
            ("phase_started", _) => table.push((text("phase"), at, 0.0, Outcome::CutOff, None, None)),
            ("waiting", Some(row)) => row.4 = Some(text("on")),
            ("blocked", Some(row)) => row.5 = Some([text("what"), text("why"), text("do")]),
            ("unblocked", Some(row)) => row.5 = None,
            ("phase_finished", Some(row)) => {
                (row.2, row.3) = (line["took_ms"].as_f64().unwrap(), Outcome::Done)
            }
            ("phase_failed", Some(row)) => {
                (row.2, row.3) = (line["took_ms"].as_f64().unwrap(), Outcome::Failed)
            }
            _ => {}
        }
    }
    table
}

#[test]
fn a_reader_rebuilds_the_phase_table_from_events_alone() {
    for stamped in [events::success(), events::failure()] {
        let story = Story::from_events(&stamped);
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1000.0;
        let row = |phase: &bootkube::report::Phase| {
            let waited = phase.waits.last().map(|wait| wait.on.clone());
            // One that ended with its phase was in the way until then.
            let in_the_way = |blocker: &&Blocker| blocker.start + blocker.took == phase.start + phase.took;
            let blocked = phase.blockers.last().filter(in_the_way);
            let blocked = blocked.map(|b| [&b.what, &b.why, &b.cure].map(String::clone));
            (phase.name.to_owned(), ms(phase.start), ms(phase.took), phase.outcome, waited, blocked)
        };
        let expected: Vec<Row> = story.phases.iter().map(row).collect();
        let table = rebuilt(&written(&stamped));
        assert!(expected.len() >= 2);
        assert_eq!(format!("{table:.2?}"), format!("{expected:.2?}"));
    }
}

/// Every event with every field that it can have.
fn every_event() -> Vec<Value> {
    let mut stamped: Vec<Stamped> = events::success().into_iter().chain(events::failure()).collect();
    stamped.push(Stamped { event: Event::Info("done".into()), ..stamped[0].clone() });
    let (what, reason) = ("kubelet".to_owned(), Some("systemctl restart kubelet".to_owned()));
    let act = Event::Act { phase: "apply objects", act: "restart", what, reason };
    stamped.push(Stamped { event: act, ..stamped[0].clone() });
    written(&stamped)
}

#[test]
fn every_event_and_field_is_documented_and_every_documented_event_exists() {
    let docs = include_str!("../docs/events.md");
    let section = docs.split("## Events, version 1").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<(&str, &str)> =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).collect();
    let common: BTreeSet<&str> = ["v", "time", "elapsed_ms", "event"].into();
    let mut seen = BTreeSet::new();
    for line in every_event() {
        let event = line["event"].as_str().unwrap();
        let (_, fields) = rows.iter().find(|(name, _)| *name == event).unwrap_or_else(|| panic!("{event}"));
        for field in line.as_object().unwrap().keys().filter(|field| !common.contains(field.as_str())) {
            assert!(fields.contains(&format!("`{field}`")), "{event} has {field}");
        }
        seen.insert(event.to_owned());
    }
    let documented: BTreeSet<String> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    let documented: BTreeSet<_> =
        documented.into_iter().filter(|name| !common.contains(name.as_str())).collect();
    assert_eq!(seen, documented);
}

#[test]
fn every_line_has_version_and_time() {
    for line in every_event() {
        assert_eq!(line["v"], 1);
        assert!(line["elapsed_ms"].is_f64());
        let time = line["time"].as_str().unwrap();
        assert!(time.starts_with("2026-01-02T03:") && time.ends_with('Z') && time.len() == 24, "{time}");
    }
}

#[test]
fn a_start_that_fails_tells_why_and_exits_as_it_would_without() {
    let folder = TempDir::new().unwrap();
    let args = ["start", "--asset-dir=missing", "--events=events.jsonl", "--report=report"];
    let output = bootkube(folder.path(), &args, "");
    let plain = bootkube(folder.path(), &args[..2], "");
    assert_eq!((output.status.code(), plain.status.code()), (Some(3), Some(3)));
    assert_eq!(output.stderr, plain.stderr, "the error is told as ever");
    let stamped = lines(&std::fs::read(folder.path().join("events.jsonl")).unwrap());
    assert_eq!(stamped[0]["event"], "begun");
    let last = stamped.last().unwrap();
    assert_eq!((&last["event"], &last["exit_code"]), (&"ended".into(), &3.into()));
    assert_eq!(last["error"]["class"], "configuration");
    assert!(last["error"]["message"].as_str().unwrap().contains("missing"), "{last}");
    let page = std::fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert!(page.contains("bootkube start: failed"));
}

#[test]
fn events_on_standard_output_leave_it_to_them() {
    let folder = TempDir::new().unwrap();
    let output =
        bootkube(folder.path(), &["start", "--asset-dir=missing", "--events=-", "--report=report"], "");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(lines(&output.stdout).last().unwrap()["event"], "ended");
    assert!(String::from_utf8_lossy(&output.stderr).contains("report: report/report.html"));
}

#[test]
fn an_events_file_that_cannot_be_opened_is_an_error_before_anything_is_touched() {
    let folder = TempDir::new().unwrap();
    let output = bootkube(folder.path(), &["start", "--asset-dir=assets", "--events=no/such/folder"], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("--events") && said.contains("no/such/folder"), "{said}");
}

#[test]
fn events_that_cannot_be_written_are_logged_and_the_log_can_be_json() {
    let folder = TempDir::new().unwrap();
    let args = ["--log-format=json", "start", "--asset-dir=missing", "--events=/dev/full"];
    let output = bootkube(folder.path(), &args, "");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let log: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(log.len(), 1, "once: {said}");
    assert_eq!(log[0]["level"], "WARN");
    assert!(log[0]["fields"]["message"].as_str().unwrap().contains("no more events are written"), "{said}");
}

#[test]
fn a_report_that_cannot_be_written_is_a_warning() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let output = bootkube(folder.path(), &["start", "--asset-dir=missing", "--report=file/report"], "");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("warning: no report: failed to create `file/report`"), "{said}");
}

/// What ends a command in each way, by its exit code.
#[test]
fn every_exit_code_is_one_that_is_promised_and_the_last_event_says_the_same() {
    let folder = TempDir::new().unwrap();
    let rendered = bootkube(folder.path(), &["render", "--asset-dir=assets"], "");
    assert_eq!(rendered.status.code(), Some(0), "{}", String::from_utf8_lossy(&rendered.stderr));
    let kubeconfig = "--kubeconfig=assets/auth/kubeconfig";
    let cases: [(&[&str], i32); 6] = [
        (&["config", "defaults"], 0),
        (&["status", kubeconfig], 1), // nobody answers there
        (&["start", "--asset-dir=assets", "--phase-timeout=soon=1m"], 2),
        (&["start", "--asset-dir=missing", "--events=3.jsonl"], 3),
        // This host has no kubelet.
        (&["start", "--asset-dir=assets", "--pod-manifest-path=manifests", "--events=4.jsonl"], 4),
        (&["preflight", "--asset-dir=assets", "--pod-manifest-path=manifests"], 4),
    ];
    for (args, code) in cases {
        let output = bootkube(folder.path(), args, "");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let events = std::fs::read(folder.path().join(format!("{code}.jsonl"))).unwrap_or_default();
        if let Some(last) = lines(&events).last() {
            assert_eq!((&last["event"], &last["exit_code"]), (&"ended".into(), &code.into()));
        }
    }
    assert!(!folder.path().join("manifests").exists(), "nothing was touched");
}

#[test]
fn a_phase_that_there_is_not_is_refused_with_the_list() {
    let folder = TempDir::new().unwrap();
    let output = bootkube(folder.path(), &["start", "--asset-dir=a", "--phase-timeout=waiting=5m"], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for name in ["wait-for-the-API", "hand-over", "apply-objects"] {
        assert!(said.contains(name), "{said}");
    }
}
