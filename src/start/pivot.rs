//! The phases of a pivot, in order, as [`Phase::runs`] says. [`take_over`] waits and hands over.

use super::clear_stale_status;
use super::error::Error;
use super::machine::{self, Api, connect};
use super::objects::{self, Applied};
use super::options::Options;
use super::place::Placer;
use super::plan::Plan;
use super::take_over::{self, Leaders};
use super::traffic_switch;
use crate::journal::Journal;
use crate::phase::{Phase, Progress, Runner, Situation};

/// What is known before the first phase.
pub struct Begun<'a> {
    /// What to do.
    pub plan: &'a Plan,
    /// What the user asked for.
    pub options: &'a Options,
    /// Where acts are recorded.
    pub journal: &'a Journal,
    /// What decides which phases run.
    pub situation: Situation,
}

impl Begun<'_> {
    fn placer<'a>(&'a self, progress: &'a Progress<'a>) -> Placer<'a> {
        Placer { plan: self.plan, journal: self.journal, progress }
    }

    fn runs(&self, phase: Phase) -> bool {
        phase.runs(self.situation)
    }
}

/// Brings up the bootstrap control plane, applies everything, and hands over to what was applied.
pub async fn pivot(begun: &Begun<'_>, runner: &mut Runner<'_>) -> Result<Applied, Error> {
    let Begun { plan, options, journal, situation } = *begun;
    place_what_comes_first(begun, runner).await?;
    let api = runner
        .phase(Phase::WaitForApi, async |progress| connect(plan, machine::USABLE, progress).await)
        .await?;
    place_what_needs_the_api(begun, &api, runner).await?;
    let restart = options.apply.restart_kubelet.as_deref().filter(|_| situation.restarts_kubelet());
    let apply = async |progress: &Progress| {
        let deadline = options.timeouts.of_objects();
        objects::apply(plan, &options.apply, deadline, restart, &api.client, progress).await
    };
    let mut applied = runner.phase(Phase::ApplyObjects, apply).await?;
    let mut last = Leaders::default();
    if begun.runs(Phase::HandOver) {
        last = take_over::take_over(plan, &api, &applied, journal, runner).await?;
    } else {
        let wait = async |progress: &Progress| {
            objects::wait_required(&plan.required, &applied, &api.client, progress).await
        };
        runner.phase(Phase::WaitForControlPlane, wait).await?;
    }
    let folder = &options.lookup.pod_manifest_path;
    let verify = async |progress: &Progress| take_over::verify(&begun.placer(progress), folder, &last).await;
    let api = runner.phase(Phase::Verify, verify).await?;
    if begun.runs(Phase::ApplyAdmission) {
        let apply = async |progress: &Progress| {
            let deadline = options.timeouts.limit(Phase::ApplyAdmission) / 2;
            let Options { apply, .. } = options;
            objects::apply_admission(plan, apply, deadline, &api.client, progress, &mut applied).await
        };
        runner.phase(Phase::ApplyAdmission, apply).await?;
    }
    Ok(applied)
}

async fn place_what_comes_first(begun: &Begun<'_>, runner: &mut Runner<'_>) -> Result<(), Error> {
    if begun.runs(Phase::RemoveOrphans) {
        let remove = async |progress: &Progress| begun.placer(progress).remove_orphans();
        runner.phase(Phase::RemoveOrphans, remove).await?;
    }
    if begun.runs(Phase::PlaceEtcd) {
        let is_running = begun.situation.is_past_pivot;
        let place = async |progress: &Progress| begun.placer(progress).etcd(is_running);
        runner.phase(Phase::PlaceEtcd, place).await?;
    }
    if begun.runs(Phase::PlaceApiserver) {
        let place = async |progress: &Progress| begun.placer(progress).apiserver();
        runner.phase(Phase::PlaceApiserver, place).await?;
    }
    Ok(())
}

async fn place_what_needs_the_api(
    begun: &Begun<'_>,
    api: &Api,
    runner: &mut Runner<'_>,
) -> Result<(), Error> {
    let plan = begun.plan;
    if begun.runs(Phase::PlaceOthers) {
        let place = async |progress: &Progress| {
            traffic_switch::hold(plan, progress).await?;
            progress.acts(Phase::PlaceOthers.name());
            begun.placer(progress).others(api.endpoint)
        };
        runner.phase(Phase::PlaceOthers, place).await?;
    }
    if begun.runs(Phase::ClearStaleStatus) {
        let clear = async |progress: &Progress| {
            clear_stale_status::clear(&api.client, &plan.required, progress).await
        };
        runner.phase(Phase::ClearStaleStatus, clear).await?;
    }
    Ok(())
}
