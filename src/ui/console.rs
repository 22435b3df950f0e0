//! Output for a person. On a terminal, finished phases stay and the running one counts its seconds.
//! In a pipe, every change is a line.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Event, Output, Stamped};

/// How often a terminal's elapsed time moves.
const TICK: Duration = Duration::from_millis(100);
/// The running phase, and below it what it waits for.
const RUNNING: &str = "{spinner} {prefix} ({elapsed})\n  {wide_msg}";

/// Writes to standard output or, where that holds data, to standard error.
pub struct Console {
    started: Instant,
    is_terminal: bool,
    on_stderr: bool,
    /// The running phase, on a terminal.
    running: Mutex<Option<ProgressBar>>,
}

impl Console {
    /// On standard output, which is a terminal or a pipe.
    pub fn new() -> Self {
        Self::on(io::stdout().is_terminal(), false)
    }

    /// On standard error.
    pub fn on_stderr() -> Self {
        Self::on(io::stderr().is_terminal(), true)
    }

    fn on(is_terminal: bool, on_stderr: bool) -> Self {
        Self { started: Instant::now(), is_terminal, on_stderr, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line that stays. A closed pipe does not stop the work.
    pub fn print(&self, text: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        match &*self.running() {
            Some(line) => line.println(text),
            None if self.is_terminal => writeln!(self.stream(), "{text}").unwrap_or_default(),
            None => writeln!(self.stream(), "[{elapsed:7.2}s] {text}").unwrap_or_default(),
        }
    }

    fn stream(&self) -> Box<dyn Write> {
        if self.on_stderr { Box::new(io::stderr().lock()) } else { Box::new(io::stdout().lock()) }
    }

    fn start(&self, phase: &'static str) {
        match self.is_terminal {
            true => *self.running() = Some(self.live_line(phase)),
            false => self.print(phase),
        }
    }

    fn finish(&self, phase: &'static str, elapsed: Duration) {
        self.clear();
        self.print(&format!("{phase}: done in {:.2} s", elapsed.as_secs_f64()));
    }

    /// Leaves the last wait on the screen.
    fn fail(&self, phase: &'static str, elapsed: Duration) {
        self.abandon();
        self.print(&format!("{phase}: failed after {:.2} s", elapsed.as_secs_f64()));
    }

    fn wait(&self, phase: &'static str, on: &str) {
        if let Some(line) = &*self.running() {
            return line.set_message(on.to_owned());
        }
        self.print(&format!("{phase}: {on}"));
    }

    /// Leaves what is in the way on the screen.
    fn block(&self, phase: &'static str, what: &str, why: &str, cure: &str) {
        self.print(&format!("{phase}: {what}"));
        self.print(&format!("  why: {why}"));
        self.print(&format!("  do:  {cure}"));
    }

    fn clear(&self) {
        if let Some(line) = self.running().take() {
            line.finish_and_clear();
        }
    }

    fn abandon(&self) {
        if let Some(line) = self.running().take() {
            line.abandon();
        }
    }

    fn live_line(&self, phase: &'static str) -> ProgressBar {
        let target = if self.on_stderr { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::stdout() };
        let line = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template(RUNNING);
        line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        line.set_prefix(phase);
        line.enable_steady_tick(TICK);
        line
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Output for Console {
    /// Figures are for programs and the report; a person sees their sum at the end.
    fn receive(&self, stamped: &Stamped) {
        match &stamped.event {
            Event::PhaseStarted { phase } => self.start(phase),
            Event::PhaseFinished { phase, elapsed } => self.finish(phase, *elapsed),
            Event::PhaseFailed { phase, elapsed } => self.fail(phase, *elapsed),
            Event::Waiting { phase, on } => self.wait(phase, on),
            Event::Blocked { phase, what, why, cure } => self.block(phase, what, why, cure),
            Event::Unblocked { phase } => self.print(&format!("{phase}: resolved")),
            Event::Info(text) => self.print(text),
            Event::Warning(text) => self.print(&format!("warning: {text}")),
            Event::Begun { .. }
            | Event::ObjectApplied { .. }
            | Event::Pod(_)
            | Event::Listeners { .. }
            | Event::Request { .. }
            | Event::Probed(_)
            | Event::Transition { .. }
            | Event::Act { .. }
            | Event::Ended(_) => {}
        }
    }
}

impl Drop for Console {
    /// Releases the terminal's line however the work ends.
    fn drop(&mut self) {
        self.abandon();
    }
}
