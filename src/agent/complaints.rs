//! What is wrong, said once and not every second.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;

use crate::error::chain;

/// The last complaint about each subject.
#[derive(Default)]
pub struct Complaints(BTreeMap<String, String>);

impl Complaints {
    /// Says what is wrong with `subject`, if that is news.
    pub fn say(&mut self, subject: &impl Display, why: String) {
        let subject = subject.to_string();
        if self.0.get(&subject) != Some(&why) {
            tracing::warn!(subject, "{why}");
            self.0.insert(subject, why);
        }
    }

    /// Says what is wrong, or that nothing is.
    pub fn hear<T, E: Error>(&mut self, subject: &impl Display, result: &Result<T, E>) {
        match result {
            Ok(_) => self.over(subject),
            Err(error) => self.say(subject, chain(error)),
        }
    }

    /// Nothing is wrong with `subject` any more.
    pub fn over(&mut self, subject: &impl Display) {
        self.0.remove(&subject.to_string());
    }

    /// What is wrong with `subject`.
    pub fn about(&self, subject: &impl Display) -> Option<&str> {
        self.0.get(&subject.to_string()).map(String::as_str)
    }
}
