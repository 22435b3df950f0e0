//! The phases of a pivot, in order.

use std::net::SocketAddr;

use kube::Client;

use super::machine::{self, PROBE};
use super::plan::Plan;
use super::required::Required;
use super::runner::{Progress, Runner};
use super::{Error, Options, Report};
use crate::cluster::{self, ApplyOptions, Item, Outcome};
use crate::host::addresses;
use crate::ui::Sink;
use crate::{NAMESPACE, assets};

/// Elected components, by the name of their lease.
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// Brings up the bootstrap control plane, applies everything, and hands over to what was applied.
///
/// A machine that serves the API already, without a bootstrap pod, is past its pivot: then objects are applied and verified, and
/// nothing is placed.
pub async fn start(options: &Options, sink: &dyn Sink) -> Result<Report, Error> {
    let layout = assets::load(&options.asset_dir)?;
    for warning in &layout.warnings {
        sink.tell(crate::ui::Event::Warning(warning.clone()));
    }
    let plan = Plan::new(layout, &options.pod_manifest_path, options.required_pods.as_deref())?;
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
    let wait = async |progress: &Progress| wait_required(&plan.required, &api.client, progress).await;
    runner.phase("wait for the self-hosted control plane", wait).await?;
    if !self_hosted {
        let hand_over = async |progress: &Progress| hand_over(&plan, &api, &applied, progress).await;
        runner.phase("hand over", hand_over).await?;
    }
    runner.phase("verify", async |progress| verify(&plan, progress).await).await?;
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
    let client = cluster::connect(&plan.access, Some(endpoint))?;
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
    let settings = ApplyOptions {
        force_conflicts: options.force_conflicts,
        strict: options.strict,
        timeout: options.timeout,
    };
    let mut created = Vec::new();
    let mut refused = Vec::new();
    let mut on_outcome = |item: &Item, outcome: &Outcome| match outcome {
        Outcome::Created => created.push(item.describe()),
        Outcome::Failed { reason } => {
            let line = format!("{}: {}: {reason}", item.file, item.describe());
            progress.warn(line.clone());
            refused.push(line);
        }
        Outcome::Configured | Outcome::Unchanged => {}
    };
    let apply = async { Ok(cluster::apply_all(client, &plan.stages, &settings, &mut on_outcome).await?) };
    let (_, node) = futures::try_join!(apply, mark_node(plan, client, progress))?;
    let total = plan.stages.iter().map(Vec::len).sum();
    let essential = plan.required.iter().any(|required| refused.iter().any(|line| line.contains(&required.prefix)));
    if !refused.is_empty() && (options.strict || essential) {
        return Err(Error::Refused { refused, total });
    }
    progress.info(format!("{total} objects applied, {} of them new, {} refused", created.len(), refused.len()));
    Ok(Applied { total, refused, node, created })
}

async fn mark_node(plan: &Plan, client: &Client, progress: &Progress<'_>) -> Result<String, Error> {
    let local = addresses::local()
        .map_err(|source| Error::Host { act: "list the addresses of this machine", source })?;
    let node = cluster::wait_node(client, &local, &mut |why| progress.waiting(why)).await?;
    cluster::mark_node(client, &node, &plan.marks.labels, plan.marks.taint.as_deref()).await?;
    Ok(node)
}

/// Waits until every required pod is Ready, by the pods of the objects that were applied.
async fn wait_required(required: &[Required], client: &Client, progress: &Progress<'_>) -> Result<(), Error> {
    for Required { namespace, prefix, workload } in required {
        cluster::wait_ready(client, namespace, prefix, *workload, &mut |why| progress.waiting(why)).await?;
    }
    Ok(())
}

/// Takes the bootstrap control plane away: first those that lead, so that the self-hosted ones can, then the apiserver.
async fn hand_over(plan: &Plan, api: &Api, applied: &Applied, progress: &Progress<'_>) -> Result<(), Error> {
    let mut holders = Vec::new();
    for lease in LEADERS {
        holders.push(cluster::lease_holder(&api.client, NAMESPACE, lease).await?);
    }
    machine::remove_others(plan, progress).await?;
    for (lease, holder) in LEADERS.into_iter().zip(holders) {
        // Only a component that this run created cannot have led before the bootstrap one, which created its pods.
        let ours = applied.created.iter().any(|object| object.ends_with(&format!("/{lease}")));
        if let (Some(holder), true) = (holder, ours) {
            cluster::release_lease(&api.client, NAMESPACE, lease, &holder).await?;
        }
    }
    machine::remove_apiserver(plan, progress).await?;
    machine::remove_secrets()
}

/// Asks the API of this machine, over a fresh connection, and waits until the elected components lead.
async fn verify(plan: &Plan, progress: &Progress<'_>) -> Result<(), Error> {
    let api = connect(plan, progress).await?;
    for lease in LEADERS {
        while cluster::lease_holder(&api.client, NAMESPACE, lease).await?.is_none() {
            progress.waiting(format!("{lease} to lead"));
            tokio::time::sleep(PROBE).await;
        }
    }
    Ok(())
}
