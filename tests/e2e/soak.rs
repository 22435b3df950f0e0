//! `make soak` repeats what `make test` checks once. Its result goes to docs/reliability.md.

use std::fmt::Write as _;
use std::process::Command;

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::roll;
use crate::traffic::{self, Answered, Traffic};
use crate::world::World;

/// Machines, each pivoted and rolled three times.
const ROUNDS: usize = 10;
/// Between these lines of docs/reliability.md the result stands.
const MARKS: [&str; 2] = ["<!-- soak -->\n", "<!-- /soak -->\n"];

#[test]
#[ignore = "takes a quarter of an hour: make soak"]
fn ten_machines_are_pivoted_and_rolled_and_no_request_fails() {
    let mut table = String::from(
        "| round | pivot, s | rolls, s | requests in the pivot | in the rolls | failed | longest gap, s |\n|---|---|---|---|---|---|---|\n",
    );
    for round in 1..=ROUNDS {
        let (pivot, rolls) = one_round();
        let all = [&pivot["clients"], &rolls["clients"]];
        let sum = |clients: &Value, key: &str| -> u64 {
            clients.as_object().unwrap().values().map(|client| client[key].as_u64().unwrap()).sum()
        };
        let failed: u64 = all.iter().map(|clients| sum(clients, "failed")).sum();
        let gaps = all.iter().flat_map(|clients| clients.as_object().unwrap().values());
        let gap = gaps.map(|client| client["longest_gap"].as_f64().unwrap()).fold(0.0, f64::max);
        let seconds: Vec<String> = rolls["seconds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|roll| format!("{:.1}", roll.as_f64().unwrap()))
            .collect();
        writeln!(
            table,
            "| {round} | {:.1} | {} | {} | {} | {failed} | {gap:.2} |",
            pivot["seconds"].as_f64().unwrap(),
            seconds.join(", "),
            sum(all[0], "ok"),
            sum(all[1], "ok"),
        )
        .unwrap();
        eprintln!("soak: {}", table.lines().last().unwrap());
    }
    write_result(&table);
}

fn one_round() -> (Value, Value) {
    let world = World::alone("e2e-soak", 1, |_| json!({}));
    world.render_and_join();
    let traffic = Traffic::start(&world, "pivot");
    let started = world.start();
    let answered = traffic.finish();
    started.must_succeed();
    answered.iter().for_each(Answered::assert_unnoticed);
    let pivot = json!({"seconds": started.took.as_secs_f64(), "clients": traffic::figures(&answered)});
    (pivot, roll::unnoticed_rolls(&world))
}

fn write_result(table: &str) {
    let file = lab::workspace().join("docs/reliability.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).expect("the file has the marks");
    let (_, after) = rest.split_once(MARKS[1]).expect("the file has the marks");
    let day = Timestamp::now().strftime("%Y-%m-%d");
    let commit = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .current_dir(lab::workspace())
        .output()
        .unwrap();
    let commit = String::from_utf8_lossy(&commit.stdout).trim().to_owned();
    let text = format!("{before}{}{day}, commit {commit}:\n\n{table}{}{after}", MARKS[0], MARKS[1]);
    std::fs::write(&file, text).unwrap();
}
