//! Named sentences, each of which holds or does not.
//!
//! A sentence that fails does not keep the next ones from being checked. Only if they build on it
//! ([`Checks::need`]) are they not looked at, and the report says because of which.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::world::World;

/// The sentences checked so far.
#[derive(Default)]
pub struct Checks {
    failed: Vec<String>,
    not_looked_at: Vec<&'static str>,
    /// A sentence on which all later ones build, and which does not hold.
    missing: Option<&'static str>,
    is_finished: bool,
}

impl Checks {
    /// Checks that `sentence` holds; `look` panics if it does not.
    pub fn that(&mut self, sentence: &'static str, look: impl FnOnce()) {
        self.look(sentence, look);
    }

    /// The same for a sentence on which all later ones build: if it does not hold, they are not
    /// checked.
    pub fn need<T>(&mut self, sentence: &'static str, act: impl FnOnce() -> T) -> Option<T> {
        let is_first = self.missing.is_none();
        let result = self.look(sentence, act);
        if result.is_none() && is_first {
            self.missing = Some(sentence);
        }
        result
    }

    fn look<T>(&mut self, sentence: &'static str, look: impl FnOnce() -> T) -> Option<T> {
        if let Some(missing) = self.missing {
            eprintln!("e2e: not looked at, because \"{missing}\" does not hold: {sentence}");
            self.not_looked_at.push(sentence);
            return None;
        }
        let begun = Instant::now();
        let looked = catch_unwind(AssertUnwindSafe(look));
        let word = if looked.is_ok() { "holds" } else { "FAILS" };
        eprintln!("e2e: {word} ({:4.1} s): {sentence}", begun.elapsed().as_secs_f64());
        looked.map_err(|panic| self.failed.push(format!("{sentence}: {}", message(panic)))).ok()
    }

    /// Fails the test if any sentence failed.
    pub fn finish(mut self) {
        self.is_finished = true;
        assert!(self.failed.is_empty(), "{}", self.report());
    }

    fn report(&self) -> String {
        let Self { failed, not_looked_at, missing, .. } = self;
        let because = missing.map_or(String::new(), |missing| {
            let sentences = not_looked_at.join("\n  ");
            format!("\n{} not looked at, because \"{missing}\":\n  {sentences}", not_looked_at.len())
        });
        format!("{} sentences do not hold:\n  {}{because}", failed.len(), failed.join("\n  "))
    }
}

/// A test that panics between two sentences still says which ones had failed before.
impl Drop for Checks {
    fn drop(&mut self) {
        if !self.is_finished && !self.failed.is_empty() {
            eprintln!("e2e: {}", self.report());
        }
    }
}

/// A cluster on which sentences are checked one after the other. After a failed sentence it may be
/// damaged, so it is dumped and removed, and the next sentence gets a new one.
pub struct Shared<F> {
    make: F,
    world: Option<World>,
    made: usize,
}

impl<F: Fn(usize) -> World> Shared<F> {
    /// `make` gets a number, which tells the clusters apart.
    pub fn new(make: F) -> Self {
        Self { make, world: None, made: 0 }
    }

    /// Begins with an existing cluster.
    pub fn with(world: World, make: F) -> Self {
        Self { make, world: Some(world), made: 1 }
    }

    /// Checks that `sentence` holds on the cluster.
    pub fn that(&mut self, checks: &mut Checks, sentence: &'static str, look: impl FnOnce(&World)) {
        let world = self.world.take().or_else(|| {
            self.made += 1;
            checks.need("a cluster is there for the next sentence", || (self.make)(self.made))
        });
        self.world = world.and_then(|world| {
            checks.look(sentence, || {
                look(&world);
                world // after a panic it is dropped here, and dumped
            })
        });
    }
}

/// How many times slower a machine may be that does other work too. Promises in seconds are checked
/// where they are measured, not here.
const SLOWER: u64 = 3;

/// Waits until `look` has no objection: about `seconds` on an otherwise idle machine. A panic
/// counts as an objection, because a request may fail while the control plane changes hands.
pub fn eventually(seconds: u64, mut look: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + Duration::from_secs(seconds * SLOWER);
    let mut looked = || catch_unwind(AssertUnwindSafe(&mut look)).unwrap_or_else(|panic| Err(message(panic)));
    while let Err(objection) = looked() {
        assert!(Instant::now() < deadline, "after {} s still: {objection}", seconds * SLOWER);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The message of a panic.
fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => {
            panic.downcast::<&str>().map_or_else(|_| String::new(), |message| (*message).to_owned())
        }
    }
}

#[test]
fn a_failed_sentence_takes_only_those_with_it_that_build_on_it() {
    let mut checks = Checks::default();
    checks.that("fails", || panic!("on purpose"));
    assert_eq!(checks.need("holds", || 1), Some(1));
    assert_eq!(checks.need("is missing", || -> u8 { panic!("on purpose") }), None);
    checks.that("builds on it", || panic!("nothing may look"));
    assert_eq!(checks.need("builds on it, too", || panic!("nothing may look")), None::<u8>);
    assert_eq!((checks.failed.len(), checks.not_looked_at.len()), (2, 2));
    let failed = catch_unwind(AssertUnwindSafe(|| checks.finish()));
    let report = message(failed.unwrap_err());
    assert!(report.contains("2 not looked at, because \"is missing\""), "{report}");
}
