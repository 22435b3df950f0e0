//! `bootkube render`: renders flags and a configuration file to an asset directory, or as JSON to
//! stdout.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use time::OffsetDateTime;

use super::cluster::ClusterArgs;
use super::output;
use super::query::{self, Query};
use crate::assets::write::{self, Target, Written};
use crate::assets::{Assets, oversized, tree};
use crate::config::ClusterConfig;
use crate::error::{ExitClass, Failure};
use crate::finding::{Finding, Findings};
use crate::living::{self, Settled};
use crate::pki::{self, Action, Note, Previous, Supplied};
use crate::render;

/// Write certificates, manifests and kubeconfigs of a cluster into a directory, for `start`.
///
/// Rendering again into the same directory keeps every key and certificate that is still valid.
#[derive(Args)]
pub(super) struct RenderArgs {
    /// Directory to write; created if it is missing
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Output",
        required_unless_present = "output",
        required_if_eq("output", "dir")
    )]
    asset_dir: Option<PathBuf>,
    /// Where files go: `dir` writes --asset-dir. `json` prints one object, path to content, and
    /// reads a query from stdin as Terraform's external data source does: `{"config": "TEXT OF A
    /// CONFIGURATION FILE", "tls/ca.key": "A FILE TO KEEP", …}`
    #[arg(long, value_enum, value_name = "FORM", help_heading = "Output", hide_possible_values = true)]
    output: Option<Output>,
    /// Directory rendered before, whose keys and certificates are kept while they are valid
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

/// The input of a render.
struct Job {
    config: ClusterConfig,
    /// How messages name the configuration file.
    config_file: String,
    /// Where to write; `None` prints JSON.
    asset_dir: Option<PathBuf>,
    reuse_from: Option<PathBuf>,
    /// Files of the query that are to be kept.
    reuse: BTreeMap<String, Vec<u8>>,
}

pub(super) fn run(args: RenderArgs) -> Result<(), Failure> {
    let RenderArgs { asset_dir, output, reuse_from, cluster } = args;
    let json = output == Some(Output::Json);
    let Query { config, files } = if json { read_query()? } else { Query::default() };
    let config_file = cluster.file_name();
    let (config, warnings) = cluster.resolve(config)?;
    output::warn(&warnings);
    if let (Some(dir), true) = (&asset_dir, json) {
        let cure = "leave it out, or name the directory in --reuse-from to keep its keys";
        let finding =
            Finding::new("--asset-dir", &dir.display().to_string(), "is not written by --output=json", cure);
        return Err(output::refused(&Findings(vec![finding])));
    }
    render(Job { config, config_file, asset_dir, reuse_from, reuse: files })
}

/// The query on stdin. A terminal has none.
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
    let Job { config, config_file, asset_dir, reuse_from, reuse } = job;
    if let Some(dir) = &asset_dir {
        write::check_target(dir).map_err(|findings| output::refused(&findings))?;
    }
    let now = OffsetDateTime::now_utc();
    let supplied = Supplied::read(&config, now).map_err(|findings| output::refused(&findings))?;
    let target = asset_dir.as_deref().map(Target::open).transpose().map_err(not_written)?;
    let earlier = earlier_files(target.as_ref(), reuse_from.as_deref(), reuse.clone())?;
    let previous = previous(earlier)?;
    let (bundle, notes) = pki::issue(&config, supplied, &previous, now).map_err(output::refused_pki)?;
    output::warn(&pki::warnings(&config, &bundle, now));
    let assets =
        render::render(&config, &bundle).map_err(|error| output::refused_render(&config_file, error))?;
    let before = earlier_manifests(target.as_ref(), reuse_from.as_deref(), reuse, &assets)?;
    output::warn(&settled(&before, &assets));
    match (asset_dir, target) {
        (Some(dir), Some(target)) => {
            let written = target.write(&assets).map_err(not_written)?;
            output::print(&summary(&dir, &written, &notes))
        }
        _ => {
            let too_large = Findings(oversized::find(&assets.files));
            if !too_large.0.is_empty() {
                return Err(output::refused(&too_large));
            }
            output::tell(&reused(&notes));
            output::print(&write::to_json(&assets))
        }
    }
}

fn not_written(error: write::Error) -> Failure {
    match error {
        write::Error::Refused(findings) => output::refused(&findings),
        error => Failure::new(ExitClass::General, &error)
            .hint("--asset-dir needs a parent folder that this user can write, and room on its disk"),
    }
}

/// The secrets of an earlier render, by path: those of the target; if it has none, of
/// `--reuse-from`, or else of the query.
fn earlier_files(
    target: Option<&Target>,
    reuse_from: Option<&Path>,
    query: BTreeMap<String, Vec<u8>>,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let read = |dir| write::previous(dir).map_err(unreadable);
    let of_target = target.map(Target::previous).transpose().map_err(unreadable)?.unwrap_or_default();
    match reuse_from {
        _ if !of_target.is_empty() => Ok(of_target),
        Some(dir) => {
            read(dir).and_then(|files| if files.is_empty() { Err(nothing_to_reuse(dir)) } else { Ok(files) })
        }
        None => Ok(query),
    }
}

fn unreadable(error: tree::Error) -> Failure {
    Failure::new(ExitClass::Configuration, &error)
}

/// The other files of that render.
fn earlier_manifests(
    target: Option<&Target>,
    reuse_from: Option<&Path>,
    query: BTreeMap<String, Vec<u8>>,
    assets: &Assets,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let of_target = target.map(|target| target.earlier(assets)).transpose().map_err(unreadable)?;
    match (of_target.filter(|files| !files.is_empty()), reuse_from) {
        (Some(files), _) => Ok(files),
        (None, Some(dir)) => write::earlier(dir, assets).map_err(unreadable),
        (None, None) => Ok(query),
    }
}

/// Warnings of values that a cluster cannot change once it runs. Whether one runs is not known here.
fn settled(before: &BTreeMap<String, Vec<u8>>, assets: &Assets) -> Vec<String> {
    let differences = living::differences(&[Settled::of_files(before)], &Settled::of_files(&assets.files));
    let first = "values differ from those of the last render that a running cluster cannot change; where one runs, \
                 `start` refuses them, and where none was started, nothing is wrong:";
    let first = (!differences.is_empty()).then(|| first.to_owned());
    first.into_iter().chain(differences.iter().map(ToString::to_string)).collect()
}

/// Refuses, because a mistyped directory must not lead to the keys of a new cluster.
fn nothing_to_reuse(dir: &Path) -> Failure {
    let problem = "holds no keys or certificates of an earlier render";
    let cure = "name a directory that was rendered, or leave the flag out to make a new cluster";
    let finding = Finding::new("--reuse-from", &dir.display().to_string(), problem, cure);
    output::refused(&Findings(vec![finding]))
}

/// The secrets of an earlier render, for `pki`.
fn previous(mut files: BTreeMap<String, Vec<u8>>) -> Result<Previous, Failure> {
    let tokens =
        render::earlier_tokens(&files).map_err(|finding| output::refused(&Findings(vec![finding])))?;
    files.retain(|path, _| path.starts_with("tls/"));
    let files = files.into_iter().map(|(path, content)| (path["tls/".len()..].to_owned(), content)).collect();
    Ok(Previous { files, token: tokens.shared, node_tokens: tokens.of_nodes })
}

/// What was written, and what happened to the earlier keys and certificates.
fn summary(dir: &Path, written: &Written, notes: &[Note]) -> String {
    let mut lines = reused(notes);
    lines.extend(written.removed.iter().map(|path| format!("{path}: removed: no longer rendered")));
    lines.push(format!("assets are in {}", dir.display()));
    let word = quoted(&dir.display().to_string());
    lines.push(format!("next, on the first controller: bootkube start --asset-dir {word}"));
    lines.join("\n") + "\n"
}

/// `word` as a shell takes it for one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// What happened to each key and certificate. Empty for a new cluster.
fn reused(notes: &[Note]) -> Vec<String> {
    match notes.iter().any(|note| note.action == Action::Kept) {
        true => notes.iter().map(|note| format!("{}: {}: {}", note.path, note.action, note.reason)).collect(),
        false => Vec::new(),
    }
}
