//! The phases of a pivot, in order.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::Taint;
use kube::Client;

use super::machine::{self, PROBE};
use super::plan::Plan;
use super::required::Required;
use super::runner::{Progress, Runner};
use super::{Error, Options, Report};
use crate::assets;
use crate::cluster::apply::{self, Item, Listener, Outcome};
use crate::cluster::lease::{self, Leader};
use crate::cluster::wait::{Workloads, wait_for_workloads};
use crate::cluster::{connect, node, wait};
use crate::host::addresses;
use crate::ui::Sink;

/// Elected components, by the name of their lease.
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// Brings up the bootstrap control plane, applies everything, and hands over to what was applied.
///
/// A machine that serves the API already, without a bootstrap pod, is past its pivot: then objects are applied and verified, and
/// nothing is placed.
pub async fn start(options: &Options, sink: &dyn Sink) -> Result<Report, Error> {
    let layout = assets::load::load(&options.asset_dir).map_err(Error::Assets)?;
    for warning in &layout.warnings {
        sink.tell(crate::ui::Event::Warning(warning.clone()));
    }
    let plan = Plan::new(layout, options)?;
    machine::check(&plan)?;
    let mut runner = Runner::new(sink, options.timeout);
    let self_hosted = is_self_hosted(&plan).await?;
    if !self_hosted {
        bring_up(&plan, &mut runner).await?;
    }
    let api = runner.phase("wait for the API", async |progress| connect(&plan, progress).await).await?;
    if !self_hosted {
        let place = async |_: &Progress| machine::place_others(&plan, api.endpoint);
        runner.phase("place the other bootstrap pods", place).await?;
    }
    let apply = async |progress: &Progress| apply(&plan, options, &api.client, progress).await;
    let applied = runner.phase("apply objects", apply).await?;
    let wait =
        async |progress: &Progress| wait_required(&plan.required, &applied, &api.client, progress).await;
    runner.phase("wait for the self-hosted control plane", wait).await?;
    let mut last = Leaders::default();
    if !self_hosted {
        let hand_over = async |progress: &Progress| hand_over(&plan, &api, &applied, progress).await;
        last = runner.phase("hand over", hand_over).await?;
    }
    runner.phase("verify", async |progress| verify(&plan, &last, progress).await).await?;
    Ok(Report { times: runner.times, applied: applied.total, refused: applied.refused, node: applied.node })
}

/// Whether this machine's API is served by something other than our bootstrap pods.
async fn is_self_hosted(plan: &Plan) -> Result<bool, Error> {
    let bootstrapping = plan.temporary().any(|pod| pod.path.exists());
    Ok(!bootstrapping && machine::serving(plan).await?.is_ok())
}

async fn bring_up(plan: &Plan, runner: &mut Runner<'_>) -> Result<(), Error> {
    if !plan.staying.is_empty() {
        runner.phase("place etcd", async |_| machine::place_etcd(plan)).await?;
    }
    runner.phase("place the bootstrap apiserver", async |_| machine::place_apiserver(plan)).await
}

/// The API of this machine.
struct Api {
    endpoint: SocketAddr,
    client: Client,
}

async fn connect(plan: &Plan, progress: &Progress<'_>) -> Result<Api, Error> {
    let endpoint = machine::wait_api(plan, progress).await?;
    let client = connect::connect(&plan.access, Some(endpoint))?;
    Ok(Api { endpoint, client })
}

/// What came of applying.
struct Applied {
    total: usize,
    refused: Vec<String>,
    node: String,
    /// Workloads that did not exist before.
    created: Vec<String>,
}

/// Applies every object, and makes this node a controller as soon as it appears: the control plane waits for its label.
async fn apply(
    plan: &Plan,
    options: &Options,
    client: &Client,
    progress: &Progress<'_>,
) -> Result<Applied, Error> {
    let settings = apply::Options {
        force_conflicts: options.force_conflicts,
        strict: options.strict,
        deadline: options.timeout,
        ..apply::Options::default()
    };
    let listener = Listener {
        outcome: &|item, outcome| tracing::debug!(object = item.label(), ?outcome, "applied"),
        waiting: &|item, why| tracing::debug!(object = item.label(), why, "not yet"),
    };
    let apply = async { Ok(apply::apply_all(client, &plan.stages, &settings, listener).await) };
    let (outcomes, node) = futures::try_join!(apply, mark_node(plan, client, progress))?;
    let mut applied = Applied { total: 0, refused: Vec::new(), node, created: Vec::new() };
    for (item, outcome) in plan.stages.iter().flatten().zip(outcomes.iter().flatten()) {
        applied.take(item, outcome);
    }
    applied.refused.iter().for_each(|line| progress.warn(line.clone()));
    let Applied { total, refused, created, .. } = &applied;
    progress.info(format!("{total} objects applied: {} new, {} refused", created.len(), refused.len()));
    match options.strict && !applied.refused.is_empty() {
        true => Err(Error::Refused(applied.refused)),
        false => Ok(applied),
    }
}

impl Applied {
    fn take(&mut self, item: &Item, outcome: &Outcome) {
        self.total += 1;
        let refused = match outcome {
            Outcome::Created => return self.created.push(item.label()),
            Outcome::Configured | Outcome::Unchanged => return,
            Outcome::Failed { reason } => reason,
            Outcome::Skipped => "not tried",
        };
        self.refused.push(format!("{}: {}: {refused}", item.file, item.label()));
    }
}

async fn mark_node(plan: &Plan, client: &Client, progress: &Progress<'_>) -> Result<String, Error> {
    let local = addresses::local()
        .map_err(|source| Error::Host { act: "list the addresses of this machine", source })?;
    let name = node::wait_for_node(client, &local, &mut |why| progress.waiting(why)).await;
    let taint = plan.marks.taint.as_ref().map(|key| Taint {
        key: key.clone(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    });
    node::label_and_taint_node(client, &name, &plan.marks.labels, taint.as_ref()).await?;
    Ok(name)
}

/// Waits until every required pod is Ready, by the pods of the objects that were applied. An object that is not there because it
/// was refused is not waited for.
async fn wait_required(
    required: &[Required],
    applied: &Applied,
    client: &Client,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let namespaces: BTreeSet<&str> = required.iter().map(|required| required.namespace.as_str()).collect();
    for namespace in namespaces {
        let here = || required.iter().filter(|required| required.namespace == namespace);
        let is_done = |seen: &Workloads| {
            if let Some(missing) = here().find(|required| !required.is_there(seen)) {
                return match applied.refused.is_empty() {
                    true => wait::Progress::Not(format!("{missing} is not there")),
                    false => wait::Progress::Done(Err(missing.to_string())),
                };
            }
            match here().map(|required| required.is_ready(&applied.node, seen)).find_map(Result::err) {
                None => wait::Progress::Done(Ok(())),
                Some(why) => wait::Progress::Not(why),
            }
        };
        wait_for_workloads(client, namespace, is_done, &mut |why| progress.waiting(why))
            .await
            .map_err(|required| Error::RequiredRefused { required, refused: applied.refused.clone() })?;
    }
    Ok(())
}

/// Takes the bootstrap control plane away: first those that lead, so that the self-hosted ones can, then the apiserver. Returns what
/// the leases said when those that led had ended.
async fn hand_over(
    plan: &Plan,
    api: &Api,
    applied: &Applied,
    progress: &Progress<'_>,
) -> Result<Leaders, Error> {
    let before = leaders(&api.client).await?;
    machine::wait_self_hosted(plan, progress).await?;
    machine::remove_others(plan, progress).await?;
    let last = leaders(&api.client).await?;
    for (lease, leader) in LEADERS.into_iter().zip(before) {
        // Only a component that this run created cannot have led before the bootstrap one, which created its pods.
        let ours = applied.created.iter().any(|object| object.ends_with(&format!("/{lease}")));
        if let (Some(leader), true) = (leader, ours) {
            lease::release_lease(&api.client, lease, &leader.holder).await?;
        }
    }
    machine::remove_apiserver(plan, progress).await?;
    Ok(last)
}

/// Who leads, in the order of [`LEADERS`].
type Leaders = [Option<Leader>; 2];

async fn leaders(client: &Client) -> Result<Leaders, Error> {
    let [manager, scheduler] = LEADERS.map(|name| lease::leader(client, name));
    let (manager, scheduler) = futures::try_join!(manager, scheduler)?;
    Ok([manager, scheduler])
}

/// Asks the API of this machine, over a fresh connection, and waits until the elected components lead: a lease that still says what it
/// said when the bootstrap control plane ended may be that of a dead leader. What the bootstrap pods read goes last, after their
/// processes, also where an earlier run was interrupted before it.
async fn verify(plan: &Plan, last: &Leaders, progress: &Progress<'_>) -> Result<(), Error> {
    machine::remove_secrets()?;
    let api = connect(plan, progress).await?;
    loop {
        let now = leaders(&api.client).await?;
        let leads = |(now, last): (&Option<Leader>, &Option<Leader>)| now.is_some() && now != last;
        let Some(silent) = now.iter().zip(last).position(|pair| !leads(pair)) else { return Ok(()) };
        progress.waiting(format!("no {} leads yet", LEADERS[silent]));
        tokio::time::sleep(PROBE).await;
    }
}
