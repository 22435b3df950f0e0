//! The failure of a command: an exit code, a message, sometimes a hint.
//!
//! Every room has an error type of its own, which says what failed, on what, and why. A command
//! turns it into a [`Failure`], and `main.rs` alone prints that.

use std::fmt;

/// Exit codes, stable for scripts. 2 (usage) belongs to clap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitClass {
    /// The command failed while it worked.
    General = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// The configuration or an input file is wrong; nothing was written.
    Configuration = 3,
    /// The machine is not ready; nothing was touched.
    Preflight = 4,
}

impl ExitClass {
    /// Its name in events and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Preflight => "preflight",
        }
    }
}

/// A failure, worded for the user.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub class: ExitClass,
    /// What failed, on what, and why. May have several lines (one for each finding).
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure of `class` with the message of `error` and its sources.
    pub fn new(class: ExitClass, error: &dyn std::error::Error) -> Self {
        Self { class, message: chain(error), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The message of an error followed by those of its sources, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = cause.source();
    }
    message
}
