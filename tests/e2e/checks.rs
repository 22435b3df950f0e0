//! Named sentences that hold or do not. One that fails keeps none of the others from being looked at.

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
            let why = panic.downcast::<String>().map_or_else(|_| String::new(), |why| *why);
            self.failed.push(format!("{sentence}: {why}"));
        }
    }

    /// Fails the test if any sentence failed.
    pub fn finish(self) {
        let Self { failed } = self;
        assert!(failed.is_empty(), "{} sentences do not hold:\n  {}", failed.len(), failed.join("\n  "));
    }
}

/// Waits until `look` has nothing to object to.
pub fn eventually(seconds: u64, mut look: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while let Err(objection) = look() {
        assert!(Instant::now() < deadline, "after {seconds} s still: {objection}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
