//! Problems, each logged once and not in every round.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;

use crate::error::chain;

/// The last problem of each subject.
#[derive(Default)]
pub struct Complaints(BTreeMap<String, String>);

impl Complaints {
    /// Logs a problem of `subject`, unless it is the same as the last one.
    pub fn say(&mut self, subject: &impl Display, why: String) {
        let subject = subject.to_string();
        if self.0.get(&subject) != Some(&why) {
            tracing::warn!(subject, "{why}");
            self.0.insert(subject, why);
        }
    }

    /// Logs the problem of `result`, or forgets the last one of `subject`.
    pub fn note<T, E: Error>(&mut self, subject: &impl Display, result: &Result<T, E>) {
        match result {
            Ok(_) => self.over(subject),
            Err(error) => self.say(subject, chain(error)),
        }
    }

    /// Forgets the last problem of `subject`.
    pub fn over(&mut self, subject: &impl Display) {
        self.0.remove(&subject.to_string());
    }

    /// The last problem of `subject`.
    pub fn about(&self, subject: &impl Display) -> Option<&str> {
        self.0.get(&subject.to_string()).map(String::as_str)
    }
}
