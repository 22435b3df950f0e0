//! The phases of a pivot, in order.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use kube::Client;

use super::machine;
use super::newcomer;
use super::objects::{self, Applied};
use super::observe::{self, Observed};
use super::plan::Plan;
use super::runner::{Progress, Runner};
use super::take_over::{self, Leaders};
use super::{Error, Options, Report};
use crate::assets::{self, load::Layout};
use crate::cluster::connect;
use crate::host::steering;
use crate::preflight;
use crate::ui::{Event, Sink};

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
    }
    let restart = options.restart_kubelet.as_deref().filter(|_| !self_hosted);
    let apply =
        async |progress: &Progress| objects::apply(&plan, options, restart, &api.client, progress).await;
    let applied = runner.phase("apply objects", apply).await?;
    let mut last = Leaders::default();
    if self_hosted {
        let wait = async |progress: &Progress| {
            objects::wait_required(&plan.required, &applied, &api.client, progress).await
        };
        runner.phase("wait for the self-hosted control plane", wait).await?;
    } else {
        last = take_over::take_over(&plan, &api, &applied, &mut runner).await?;
    }
    runner.phase("verify", async |progress| take_over::verify(&plan, &last, progress).await).await?;
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
pub struct Api {
    pub endpoint: SocketAddr,
    pub client: Client,
}

/// Waits until an apiserver of this machine answers for `path`.
pub async fn connect(plan: &Plan, path: &str, progress: &Progress<'_>) -> Result<Api, Error> {
    let endpoint = machine::wait_api(plan, path, progress).await?;
    let client = connect::connect(&plan.access, Some(endpoint))?;
    Ok(Api { endpoint, client })
}
