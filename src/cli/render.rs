//! `bootkube render`: from flags and file to an asset directory, or to JSON on stdout.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::cluster::ClusterArgs;
use super::output;
use super::query::{self, Query};
use crate::config::ClusterConfig;
use crate::error::{ExitClass, Failure};

/// Write certificates, manifests and kubeconfigs of a cluster into a directory, for `start`.
///
/// Rendering again into the same directory keeps every key and certificate that is still good.
#[derive(Args)]
pub(super) struct RenderArgs {
    /// Directory to write; created if it is not there
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Output",
        required_unless_present = "output",
        required_if_eq("output", "dir")
    )]
    asset_dir: Option<PathBuf>,
    /// Where files go: `dir` writes --asset-dir. `json` prints one object, path to content, and reads a query from stdin as
    /// Terraform's external data source does: {"config": "…"} is a configuration file's text, {"tls/ca.key": "…"} a file to keep
    #[arg(long, value_enum, value_name = "FORM", help_heading = "Output", hide_possible_values = true)]
    output: Option<Output>,
    /// Directory rendered before, whose keys and certificates are kept while they are good
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    reuse_from: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Dir,
    Json,
}

/// Everything that rendering needs.
struct Job {
    config: ClusterConfig,
    /// Where to write; `None` prints JSON.
    asset_dir: Option<PathBuf>,
    reuse_from: Option<PathBuf>,
    /// Files to keep that came with the query.
    reuse: std::collections::BTreeMap<String, Vec<u8>>,
}

pub(super) fn run(args: RenderArgs) -> Result<(), Failure> {
    let RenderArgs { asset_dir, output, reuse_from, cluster } = args;
    let json = output == Some(Output::Json);
    let Query { config, files } = if json { read_query()? } else { Query::default() };
    let (config, warnings) = cluster.resolve(config)?;
    output::warn(&warnings);
    let asset_dir = asset_dir.filter(|_| !json);
    render(Job { config, asset_dir, reuse_from, reuse: files })
}

/// The query on stdin; none where a person sits at it.
fn read_query() -> Result<Query, Failure> {
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        return Ok(Query::default());
    }
    let mut text = String::new();
    stdin.read_to_string(&mut text).map_err(|error| Failure {
        class: ExitClass::Configuration,
        message: format!("failed to read the query from stdin: {error}"),
        hint: None,
    })?;
    query::parse(&text).map_err(|findings| output::refused(&findings))
}

/// Issues certificates, renders and writes.
fn render(job: Job) -> Result<(), Failure> {
    let Job { config, asset_dir, reuse_from, reuse } = job;
    let name = config.cluster_name;
    let message = format!(
        "render is not wired: {name} to {asset_dir:?}, reusing {reuse_from:?} and {} files",
        reuse.len()
    );
    Err(Failure { class: ExitClass::General, message, hint: None })
}
