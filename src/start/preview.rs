//! What `start` would do, in order, without doing it: checks, files, objects.
//!
//! Objects are compared with a live API if there is one, by a server-side dry run of each. Nothing is written, neither to the machine nor
//! to the API.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use similar::TextDiff;

use super::options::{Options, SETTLED};
use super::plan::{Placement, Plan};
use super::{begin, machine, place};
use crate::assets::{self, load::Layout};
use crate::cluster::apply::Item;
use crate::cluster::connect;
use crate::cluster::preview::{Foreseen, foresee};
use crate::error::chain;
use crate::host::static_pods::{self, Found};
use crate::journal::{self, State};
use crate::phase::{APPLY, Error, PHASES, unready};
use crate::preflight::{self, Outcome};
use crate::yaml;
use crate::{BOOTSTRAP_SECRETS, ETCD_KEYS, JOURNAL, LOCAL_KUBECONFIG};

/// Version of the JSON form. Fields may be added without a new one.
const FORMAT: &str = "bootkube.dev/plan/v1";

/// Everything that would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Where the API answered that objects were compared with.
    pub api: Option<SocketAddr>,
    /// Phases, in order.
    pub steps: Vec<Step>,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its name.
    pub phase: &'static str,
    /// What it would do; nothing for one that only waits.
    pub acts: Vec<Act>,
}

/// Something that would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// fail (a check), write, replace, keep, remove (a file), create, change, unchanged (an object), refuse, label (the node).
    pub verb: &'static str,
    /// A check, a path or `Kind namespace/name`.
    pub what: String,
    /// The manifest of an object.
    pub file: Option<String>,
    /// Why, of a check that fails and of what is refused.
    pub reason: Option<String>,
    /// How an object would change, as a unified diff.
    pub diff: Option<String>,
}

/// Works out what `start` would do.
///
/// # Errors
/// The assets cannot be used.
pub async fn preview(options: &Options) -> Result<Preview, Error> {
    let layout = assets::load::load(&options.asset_dir).map_err(Error::Assets)?;
    let before = journal::read(Path::new(JOURNAL)).map_err(unready)?;
    let checks = failing(&layout, options, &before).await?;
    let plan = begin::plan(layout, options, |_| {})?;
    let is_past = begin::is_past(&plan, &before).await?;
    let api = machine::serving(&plan).await?.ok();
    let objects = objects(&plan, api, options).await?;
    let steps = PHASES.into_iter().filter_map(|phase| {
        let acts = match phase {
            "preflight" => checks.clone(),
            "place etcd" if plan.staying.is_empty() => return None,
            "place etcd" => place_etcd(&plan, &before, is_past),
            "place the bootstrap apiserver" if !is_past => place_apiserver(&plan, &before),
            "place the other bootstrap pods" if !is_past => place_others(&plan, &before),
            "hand over" if !is_past => hand_over(&plan),
            "place the bootstrap apiserver"
            | "place the other bootstrap pods"
            | "clear what is stale"
            | "hand over"
                if is_past =>
            {
                return None;
            }
            APPLY => objects.clone(),
            "verify" if !is_past => vec![act("remove", &BOOTSTRAP_SECRETS)],
            _ => Vec::new(),
        };
        Some(Step { phase, acts })
    });
    Ok(Preview { api, steps: steps.collect() })
}

fn act(verb: &'static str, what: &dyn ToString) -> Act {
    Act { verb, what: what.to_string(), file: None, reason: None, diff: None }
}

async fn failing(layout: &Layout, options: &Options, before: &State) -> Result<Vec<Act>, Error> {
    let look = options.checks(before, SETTLED);
    let checks = preflight::run(layout, &look, |_| {}).await?;
    let acts = checks.iter().flat_map(|check| {
        match &check.outcome {
            Outcome::Fail(problems) => problems.as_slice(),
            _ => &[],
        }
        .iter()
        .map(|problem| Act { reason: Some(problem.what.clone()), ..act("fail", &check.name) })
    });
    Ok(acts.collect())
}

fn place_etcd(plan: &Plan, before: &State, is_past: bool) -> Vec<Act> {
    let mut acts = keys(Path::new(ETCD_KEYS), &plan.etcd_keys);
    if !is_past {
        acts.extend(plan.staying.iter().map(|pod| static_pod(pod, before)));
    }
    acts
}

fn place_apiserver(plan: &Plan, before: &State) -> Vec<Act> {
    let mut acts = keys(Path::new(BOOTSTRAP_SECRETS), &plan.secrets);
    acts.push(static_pod(&plan.apiserver, before));
    acts
}

fn place_others(plan: &Plan, before: &State) -> Vec<Act> {
    let kubeconfig = Path::new(BOOTSTRAP_SECRETS).join(LOCAL_KUBECONFIG);
    let kubeconfig = act("write", &kubeconfig.display());
    std::iter::once(kubeconfig).chain(plan.others.iter().map(|pod| static_pod(pod, before))).collect()
}

fn hand_over(plan: &Plan) -> Vec<Act> {
    let pods = plan.others.iter().chain([&plan.apiserver]);
    pods.map(|pod| act("remove", &pod.path.display())).collect()
}

fn static_pod(pod: &Placement, before: &State) -> Act {
    let path = pod.path.display();
    match place::look(pod, before) {
        Ok(Found::Same) => act("keep", &path),
        Ok(Found::Nothing) => act("write", &path),
        Ok(Found::Earlier) => act("replace", &path),
        Err(error) => Act { reason: Some(chain(&error)), ..act("refuse", &path) },
    }
}

fn keys(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Vec<Act> {
    if let Err(error) = static_pods::check_key_folder(folder) {
        return vec![Act { reason: Some(chain(&error)), ..act("refuse", &folder.display()) }];
    }
    let paths = files.iter().map(|(name, content)| (folder.join(name), content));
    let is_there =
        |(path, content): &(PathBuf, &Vec<u8>)| fs::read(path).is_ok_and(|found| found == **content);
    paths.map(|pair| act(if is_there(&pair) { "keep" } else { "write" }, &pair.0.display())).collect()
}

async fn objects(plan: &Plan, api: Option<SocketAddr>, options: &Options) -> Result<Vec<Act>, Error> {
    let items: Vec<&Item> = plan.stages.iter().flatten().collect();
    let foreseen = match api {
        Some(endpoint) => {
            let client = connect::connect(&plan.access, Some(endpoint))?;
            foresee(&client, &items, options.force_conflicts).await
        }
        None => vec![Foreseen::Create; items.len()],
    };
    let mut acts: Vec<Act> =
        items.into_iter().zip(foreseen).map(|(item, foreseen)| object(item, foreseen)).collect();
    acts.push(node(plan));
    Ok(acts)
}

fn object(item: &Item, foreseen: Foreseen) -> Act {
    let (verb, reason, diff) = match foreseen {
        Foreseen::Create => ("create", None, None),
        Foreseen::Unchanged => ("unchanged", None, None),
        Foreseen::Change { before, after } => ("change", None, Some(diff(&before, &after))),
        Foreseen::Refuse { reason } => ("refuse", Some(reason), None),
    };
    Act { verb, what: item.label(), file: Some(item.file.clone()), reason, diff }
}

/// As `kubectl diff` shows it.
fn diff(before: &Value, after: &Value) -> String {
    let (before, after) = (yaml::write(before), yaml::write(after));
    TextDiff::from_lines(&before, &after).unified_diff().header("live", "planned").to_string()
}

fn node(plan: &Plan) -> Act {
    let labels = plan.marks.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let taint = plan.marks.taint.iter().map(|key| format!("taint {key}:NoSchedule"));
    let marks: Vec<String> = labels.chain(taint).collect();
    Act { reason: Some(marks.join(", ")), ..act("label", &"Node of this machine") }
}

impl Preview {
    /// For a person.
    pub fn to_text(&self) -> String {
        let compared = match self.api {
            Some(endpoint) => format!("objects are compared with the API at {endpoint}"),
            None => "no API answers on this machine, so objects are not compared".to_owned(),
        };
        let mut text = format!("what start would do; nothing is changed; {compared}\n");
        for (index, Step { phase, acts }) in self.steps.iter().enumerate() {
            let told = writeln!(text, "\n{}. {phase}", index + 1);
            debug_assert!(told.is_ok(), "writing to a string cannot fail");
            acts.iter().for_each(|act| text.push_str(&line(act)));
        }
        text
    }

    /// For a program; docs/dry-run.md describes it.
    pub fn to_json(&self) -> Value {
        let act = |Act { verb, what, file, reason, diff }: &Act| {
            let mut fields = json!({"act": verb, "what": what});
            let optional = [("file", file), ("reason", reason), ("diff", diff)];
            for (name, value) in optional {
                if let Some(value) = value {
                    fields[name] = json!(value);
                }
            }
            fields
        };
        let step = |Step { phase, acts }: &Step| json!({"phase": phase, "acts": acts.iter().map(act).collect::<Vec<_>>()});
        json!({
            "format": FORMAT,
            "api": self.api.map(|endpoint| endpoint.to_string()),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }
}

/// One line, and a diff below it.
fn line(Act { verb, what, file, reason, diff }: &Act) -> String {
    let file = file.as_ref().map(|file| format!("  ({file})")).unwrap_or_default();
    let reason = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let diff: String =
        diff.iter().flat_map(|diff| diff.lines()).map(|line| format!("        {line}\n")).collect();
    format!("   {verb:9} {what}{file}{reason}\n{diff}")
}
