//! `bootkube completions`: a script that completes command lines.

use clap::Args;
use clap_complete::Shell;

use super::output;
use crate::error::Failure;

/// Print a script that completes bootkube's commands and flags in a shell.
///
/// For bash: bootkube completions bash > /etc/bash_completion.d/bootkube
#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell to complete in
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs, mut command: clap::Command) -> Result<(), Failure> {
    let CompletionsArgs { shell } = args;
    let mut script = Vec::new(); // clap_complete panics if its writer fails, and stdout may
    clap_complete::generate(shell, &mut command, "bootkube", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
