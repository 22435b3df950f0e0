//! Standard output: on a terminal finished phases stay and the running one counts its seconds; in a pipe every change is a line.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Event, Sink};

/// How often a terminal's elapsed time moves.
const TICK: Duration = Duration::from_millis(100);

/// Tells a person on standard output.
pub struct Console {
    started: Instant,
    /// The running phase, on a terminal.
    line: Option<ProgressBar>,
}

impl Console {
    /// For standard output as it is: terminal or pipe.
    pub fn new() -> Self {
        let line = io::stdout().is_terminal().then(live_line);
        Self { started: Instant::now(), line }
    }

    /// One line that stays. A closed pipe is not the work's concern: `start` goes on when nobody reads along.
    fn print(&self, text: &str) {
        match &self.line {
            Some(line) => line.println(text),
            None => {
                let elapsed = self.started.elapsed().as_secs_f64();
                writeln!(io::stdout().lock(), "[{elapsed:7.2}s] {text}").ok();
            }
        }
    }

    fn running(&self, text: String) {
        match &self.line {
            Some(line) => line.set_message(text),
            None => self.print(&text),
        }
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

fn live_line() -> ProgressBar {
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    let style = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}");
    line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    line
}

impl Sink for Console {
    fn tell(&self, event: Event) {
        match event {
            Event::PhaseStarted { phase } => {
                if let Some(line) = &self.line {
                    line.reset();
                    line.enable_steady_tick(TICK);
                }
                self.running(phase.to_owned());
            }
            Event::PhaseFinished { phase, elapsed } => {
                if let Some(line) = &self.line {
                    line.disable_steady_tick();
                    line.set_message("");
                }
                self.print(&format!("{phase}: done in {:.2} s", elapsed.as_secs_f64()));
            }
            Event::Waiting { phase, on } => self.running(format!("{phase}: {on}")),
            Event::Info(text) => self.print(&text),
            Event::Warning(text) => self.print(&format!("warning: {text}")),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}
