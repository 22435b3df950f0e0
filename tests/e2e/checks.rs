//! Named sentences that hold or do not. One that fails keeps none of the others from being looked at.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What was looked at.
#[derive(Default)]
pub struct Checks {
    failed: Vec<String>,
}

impl Checks {
    /// Looks whether `sentence` holds; `look` panics if it does not.
    pub fn that(&mut self, sentence: &'static str, look: impl FnOnce()) {
        let begun = Instant::now();
        let looked = catch_unwind(AssertUnwindSafe(look));
        let word = if looked.is_ok() { "holds" } else { "FAILS" };
        eprintln!("e2e: {word} ({:4.1} s): {sentence}", begun.elapsed().as_secs_f64());
        if let Err(panic) = looked {
            self.failed.push(format!("{sentence}: {}", words(panic)));
        }
    }

    /// Fails the test if any sentence failed.
    pub fn finish(self) {
        let Self { failed } = self;
        assert!(failed.is_empty(), "{} sentences do not hold:\n  {}", failed.len(), failed.join("\n  "));
    }
}

/// How much slower a machine may be that has other things to do. What is promised in seconds is asserted where it is measured, not here.
const SLOWER: u64 = 3;

/// Waits until `look` has nothing to object to: some `seconds` on a machine that has nothing else to do. That it panics is an objection
/// too: who asks an API that changes hands may be refused.
pub fn eventually(seconds: u64, mut look: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + Duration::from_secs(seconds * SLOWER);
    let mut looked = || catch_unwind(AssertUnwindSafe(&mut look)).unwrap_or_else(|panic| Err(words(panic)));
    while let Err(objection) = looked() {
        assert!(Instant::now() < deadline, "after {} s still: {objection}", seconds * SLOWER);
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What somebody who panicked said.
fn words(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| String::new(), |words| (*words).to_owned()),
    }
}
