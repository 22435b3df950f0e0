//! Random configurations, from the file to the apiserver: what `config validate` accepts renders, is
//! an asset directory that `start` reads, and consists of objects that the apiserver takes and of
//! command lines that the programs take. What it refuses is refused with file, field and cure.
//!
//! Tier: API. Needs root, for the programs' network namespaces.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod api;
mod cases;
#[path = "../support/component_flags.rs"]
mod component_flags;
#[path = "../support/configurations.rs"]
mod configurations;
mod programs;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use cases::{Accepted, Case};
use support::Api;

/// Configurations of a run.
const CASES: u64 = 1100;
/// So many of them are accepted, at least.
const ACCEPTED: usize = 500;
/// Of so many accepted ones the programs get their command lines.
const WITH_PROGRAMS: usize = 32;
const THREADS: usize = 2;

/// Calls `work` for every item, on all threads. The results are in no order.
fn each<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let take = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let result = work(item);
            done.lock().unwrap().push(result);
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(take))));
    done.into_inner().unwrap()
}

#[test]
fn what_validate_accepts_renders_and_is_taken_by_the_apiserver_and_by_the_programs() {
    let seed = random::seed();
    println!("BOOTKUBE_SEED={seed}");
    let begun = Instant::now();
    let root = support::folder("random");
    let indices: Vec<u64> = (0..CASES).collect();
    let mut accepted: Vec<Accepted> = each(&indices, |index| match Case::new(seed, *index).judge(&root) {
        Ok(accepted) => accepted,
        Err(problem) => panic!("{problem}"),
    })
    .into_iter()
    .flatten()
    .collect();
    accepted.sort_by_key(|accepted| accepted.case.index);
    println!("{} of {CASES} accepted, rendered and read after {:?}", accepted.len(), begun.elapsed());

    let mut problems = taken_by_the_api(&accepted);
    println!("the apiserver was asked after {:?}", begun.elapsed());
    let some = &accepted[..WITH_PROGRAMS];
    problems.extend(each(some, programs::problems).into_iter().flatten());
    println!("the programs were asked after {:?}", begun.elapsed());
    std::fs::remove_dir_all(&root).unwrap();
    assert!(accepted.len() >= ACCEPTED, "seed {seed}: too few are accepted");
    assert!(accepted.len() * 4 <= CASES as usize * 3, "seed {seed}: too few are refused");
    assert!(problems.is_empty(), "seed {seed}, {} problems:\n{}", problems.len(), problems.join("\n"));
}

fn taken_by_the_api(accepted: &[Accepted]) -> Vec<String> {
    let api = Api::start(
        "random-api",
        "podCIDRs: [10.2.0.0/16, 'fd00:2::/48']\nserviceCIDRs: [10.3.0.0/24, 'fd00:3::/112']",
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    runtime.unwrap().block_on(async { api::problems(&api.client(), accepted).await })
}
