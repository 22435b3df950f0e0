//! `bootkube config`: show the defaults, check a file.

use clap::{Args, Subcommand};
use time::OffsetDateTime;

use super::cluster::ClusterArgs;
use super::output;
use crate::error::Failure;
use crate::{pki, reference, render};

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Print a configuration file with every field, its default and what it means.
    Defaults,
    Validate(Box<ValidateArgs>),
}

/// Check a configuration file, flags over it, and the patches and certificates in it, and report
/// every mistake.
#[derive(Args)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) fn run(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Defaults => {
            let text = reference::defaults_text().map_err(|findings| output::refused(&findings))?;
            output::print(&text)
        }
        ConfigCommand::Validate(args) => {
            let file = args.cluster.file_name();
            let (config, warnings) = args.cluster.resolve(None)?;
            output::warn(&warnings);
            let checked = pki::validate(&config, OffsetDateTime::now_utc());
            let (bundle, warnings) = checked.map_err(output::refused_pki)?;
            output::warn(&warnings);
            render::render(&config, &bundle).map_err(|error| output::refused_render(&file, error))?;
            output::print("the configuration is valid\n")
        }
    }
}
