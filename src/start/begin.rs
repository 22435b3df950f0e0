//! What surrounds the phases of `start`: lock, checks, journal, and what a failure leaves behind.
//!
//! Nothing is touched before the journal is begun. From then on every act is recorded in it, so the
//! command can be run again, whatever ended it.
//!
//! # Cancellation
//! A signal ends a phase where it waits, never in the middle of a write ([`Runner`]). A process
//! that is killed leaves at most one act that the journal has announced and not confirmed.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::error::{Error, Failed, Left, not_torn_down};
use super::objects::Applied;
use super::observe::{self, Observed};
use super::options::{Lookup, OnFailure, Options, Report};
use super::pivot::{Begun, pivot};
use super::plan::Plan;
use super::{adopt, machine, place, subject};
use crate::assets::{self, load::Layout};
use crate::host::signals::Interrupts;
use crate::host::{cri, steering};
use crate::journal::{self, Command, Record, State};
use crate::phase::{self, Phase, Progress, Runner, Situation, check_root, session};
use crate::ui::{Event, Sink};
use crate::{JOURNAL, lint, preflight, undo};

/// Warns if the kernel does not steer.
const UNSTEERED: &str = "this machine does not steer connections, so a few may fail when the bootstrap apiserver goes, and more in every \
    later roll of the apiserver";
/// How long preflight waits for services of a machine that has just been switched on.
const SETTLING: Duration = Duration::from_secs(15);
/// Brings up the bootstrap control plane, applies everything, and hands over to what was applied.
///
/// Where the API is served without a bootstrap pod, objects are only applied and verified.
///
/// # Errors
/// The error says what is left on the machine.
pub async fn start(options: &Options, sink: &dyn Sink) -> Result<Report, Failed> {
    let mut left = Left::Untouched;
    let result = run(options, sink, &mut left).await;
    result.map_err(|error| Failed { error, left })
}

async fn run(options: &Options, sink: &dyn Sink, left: &mut Left) -> Result<Report, Error> {
    let lookup = &options.lookup;
    let layout = assets::load::load(&lookup.asset_dir).map_err(Error::Assets)?;
    for warning in lint::warnings(&layout) {
        sink.tell(Event::Warning(warning));
    }
    let interrupts = Interrupts::listen().map_err(phase::Error::host("listen for signals"))?;
    let lock = session::lock("start", options.wait_lock, &interrupts, sink).await?;
    let mut runner = Runner::new(sink, &options.timeouts);
    runner.heed(interrupts);
    let before = match lock {
        Some(_) => journal::read(Path::new(JOURNAL))?,
        None => State::default(),
    };
    let checks = async |progress: &Progress| preflight(&layout, lookup, &before, progress).await;
    runner.phase(Phase::Preflight, checks).await?;
    let assets = assets::digest::digest(&layout);
    let known = subject::relevant(&layout);
    let unsteered = |error| sink.tell(Event::Warning(format!("{UNSTEERED}: {error}")));
    let plan = plan(layout, lookup, &before, unsteered)?;
    runner.explain_by(subject::subject(known, &plan, lookup, &before));
    let situation = examine(&plan, &before, sink).await?;
    resumed(&before, &assets, sink);
    let journal = session::begin(Command::Start, &before, Some(assets))?;
    runner.note_in(&journal);
    let begun = Begun { plan: &plan, options, journal: &journal, situation };
    let work = concluded(&begun, sink, &mut runner, left);
    let applied = observe::beside(Observed::of(&plan, options.probe)?, sink, work).await?;
    let Applied { count, refused, node, changed, created: _ } = applied;
    Ok(Report { times: runner.times, applied: count, changed, refused, node })
}

/// An error if a check of the machine failed. Reports what was not seen, and ignored failures.
async fn preflight(
    layout: &Layout,
    lookup: &Lookup,
    before: &State,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let look = lookup.checks(before, SETTLING);
    let checks = preflight::run(layout, &look, |what| progress.waiting(what)).await?;
    preflight::warnings(&checks).into_iter().for_each(|warning| progress.warn(warning));
    preflight::notes(&checks).into_iter().for_each(|note| progress.info(note));
    Ok(preflight::Failed::among(&checks)?)
}

/// The plan for this machine with its static pods. `unsteered` if the kernel does not steer.
pub fn plan(
    layout: Layout,
    lookup: &Lookup,
    before: &State,
    unsteered: impl FnOnce(io::Error),
) -> Result<Plan, Error> {
    let Lookup { asset_dir, pod_manifest_path, required_pods, .. } = lookup;
    let mut plan = Plan::new(layout, asset_dir, pod_manifest_path, required_pods.as_deref())?;
    if let (true, Err(error)) = (plan.is_steered, steering::check()) {
        unsteered(error);
        plan.step_aside();
    }
    adopt::adopt(&mut plan, pod_manifest_path, before)?;
    Ok(plan)
}

/// Looks at the machine before it is touched, and reports which phases will run.
async fn examine(plan: &Plan, before: &State, sink: &dyn Sink) -> Result<Situation, Error> {
    check_root()?;
    let situation = situation(plan, before).await?;
    if !situation.is_past_pivot {
        place::check(plan, before)?;
        return Ok(situation);
    }
    for path in place::changed_staying(plan, before)? {
        let warning = format!("{} differs from what was rendered and is left as it is", path.display());
        sink.tell(Event::Warning(warning));
    }
    Ok(situation)
}

/// What decides which phases run.
pub async fn situation(plan: &Plan, before: &State) -> Result<Situation, Error> {
    let is_past_pivot = is_past(plan, before).await?;
    Ok(Situation {
        is_past_pivot,
        lacks_node: is_past_pivot && !phase::has_node(&plan.access, plan.api_port()).await?,
        has_orphans: !place::orphans(plan, before).is_empty(),
        has_static_etcd: !plan.staying.is_empty(),
        has_admission: !plan.admission.is_empty(),
    })
}

/// Whether an apiserver other than the bootstrap one serves. If the journal has a bootstrap that
/// was not handed over, the one that serves is the bootstrap one, which has not ended yet.
async fn is_past(plan: &Plan, before: &State) -> Result<bool, Error> {
    let is_unfinished = !before.handed_over && !before.things.is_empty();
    let has_begun = is_unfinished || place::has_begun(plan, before);
    Ok(!has_begun && machine::is_served_by_another(plan).await?)
}

/// Reports a run before that did not succeed, and whether the assets have changed since.
fn resumed(before: &State, assets: &str, sink: &dyn Sink) {
    let Some(last) = before.last.as_ref().filter(|last| last.run.command == Command::Start) else { return };
    let phase = last.phase.as_deref().unwrap_or("the beginning");
    let (began, version) = (&last.began, &last.run.bootkube);
    let how = match last.exit_code {
        Some(0) => None,
        Some(_) => Some("failed in"),
        None => Some("was cut off in"),
    };
    if let Some(how) = how {
        sink.tell(Event::Info(format!("goes on: start of {began} (version {version}) {how}: {phase}")));
    }
    if last.run.assets.as_deref().is_some_and(|earlier| earlier != assets) {
        sink.tell(Event::Info(format!("the assets have changed since the start of {began}")));
    }
}

/// The pivot, and what follows it whether it succeeded or not.
async fn concluded(
    begun: &Begun<'_>,
    sink: &dyn Sink,
    runner: &mut Runner<'_>,
    left: &mut Left,
) -> Result<Applied, Error> {
    let Begun { journal, situation, .. } = *begun;
    if situation.is_past_pivot && !journal.state().handed_over {
        journal.record(Record::HandedOver)?; // by an earlier run whose journal is lost
    }
    let result = pivot(begun, runner).await;
    if let Err(failed) = &result {
        let is_gone = is_torn_down(begun, failed) && tear_down(begun, sink).await;
        *left = if is_gone { Left::TornDown } else { what_is_left(&journal.state()) };
    }
    let exit_code = match &result {
        Ok(_) => 0,
        Err(error) => error.class(*left == Left::Untouched) as u8,
    };
    if let Err(error) = journal.record(Record::Ended { exit_code }) {
        let error = crate::error::chain(&error);
        sink.tell(Event::Warning(format!("the end is not recorded in the journal: {error}")));
    }
    result
}

/// By the journal. On a self-hosted control plane, etcd's pod is no part of a bootstrap.
fn what_is_left(state: &State) -> Left {
    let is_of_bootstrap = state.things.values().any(|held| held.role.is_temporary() || !state.handed_over);
    if is_of_bootstrap { Left::Placed } else { Left::NothingPlaced }
}

/// Whether to remove now what was placed. Not after a signal: then the user means to go on.
fn is_torn_down(begun: &Begun<'_>, failed: &Error) -> bool {
    let is_interrupted = matches!(failed, Error::Phase(phase::Error::Interrupted { .. }));
    begun.options.on_failure == OnFailure::TearDown && !is_interrupted
}

/// Removes what was placed. Returns whether that worked; if not, a warning says why.
async fn tear_down(begun: &Begun<'_>, sink: &dyn Sink) -> bool {
    let Begun { journal, options, .. } = *begun;
    let mut runner = Runner::new(sink, &options.timeouts);
    runner.note_in(journal);
    let work = async |progress: &Progress| {
        let removals = undo::removals(&journal.state());
        let left =
            undo::undo(journal, &removals, cri::usual_socket(), &|what| progress.waiting(what)).await?;
        left.into_iter().for_each(|left| progress.warn(left.to_string()));
        Ok(())
    };
    match runner.phase(Phase::TearDown, work).await {
        Ok(()) => true,
        Err(error) => {
            sink.tell(Event::Warning(not_torn_down(&error)));
            false
        }
    }
}
