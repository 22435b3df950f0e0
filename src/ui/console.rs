//! Standard output: on a terminal finished phases stay and the running one counts its seconds; in a pipe every change is a line.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Event, Sink};

/// How often a terminal's elapsed time moves.
const TICK: Duration = Duration::from_millis(100);
/// The running phase, and below it what it waits for.
const RUNNING: &str = "{spinner} {prefix} ({elapsed})\n  {wide_msg}";

/// Tells a person on standard output.
pub struct Console {
    started: Instant,
    is_terminal: bool,
    /// The running phase, on a terminal.
    running: Mutex<Option<ProgressBar>>,
}

impl Console {
    /// For standard output as it is: terminal or pipe.
    pub fn new() -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { started: Instant::now(), is_terminal, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line that stays. A closed pipe is not the work's concern: `start` goes on when nobody reads along.
    fn print(&self, text: &str) {
        let elapsed = self.started.elapsed().as_secs_f64();
        match &*self.running() {
            Some(line) => line.println(text),
            None if self.is_terminal => writeln!(io::stdout().lock(), "{text}").unwrap_or_default(),
            None => writeln!(io::stdout().lock(), "[{elapsed:7.2}s] {text}").unwrap_or_default(),
        }
    }

    fn start(&self, phase: &'static str) {
        match self.is_terminal {
            true => *self.running() = Some(live_line(phase)),
            false => self.print(phase),
        }
    }

    fn finish(&self, phase: &'static str, elapsed: Duration) {
        self.clear();
        self.print(&format!("{phase}: done in {:.2} s", elapsed.as_secs_f64()));
    }

    fn wait(&self, phase: &'static str, on: &str) {
        if let Some(line) = &*self.running() {
            return line.set_message(on.to_owned());
        }
        self.print(&format!("{phase}: {on}"));
    }

    fn clear(&self) {
        if let Some(line) = self.running().take() {
            line.finish_and_clear();
        }
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

fn live_line(phase: &'static str) -> ProgressBar {
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    let style = ProgressStyle::with_template(RUNNING);
    line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    line.set_prefix(phase);
    line.enable_steady_tick(TICK);
    line
}

impl Sink for Console {
    fn tell(&self, event: Event) {
        match event {
            Event::PhaseStarted { phase } => self.start(phase),
            Event::PhaseFinished { phase, elapsed } => self.finish(phase, elapsed),
            Event::Waiting { phase, on } => self.wait(phase, &on),
            Event::Info(text) => self.print(&text),
            Event::Warning(text) => self.print(&format!("warning: {text}")),
        }
    }
}

impl Drop for Console {
    /// After a failure the last thing waited for stays to be read.
    fn drop(&mut self) {
        if let Some(line) = self.running().take() {
            line.abandon();
        }
    }
}
