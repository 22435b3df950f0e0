//! `bootkube reset`: shows what an unfinished bootstrap has left on this machine, and removes it when told to.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use super::output;
use crate::error::{ExitClass, Failure};
use crate::start::reset::{self, Reset};

/// Undo a bootstrap that did not come to its end on this machine.
///
/// Removes what `start` noted in its journal that it had placed: static pods and keys, in an order in which no pod loses what it reads. It
/// shows that first, and asks. etcd's data, objects in the API, and whatever bootkube did not place stay. Where the control plane runs itself
/// already only leftovers go; without any, it refuses (exit code 4).
#[derive(Args)]
pub(super) struct ResetArgs {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: ResetArgs) -> Result<(), Failure> {
    let ResetArgs { yes } = args;
    let reset = reset::look()?;
    if reset.removals.is_empty() {
        return output::print("nothing to undo: no bootstrap was begun on this machine\n");
    }
    output::print(&shown(&reset))?;
    if !yes {
        confirmed()?;
    }
    let count = output::count(reset.removals.len(), "thing");
    let left = output::runtime()?.block_on(reset.run(&|what| tracing::info!(what, "waiting")))?;
    left.iter().try_for_each(|left| output::print(&format!("{left}\n")))?;
    let stays = if left.is_empty() { String::new() } else { format!(", of which {} stay", left.len()) };
    output::print(&format!("undone: {count}{stays}\n"))
}

fn shown(reset: &Reset) -> String {
    let list: String = reset.removals.iter().map(|removal| format!("  {removal}\n")).collect();
    let why = match reset.is_complete {
        true => "The control plane runs itself. Of its bootstrap this is left, and will be removed:",
        false => "An unfinished bootstrap has placed this, which will be removed:",
    };
    format!("{why}\n{list}etcd's data, objects in the API, and all that bootkube did not place stay.\n")
}

/// Asks on a terminal. Elsewhere nobody could answer.
fn confirmed() -> Result<(), Failure> {
    let refused = |message: &str, hint: &str| Failure {
        class: ExitClass::Usage,
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    };
    if !io::stdin().is_terminal() {
        return Err(refused("nobody is there to be asked", "nothing was touched; run it again with --yes"));
    }
    let mut stderr = io::stderr();
    let asked = write!(stderr, "Remove it? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    let answered = asked.and_then(|()| io::stdin().read_line(&mut answer));
    match answered {
        Ok(_) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
        _ => Err(refused("not confirmed", "nothing was touched")),
    }
}
