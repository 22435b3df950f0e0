//! The phases of a pivot, in order.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use kube::Client;
use tokio::sync::{Notify, watch};

use super::kubelet;
use super::lives::Lives;
use super::machine::{self, PROBE};
use super::newcomer;
use super::observe::{self, Observed};
use super::plan::Plan;
use super::required::Required;
use super::runner::{Progress, Runner};
use super::stale;
use super::unpivot::adopt;
use super::{Error, LEADERS, Options, Refused, Report};
use crate::NAMESPACE;
use crate::assets::{self, load::Layout};
use crate::cluster::apply::{self, Item, Listener, Outcome};
use crate::cluster::lease::{self, Leader};
use crate::cluster::wait::{Workloads, wait_for_workloads};
use crate::cluster::{connect, node, wait};
use crate::host::{addresses, steering};
use crate::preflight;
use crate::ui::{Event, Sink};

/// For all objects together. What is still refused then is reported, and does not hold up the rest.
const APPLY_DEADLINE: Duration = Duration::from_secs(300);
/// Said where the kernel refuses.
const UNSTEERED: &str = "this machine does not steer connections, so a few may fail when the bootstrap apiserver goes, and more in every \
    later roll of the apiserver";
/// For services of a machine that was switched on a moment ago.
const SETTLING: Duration = Duration::from_secs(15);

/// Brings up the bootstrap control plane, applies everything, and hands over to what was applied.
///
/// A machine that serves the API already, without a bootstrap pod, is past its pivot: then objects are applied and verified, and
/// nothing is placed.
pub async fn start(options: &Options, sink: &dyn Sink) -> Result<Report, Error> {
    let layout = assets::load::load(&options.asset_dir).map_err(Error::Assets)?;
    for warning in &layout.warnings {
        sink.tell(Event::Warning(warning.clone()));
    }
    let mut runner = Runner::new(sink, options.timeout);
    runner.phase("preflight", async |progress| preflight(&layout, options, progress).await).await?;
    let mut plan = Plan::new(layout, options)?;
    if let (true, Err(error)) = (plan.is_steered, steering::check()) {
        sink.tell(Event::Warning(format!("{UNSTEERED}: {error}")));
        plan.step_aside();
    }
    adopt::adopt(&mut plan, &options.pod_manifest_path)?;
    observe::beside(Observed::of(&plan, options)?, sink, pivot(plan, options, sink, runner)).await
}

/// The phases.
async fn pivot(
    plan: Plan,
    options: &Options,
    sink: &dyn Sink,
    mut runner: Runner<'_>,
) -> Result<Report, Error> {
    let self_hosted = examine(&plan, sink).await.map_err(|error| Error::Unready(Box::new(error)))?;
    bring_up(&plan, self_hosted, &mut runner).await?;
    let api = runner
        .phase("wait for the API", async |progress| connect(&plan, machine::USABLE, progress).await)
        .await?;
    if !self_hosted {
        newcomer::hold(&plan).await?;
        let place = async |progress: &Progress| {
            progress.acts("place the other bootstrap pods");
            machine::place_others(&plan, api.endpoint)
        };
        runner.phase("place the other bootstrap pods", place).await?;
        let clear =
            async |progress: &Progress| stale::clear(&api.client, &plan.required, &LEADERS, progress).await;
        runner.phase("clear what is stale", clear).await?;
    }
    let restart = options.restart_kubelet.as_deref().filter(|_| !self_hosted);
    let apply = async |progress: &Progress| apply(&plan, options, restart, &api.client, progress).await;
    let applied = runner.phase("apply objects", apply).await?;
    let mut last = Leaders::default();
    if self_hosted {
        let wait =
            async |progress: &Progress| wait_required(&plan.required, &applied, &api.client, progress).await;
        runner.phase("wait for the self-hosted control plane", wait).await?;
    } else {
        last = take_over(&plan, &api, &applied, &mut runner).await?;
    }
    let folder = &options.pod_manifest_path;
    runner.phase("verify", async |progress| verify(&plan, folder, &last, progress).await).await?;
    let Applied { count, refused, node, created: _ } = applied;
    Ok(Report { times: runner.times, applied: count, refused, node })
}

/// Ends the work if a check of the machine fails; tells what was not seen, and what the user does not mind.
async fn preflight(layout: &Layout, options: &Options, progress: &Progress<'_>) -> Result<(), Error> {
    let look = preflight::Options {
        asset_dir: options.asset_dir.clone(),
        pod_manifest_path: options.pod_manifest_path.clone(),
        ignored: options.ignored.clone(),
        placed: BTreeSet::new(),
        now: time::OffsetDateTime::now_utc(),
        patience: SETTLING,
    };
    let checks = preflight::run(layout, &look, |what| progress.waiting(what)).await?;
    preflight::notes(&checks).into_iter().for_each(|note| progress.info(note));
    Ok(preflight::Failed::among(&checks)?)
}

/// Looks at the machine before it is touched; says whether it is past its pivot: an apiserver other than the bootstrap one serves.
async fn examine(plan: &Plan, sink: &dyn Sink) -> Result<bool, Error> {
    machine::check_root()?;
    let bootstrapping = plan.temporary().any(|pod| pod.path.exists());
    if bootstrapping || !machine::is_served_by_another(plan).await? {
        machine::check(plan)?;
        return Ok(false);
    }
    for path in machine::changed_staying(plan)? {
        let warning = format!("{} differs from what was rendered and is left as it is", path.display());
        sink.tell(Event::Warning(warning));
    }
    Ok(true)
}

async fn bring_up(plan: &Plan, self_hosted: bool, runner: &mut Runner<'_>) -> Result<(), Error> {
    if !plan.staying.is_empty() {
        let place = async |_: &Progress| machine::place_etcd(plan, self_hosted);
        runner.phase("place etcd", place).await?;
    }
    match self_hosted {
        true => Ok(()),
        false => {
            runner.phase("place the bootstrap apiserver", async |_| machine::place_apiserver(plan)).await
        }
    }
}

/// The API of this machine.
struct Api {
    endpoint: SocketAddr,
    client: Client,
}

async fn connect(plan: &Plan, path: &str, progress: &Progress<'_>) -> Result<Api, Error> {
    let endpoint = machine::wait_api(plan, path, progress).await?;
    let client = connect::connect(&plan.access, Some(endpoint))?;
    Ok(Api { endpoint, client })
}

/// What came of applying.
struct Applied {
    /// How many are as they should be.
    count: usize,
    refused: Vec<Refused>,
    node: String,
    /// Labels of objects that did not exist before.
    created: Vec<String>,
}

/// Applies every object, and makes this node a controller as soon as it appears: the control plane waits for its label.
async fn apply(
    plan: &Plan,
    options: &Options,
    restart_kubelet: Option<&str>,
    client: &Client,
    progress: &Progress<'_>,
) -> Result<Applied, Error> {
    let token_is_there = Notify::new();
    let settings = apply::Options {
        force_conflicts: options.force_conflicts,
        strict: options.strict,
        deadline: options.timeout.mul_f32(0.5).min(APPLY_DEADLINE),
        ..apply::Options::default()
    };
    let listener = Listener {
        outcome: &|item, outcome, took| {
            progress.object(item, outcome, took);
            if item.value["type"] == kubelet::BOOTSTRAP_TOKEN {
                token_is_there.notify_one();
            }
            if let Some(refused) = Refused::of(item, outcome) {
                progress.warn(refused.to_string());
            }
        },
        waiting: &|item, why| progress.waiting(format!("{}: {why}", item.label())),
    };
    let apply = async {
        let applied = Applied::of(plan, &apply::apply_all(client, &plan.stages, &settings, listener).await);
        match options.strict && !applied.refused.is_empty() {
            true => Err(Error::Refused(applied.refused)),
            false => Ok(applied),
        }
    };
    let restart = async {
        match restart_kubelet {
            Some(command) => kubelet::restart(plan, command, &token_is_there, progress).await,
            None => Ok(()),
        }
    };
    let (mut applied, node, ()) = futures::try_join!(apply, mark_node(plan, client, progress), restart)?;
    applied.node = node;
    let Applied { count, refused, created, .. } = &applied;
    progress.info(format!(
        "{count} objects applied, {} of them new; {} refused",
        created.len(),
        refused.len()
    ));
    Ok(applied)
}

impl Applied {
    fn of(plan: &Plan, outcomes: &[Vec<Outcome>]) -> Self {
        let mut applied = Self { count: 0, refused: Vec::new(), node: String::new(), created: Vec::new() };
        for (item, outcome) in plan.stages.iter().flatten().zip(outcomes.iter().flatten()) {
            match Refused::of(item, outcome) {
                Some(refused) => applied.refused.push(refused),
                None => applied.count += 1,
            }
            if *outcome == Outcome::Created {
                applied.created.push(item.label());
            }
        }
        applied
    }

    /// Whether this run made the workload called `name` in kube-system.
    fn has_created(&self, name: &str) -> bool {
        let is_it = |label: &String| {
            ["DaemonSet", "Deployment"].iter().any(|kind| *label == format!("{kind} {NAMESPACE}/{name}"))
        };
        self.created.iter().any(is_it)
    }
}

impl Refused {
    fn of(item: &Item, outcome: &Outcome) -> Option<Self> {
        let reason = match outcome {
            Outcome::Created | Outcome::Configured | Outcome::Unchanged => return None,
            Outcome::Failed { reason } => reason.clone(),
            Outcome::Skipped => "not tried, because an earlier one was refused".to_owned(),
        };
        Some(Self { file: item.file.clone(), object: item.label(), reason })
    }
}

async fn mark_node(plan: &Plan, client: &Client, progress: &Progress<'_>) -> Result<String, Error> {
    let local = addresses::local()
        .map_err(|source| Error::Host { act: "list the addresses of this machine", source })?;
    let name = node::wait_for_node(client, &local, &mut |why| progress.waiting(why)).await;
    progress.observed(format!("node {name} registered"));
    let taint = plan.marks.taint.as_ref().map(|key| Taint {
        key: key.clone(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    });
    progress.acts(format!("label node {name}"));
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
        let mut lives = Lives::default();
        let here = || required.iter().filter(|required| required.namespace == namespace);
        let is_done = |seen: &Workloads| {
            lives.see(seen.pods.iter().filter(|pod| here().any(|required| required.names(pod))), progress);
            if let Some(missing) = here().find(|required| !required.is_there(seen)) {
                return match applied.refused.iter().find(|refused| missing.is_object(&refused.object)) {
                    None => wait::Progress::Not(format!("{missing} is not there")),
                    Some(refused) => wait::Progress::Done(Err(refused.clone())),
                };
            }
            match here().map(|required| required.is_ready(&applied.node, seen)).find_map(Result::err) {
                None => {
                    progress.observed(format!("the pods required of {namespace} are Ready"));
                    wait::Progress::Done(Ok(()))
                }
                Some(why) => wait::Progress::Not(why),
            }
        };
        wait_for_workloads(client, namespace, is_done, &mut |why| progress.waiting(why))
            .await
            .map_err(|refused| Error::Refused(vec![refused]))?;
    }
    Ok(())
}

/// From the first self-hosted pod to the last bootstrap one. All the while new connections go to whoever is ready.
async fn take_over(
    plan: &Plan,
    api: &Api,
    applied: &Applied,
    runner: &mut Runner<'_>,
) -> Result<Leaders, Error> {
    let served = watch::Sender::default();
    let introduce = newcomer::introduce(plan, &api.client, &applied.node, &served);
    let mut introduce = std::pin::pin!(introduce);
    let mut last = None;
    let mut wait = async |progress: &Progress| {
        let all = wait_required(&plan.required, applied, &api.client, progress);
        let leaders = async {
            last = early_leaders(plan, api, applied, progress).await?;
            Ok(())
        };
        futures::try_join!(all, leaders).map(drop)
    };
    runner
        .phase("wait for the self-hosted control plane", async |progress| {
            beside(&mut introduce, wait(progress)).await
        })
        .await?;
    let hand_over = async |progress: &Progress| {
        let last = match last {
            Some(last) => last,
            None => hand_over_leaders(plan, api, applied, progress).await?,
        };
        hand_over_apiserver(plan, &served, progress).await?;
        Ok(last)
    };
    runner.phase("hand over", async |progress| beside(&mut introduce, hand_over(progress)).await).await
}

/// The controller manager and the scheduler need not wait for the self-hosted apiserver: the bootstrap one serves both of each. None
/// where they are not required by name; then they go last.
async fn early_leaders(
    plan: &Plan,
    api: &Api,
    applied: &Applied,
    progress: &Progress<'_>,
) -> Result<Option<Leaders>, Error> {
    let is_leader = |required: &&Required| {
        required.namespace == NAMESPACE
            && LEADERS.contains(&required.prefix.as_str())
            && required.workload.is_some()
    };
    let required: Vec<Required> = plan.required.iter().filter(is_leader).cloned().collect();
    if required.len() < LEADERS.len() {
        return Ok(None);
    }
    wait_required(&required, applied, &api.client, progress).await?;
    hand_over_leaders(plan, api, applied, progress).await.map(Some)
}

/// Does `work`, and `aside` as long as that takes. Only a failure of `aside` is of interest.
async fn beside<T>(
    aside: &mut (impl Future<Output = Result<(), Error>> + Unpin),
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => done,
        failed = aside => match failed {
            Err(error) => Err(error),
            Ok(()) => work.await,
        },
    }
}

/// Takes those of the bootstrap control plane away that lead, so that the self-hosted ones can. Returns what the leases said when they
/// had ended.
async fn hand_over_leaders(
    plan: &Plan,
    api: &Api,
    applied: &Applied,
    progress: &Progress<'_>,
) -> Result<Leaders, Error> {
    let before = leaders(&api.client).await?;
    machine::remove_others(plan, progress).await?;
    let last = leaders(&api.client).await?;
    for (lease, leader) in LEADERS.into_iter().zip(before) {
        // Only a component that this run created cannot have led before the bootstrap one, which created its pods.
        if let (Some(leader), true) = (leader, applied.has_created(lease)) {
            progress.acts(format!("release the lease of {lease}"));
            let release = lease::release_lease(&api.client, lease, &leader.holder).await?;
            tracing::debug!(lease, ?release, "lease of the bootstrap control plane");
        }
    }
    Ok(last)
}

/// Takes the bootstrap apiserver away, once another one serves.
async fn hand_over_apiserver(
    plan: &Plan,
    served: &watch::Sender<Option<String>>,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    if plan.is_steered {
        progress.waiting("new connections do not go to the self-hosted apiserver yet");
        served.subscribe().wait_for(Option::is_some).await.map_err(|_| Error::Unserved)?;
    }
    machine::wait_self_hosted(plan, &|why| progress.waiting(why)).await?;
    machine::remove_apiserver(plan, progress).await
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
async fn verify(plan: &Plan, folder: &Path, last: &Leaders, progress: &Progress<'_>) -> Result<(), Error> {
    progress.acts("remove what the bootstrap pods read");
    machine::remove_secrets()?;
    adopt::forget(folder)?;
    let api = connect(plan, machine::READY, progress).await?;
    loop {
        let now = leaders(&api.client).await?;
        let leads = |(now, last): (&Option<Leader>, &Option<Leader>)| now.is_some() && now != last;
        let Some(silent) = now.iter().zip(last).position(|pair| !leads(pair)) else { return Ok(()) };
        progress.waiting(format!("no {} leads yet", LEADERS[silent]));
        tokio::time::sleep(PROBE).await;
    }
}
