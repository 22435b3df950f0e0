//! What `start` would do, in order. Nothing is written, neither to the machine nor to the API.
//!
//! The phases and their acts come from where `start` has them: the table of phases, [`place`],
//! [`clear_stale_status`]. Objects are compared by server-side dry runs, if an API answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::ListParams;
use serde_json::{Value, json};
use similar::TextDiff;

use super::clear_stale_status::{self, Stale};
use super::error::Error;
use super::options::{Lookup, Options, SETTLED};
use super::plan::{Placement, Plan};
use super::take_over::{SELF_HOSTED, release_act};
use super::traffic_switch::steering;
use super::{adopt, begin, kubelet, machine, objects, place, take_over};
use crate::assets::{self, load::Layout};
use crate::cluster::apply::Item;
use crate::cluster::objects::Objects;
use crate::cluster::preview::{Foreseen, foresee};
use crate::cluster::{self, connect, node};
use crate::error::chain;
use crate::host::static_pods;
use crate::journal::{self, State};
use crate::phase::{Act, Command, LEADERS, Phase, Situation, Verb, local_addresses};
use crate::preflight::{self, Outcome};
use crate::{BOOTSTRAP_SECRETS, CONTROL_PLANE_KEYS, ETCD_KEYS, JOURNAL, LOCAL_KUBECONFIG, NAMESPACE};
use crate::{lint, yaml};

/// Version of the JSON form. Fields may be added without a new one.
const FORMAT: &str = "bootkube.dev/plan/v1";
/// The unknown of a phase whose acts depend on an API that does not answer yet.
const UNFORESEEN: &str =
    "no API answers, so it cannot be seen whether one that comes back says anything stale";

/// Everything that would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The address of the API with which objects were compared.
    pub api: Option<SocketAddr>,
    /// What start would say first.
    pub warnings: Vec<String>,
    /// Phases, in order.
    pub steps: Vec<Step>,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The phase.
    pub phase: Phase,
    /// What it would do. A phase that only waits has no acts.
    pub acts: Vec<Act>,
    /// What cannot be foreseen.
    pub note: Option<&'static str>,
}

/// What is known before acts are worked out.
struct Seen {
    warnings: Vec<String>,
    plan: Plan,
    before: State,
    situation: Situation,
    api: Option<(SocketAddr, Client)>,
    checks: Vec<Act>,
    objects: Vec<Act>,
    admission: Vec<Act>,
    stale: Vec<Stale>,
}

/// Works out what `start` would do.
///
/// # Errors
/// The assets cannot be used, or the machine or the API cannot be looked at.
pub async fn preview(options: &Options) -> Result<Preview, Error> {
    let seen = look(options).await?;
    let phases = Phase::of(Command::Start).filter(|phase| phase.runs(seen.situation));
    let steps = phases.map(|phase| {
        let is_unforeseen = phase == Phase::ClearStaleStatus && seen.api.is_none();
        let acts = seen.acts(phase, options)?;
        Ok(Step { phase, acts, note: is_unforeseen.then_some(UNFORESEEN) })
    });
    let steps = steps.collect::<Result<_, Error>>()?;
    Ok(Preview { api: seen.api.map(|(endpoint, _)| endpoint), warnings: seen.warnings, steps })
}

async fn look(options: &Options) -> Result<Seen, Error> {
    let lookup = &options.lookup;
    let layout = assets::load::load(&lookup.asset_dir).map_err(Error::Assets)?;
    let (before, warnings) = (journal::read(Path::new(JOURNAL))?, lint::warnings(&layout));
    let checks = failing(&layout, lookup, &before).await?;
    let plan = begin::plan(layout, lookup, &before, |_| {})?;
    let situation = begin::situation(&plan, &before).await?;
    let api = match machine::serving(&plan).await? {
        Ok(endpoint) => Some((endpoint, connect::connect(&plan.access, Some(endpoint))?)),
        Err(_) => None,
    };
    let client = api.as_ref().map(|(_, client)| client);
    let (objects, admission) = foreseen_objects(&plan, client, options).await?;
    let stale = match client.filter(|_| Phase::ClearStaleStatus.runs(situation)) {
        Some(client) => clear_stale_status::find(client, &plan.required, &|_| {}).await?,
        None => Vec::new(),
    };
    Ok(Seen { warnings, plan, before, situation, api, checks, objects, admission, stale })
}

impl Seen {
    fn acts(&self, phase: Phase, options: &Options) -> Result<Vec<Act>, Error> {
        Ok(match phase {
            Phase::Preflight => self.checks.clone(),
            Phase::RemoveOrphans => {
                let orphans = place::orphans(&self.plan, &self.before);
                orphans.iter().map(|path| Act::file(Verb::Remove, path)).collect()
            }
            Phase::PlaceEtcd => self.place_etcd(),
            Phase::PlaceApiserver => self.place_apiserver(),
            Phase::PlaceOthers => self.place_others()?,
            Phase::ClearStaleStatus => self.stale.iter().map(Stale::act).collect(),
            Phase::ApplyObjects => self.apply_objects(options),
            Phase::HandOver => self.hand_over(),
            Phase::ApplyAdmission => self.admission.clone(),
            Phase::Verify => self.verify(&options.lookup)?,
            // The others only wait, run after a failure, or belong to unpivot.
            Phase::WaitForApi
            | Phase::WaitForControlPlane
            | Phase::PutApiserverBack
            | Phase::TearDown
            | Phase::LookAtControlPlane
            | Phase::TakeAgentsPlace
            | Phase::PlaceStaticApiserver
            | Phase::PlaceStaticLeaders
            | Phase::RemoveAgent
            | Phase::HandOverToStatic
            | Phase::VerifyStatic => self.wait(phase),
        })
    }

    fn place_etcd(&self) -> Vec<Act> {
        let is_running = self.situation.is_past_pivot;
        let pods = self.plan.staying.iter().map(|pod| match place::staying(pod, &self.before, is_running) {
            Ok(found) => place::pod_act(&pod.path, found),
            Err(error) => refused(&pod.path, &error),
        });
        keys(Path::new(ETCD_KEYS), &self.plan.etcd_keys).into_iter().chain(pods).collect()
    }

    fn place_apiserver(&self) -> Vec<Act> {
        let mut acts = keys(Path::new(BOOTSTRAP_SECRETS), &self.plan.secrets);
        acts.push(self.static_pod(&self.plan.apiserver));
        acts
    }

    fn place_others(&self) -> Result<Vec<Act>, Error> {
        let kubeconfig = match &self.api {
            Some((endpoint, _)) => {
                let (path, content) = place::local_kubeconfig(&self.plan, *endpoint)?;
                place::key_act(&path, &content)
            }
            None => Act::file(Verb::Write, &Path::new(BOOTSTRAP_SECRETS).join(LOCAL_KUBECONFIG)),
        };
        let hold = steering(&self.plan, "the bootstrap apiserver");
        let pods = self.plan.others.iter().map(|pod| self.static_pod(pod));
        Ok(hold.into_iter().chain([kubeconfig]).chain(pods).collect())
    }

    fn static_pod(&self, pod: &Placement) -> Act {
        match place::look(pod, &self.before) {
            Ok(found) => place::pod_act(&pod.path, Some(found)),
            Err(error) => refused(&pod.path, &error),
        }
    }

    fn apply_objects(&self, options: &Options) -> Vec<Act> {
        let restart = options.apply.restart_kubelet.as_deref().filter(|_| self.situation.restarts_kubelet());
        self.objects.iter().cloned().chain(restart.map(kubelet::act)).collect()
    }

    /// The acts of handing over the leaders early, if that is done (see [`Self::hand_over`]).
    fn wait(&self, phase: Phase) -> Vec<Act> {
        match phase == Phase::WaitForControlPlane && self.hands_leaders_over_early() {
            true => self.remove_leaders(),
            false => Vec::new(),
        }
    }

    fn hands_leaders_over_early(&self) -> bool {
        !self.situation.is_past_pivot && take_over::has_named_leaders(&self.plan)
    }

    fn remove_leaders(&self) -> Vec<Act> {
        let removed = self.plan.others.iter().map(|pod| Act::file(Verb::Remove, &pod.path));
        let is_created = |lease: &&str| {
            let is_it = |act: &Act| act.what.ends_with(&format!(" {NAMESPACE}/{lease}")) && is_workload(act);
            self.objects.iter().any(|act| act.verb == Verb::Create && is_it(act))
        };
        removed.chain(LEADERS.into_iter().filter(|lease| is_created(lease)).map(release_act)).collect()
    }

    fn hand_over(&self) -> Vec<Act> {
        let leaders = if self.hands_leaders_over_early() { Vec::new() } else { self.remove_leaders() };
        let steer = steering(&self.plan, SELF_HOSTED).filter(|_| self.plan.conflict.is_none());
        let apiserver = Act::file(Verb::Remove, &self.plan.apiserver.path);
        leaders.into_iter().chain(steer).chain([apiserver]).collect()
    }

    fn verify(&self, lookup: &Lookup) -> Result<Vec<Act>, Error> {
        let secrets = Path::new(BOOTSTRAP_SECRETS);
        let has_secrets =
            !self.situation.is_past_pivot || secrets.exists() || self.before.things.contains_key(secrets);
        let is_adopted = self.plan.apiserver.role == journal::Role::ControlPlanePod;
        let keys = Path::new(CONTROL_PLANE_KEYS);
        let has_keys = adopt::has_unread_keys(&lookup.pod_manifest_path)? || is_adopted;
        let folders = [(has_secrets, secrets), (has_keys && keys.exists(), keys)];
        let removed = folders.into_iter().filter(|(is_removed, _)| *is_removed);
        Ok(removed.map(|(_, folder)| Act::file(Verb::Remove, folder)).collect())
    }
}

fn is_workload(act: &Act) -> bool {
    ["DaemonSet ", "Deployment "].iter().any(|kind| act.what.starts_with(kind))
}

fn refused(path: &Path, error: &static_pods::Error) -> Act {
    Act::file(Verb::Refuse, path).because(chain(error))
}

fn keys(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Vec<Act> {
    match static_pods::check_key_folder(folder) {
        Ok(()) => place::key_acts(folder, files),
        Err(error) => vec![refused(folder, &error)],
    }
}

async fn failing(layout: &Layout, lookup: &Lookup, before: &State) -> Result<Vec<Act>, Error> {
    let look = lookup.checks(before, SETTLED);
    let checks = preflight::run(layout, &look, |_| {}).await?;
    let acts = checks.iter().flat_map(|check| {
        let problems = match &check.outcome {
            Outcome::Fail(problems) => problems.as_slice(),
            _ => &[],
        };
        problems
            .iter()
            .map(|problem| Act::new(Verb::Fail, check.name.to_string()).because(problem.what.clone()))
    });
    Ok(acts.collect())
}

async fn foreseen_objects(
    plan: &Plan,
    client: Option<&Client>,
    options: &Options,
) -> Result<(Vec<Act>, Vec<Act>), Error> {
    let items: Vec<&Item> = plan.stages.iter().chain(&plan.admission).flatten().collect();
    let foreseen = match client {
        Some(client) => foresee(client, &items, options.apply.force_conflicts).await,
        None => vec![Foreseen::Create; items.len()],
    };
    let mut acts: Vec<Act> =
        items.into_iter().zip(foreseen).map(|(item, foreseen)| object(item, foreseen)).collect();
    let admission = acts.split_off(plan.stages.iter().flatten().count());
    acts.push(objects::mark_act(plan, lacks_marks(plan, client).await?));
    Ok((acts, admission))
}

/// Whether the node of this machine would be changed, as one is that has not registered yet.
async fn lacks_marks(plan: &Plan, client: Option<&Client>) -> Result<bool, Error> {
    let Some(client) = client else { return Ok(true) };
    let local = local_addresses()?;
    let nodes = Objects::<Node>::all(client).list(&ListParams::default()).await;
    let nodes = nodes.map_err(|error| cluster::Error::refused("list", "nodes", &error))?;
    let own = nodes.iter().find(|node| node::is_node_at(&local, node));
    let taint = objects::taint(plan);
    Ok(own.is_none_or(|own| node::lacks_marks(own, &plan.marks.labels, taint.as_ref())))
}

fn object(item: &Item, foreseen: Foreseen) -> Act {
    let (verb, reason, diff) = match foreseen {
        Foreseen::Create => (Verb::Create, None, None),
        Foreseen::Unchanged => (Verb::Unchanged, None, None),
        Foreseen::Change { before, after } => (Verb::Change, None, Some(diff(&before, &after))),
        Foreseen::Refuse { reason } => (Verb::Refuse, Some(reason), None),
    };
    Act { verb, what: item.label(), file: Some(item.file.clone()), reason, diff }
}

/// As `kubectl diff` shows it.
fn diff(before: &Value, after: &Value) -> String {
    let (before, after) = (yaml::write(before), yaml::write(after));
    TextDiff::from_lines(&before, &after).unified_diff().header("live", "planned").to_string()
}

impl Preview {
    /// For a person.
    pub fn to_text(&self) -> String {
        let compared = match self.api {
            Some(endpoint) => format!("objects are compared with the API at {endpoint}"),
            None => "no API answers on this machine, so objects are not compared".to_owned(),
        };
        let mut text = format!("what start would do; nothing is changed; {compared}\n");
        self.warnings.iter().for_each(|warning| text.push_str(&format!("warning: {warning}\n")));
        for (index, Step { phase, acts, note }) in self.steps.iter().enumerate() {
            let note = note.map(|note| format!("   ({note})\n")).unwrap_or_default();
            let written = write!(text, "\n{}. {phase}\n{note}", index + 1);
            debug_assert!(written.is_ok(), "writing to a string cannot fail");
            acts.iter().for_each(|act| text.push_str(&act.to_text()));
        }
        text
    }

    /// For a program; docs/dry-run.md describes it.
    pub fn to_json(&self) -> Value {
        let step = |Step { phase, acts, note }: &Step| {
            let acts: Vec<Value> = acts.iter().map(Act::to_json).collect();
            let mut fields = json!({"phase": phase.name(), "does": phase.does(), "acts": acts});
            if let Some(note) = note {
                fields["note"] = json!(note);
            }
            fields
        };
        json!({
            "format": FORMAT,
            "api": self.api.map(|endpoint| endpoint.to_string()),
            "warnings": self.warnings,
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }
}
