//! `bootkube reset`: shows what an unfinished bootstrap has left on this machine, and removes it
//! when told to.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::output;
use crate::JOURNAL;
use crate::error::{ExitClass, Failure};
use crate::reset::{self, Marks, Reset};

/// Undo a bootstrap that did not come to its end on this machine.
///
/// Removes what `start` noted in its journal that it had placed: static pods and keys, in an order
/// in which no pod loses what it reads. It shows that first, and asks. etcd's data, objects in the
/// API, and whatever bootkube did not place stay. Where the control plane runs itself already only
/// leftovers go; without any, it refuses (exit code 4). If the journal is lost it says what cannot
/// be known, and only what shows by itself to be bootkube's goes: static pods that are the same as
/// in the asset directory, and folders of keys with bootkube's mark.
#[derive(Args)]
pub(super) struct ResetArgs {
    /// Directory that `render` wrote; needed only if the journal is lost
    #[arg(long, value_name = "DIR")]
    asset_dir: Option<PathBuf>,
    /// Directory from which the kubelet takes static pods; needed only if the journal is lost
    #[arg(long, value_name = "DIR", default_value = "/etc/kubernetes/manifests")]
    pod_manifest_path: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: ResetArgs) -> Result<(), Failure> {
    let ResetArgs { asset_dir, pod_manifest_path, yes } = args;
    let reset = reset::look(&Marks { asset_dir, pod_manifest_path })?;
    output::print(&shown(&reset))?;
    if reset.removals.is_empty() {
        return Ok(());
    }
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
    let why = match (&reset.doubts, reset.is_complete) {
        _ if reset.removals.is_empty() => {
            "nothing to undo: no bootstrap is known to have begun on this machine"
        }
        (None, true) => "The control plane runs itself. Of its bootstrap this is left, and will be removed:",
        (None, false) => "An unfinished bootstrap has placed this, which will be removed:",
        (Some(_), _) => "This shows by itself to be of an unfinished bootstrap, and will be removed:",
    };
    let stays = match reset.removals.is_empty() {
        true => "",
        false => "etcd's data, objects in the API, and all that bootkube did not place stay.\n",
    };
    format!("{}{why}\n{list}{stays}", unknown(reset))
}

/// What the journal would have told.
fn unknown(reset: &Reset) -> String {
    let Some(doubts) = &reset.doubts else { return String::new() };
    let doubts: String = doubts.iter().map(|doubt| format!("  {doubt}\n")).collect();
    format!(
        "There is no journal ({JOURNAL}). If a bootstrap was begun here it is lost, and what was placed is known only where it shows by \
         itself:\n{doubts}  static pods of other assets, and those that were changed since, are not\n"
    )
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
