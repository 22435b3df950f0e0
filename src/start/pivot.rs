//! The phases of a pivot, in order.

use super::machine::{self, connect};
use super::objects::{self, Applied};
use super::options::Options;
use super::place::{self, Placer};
use super::plan::Plan;
use super::take_over::{self, Leaders};
use super::{clear_stale_status, traffic_switch};
use crate::journal::Journal;
use crate::phase::{Error, LEADERS, Progress, Runner};

/// What a pivot has before its first phase.
pub struct Begun<'a> {
    /// What will be done.
    pub plan: &'a Plan,
    /// As the user wants it.
    pub options: &'a Options,
    /// Where it is noted.
    pub journal: &'a Journal,
    /// Whether the machine is past its pivot: then objects are applied and verified, and no bootstrap pod is placed.
    pub self_hosted: bool,
}

impl Begun<'_> {
    fn placer<'a>(&'a self, progress: &'a Progress<'a>) -> Placer<'a> {
        Placer { plan: self.plan, journal: self.journal, progress }
    }
}

/// Brings up the bootstrap control plane, applies everything, and hands over to what was applied.
pub async fn pivot(begun: &Begun<'_>, runner: &mut Runner<'_>) -> Result<Applied, Error> {
    let Begun { plan, options, journal, self_hosted } = *begun;
    bring_up(begun, runner).await?;
    let api = runner
        .phase("wait for the API", async |progress| connect(plan, machine::USABLE, progress).await)
        .await?;
    if !self_hosted {
        traffic_switch::hold(plan).await?;
        let place = async |progress: &Progress| {
            progress.acts("place the other bootstrap pods");
            begun.placer(progress).others(api.endpoint)
        };
        runner.phase("place the other bootstrap pods", place).await?;
        let clear = async |progress: &Progress| {
            clear_stale_status::clear(&api.client, &plan.required, &LEADERS, progress).await
        };
        runner.phase("clear what is stale", clear).await?;
    }
    let restart = options.restart_kubelet.as_deref().filter(|_| !self_hosted);
    let apply =
        async |progress: &Progress| objects::apply(plan, options, restart, &api.client, progress).await;
    let applied = runner.phase("apply objects", apply).await?;
    let mut last = Leaders::default();
    if self_hosted {
        let wait = async |progress: &Progress| {
            objects::wait_required(&plan.required, &applied, &api.client, progress).await
        };
        runner.phase("wait for the self-hosted control plane", wait).await?;
    } else {
        last = take_over::take_over(plan, &api, &applied, journal, runner).await?;
    }
    let folder = &options.pod_manifest_path;
    let verify = async |progress: &Progress| take_over::verify(&begun.placer(progress), folder, &last).await;
    runner.phase("verify", verify).await?;
    Ok(applied)
}

async fn bring_up(begun: &Begun<'_>, runner: &mut Runner<'_>) -> Result<(), Error> {
    let Begun { plan, journal, self_hosted, .. } = *begun;
    if !place::orphans(plan, &journal.state()).is_empty() {
        let remove = async |progress: &Progress| begun.placer(progress).remove_orphans();
        runner.phase("remove bootstrap pods of earlier assets", remove).await?;
    }
    if !plan.staying.is_empty() {
        let place = async |progress: &Progress| begun.placer(progress).etcd(self_hosted);
        runner.phase("place etcd", place).await?;
    }
    match self_hosted {
        true => Ok(()),
        false => {
            let place = async |progress: &Progress| begun.placer(progress).apiserver();
            runner.phase("place the bootstrap apiserver", place).await
        }
    }
}
