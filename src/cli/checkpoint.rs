//! `bootkube checkpoint`: the copies of pods on this machine.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::arguments::Form;
use super::output;
use crate::checkpoint::report;
use crate::checkpoint::store::Store;
use crate::error::{ExitClass, Failure};

#[derive(Subcommand)]
pub(super) enum CheckpointCommand {
    List(ListArgs),
}

/// Show which pods would run on this machine without an API, from when their copies are, why they
/// are the ones to use, and which of them run now.
///
/// Needs no API: it reads the folders of the copies, which only root may. Copies are made by the
/// agent (`bootkube agent`).
#[derive(Args)]
pub(super) struct ListArgs {
    /// Directory from which the kubelet takes static pods
    #[arg(long, value_name = "DIR", default_value = "/etc/kubernetes/manifests")]
    pod_manifest_path: PathBuf,
    /// Form of the list: `text`, or `json` for programs
    #[arg(short, long, value_enum, value_name = "FORM", default_value = "text", hide_possible_values = true)]
    output: Form,
}

pub(super) fn run(command: CheckpointCommand) -> Result<(), Failure> {
    let CheckpointCommand::List(ListArgs { pod_manifest_path, output }) = command;
    let store = Store { manifests: pod_manifest_path, ..Store::default() };
    let listing = store.list().map_err(|error| {
        Failure::new(ExitClass::General, &error).hint("only root may read the copies of a machine")
    })?;
    match output {
        Form::Text => output::print(&report::to_text(&listing)),
        Form::Json => output::print(&format!("{:#}\n", report::to_json(&listing))),
    }
}
