//! Before the first phase and after the last: the lock, the checks, the journal, and what a failure leaves on the machine.
//!
//! Until the journal is begun nothing is touched. From then on everything is noted, and whatever ends the command, running it again goes on.

use std::io;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::objects::Applied;
use super::observe::{self, Observed};
use super::options::{OnFailure, Options, Report};
use super::pivot::{Begun, pivot};
use super::plan::Plan;
use super::{adopt, machine, place, subject};
use crate::assets::{self, load::Layout};
use crate::host::signals::Interrupts;
use crate::host::{cri, steering};
use crate::journal::{self, Command, Record, State};
use crate::phase::{Error, Progress, Runner, check_root, session, unready};
use crate::ui::{Event, Sink};
use crate::{JOURNAL, preflight, undo};

/// Said where the kernel refuses.
const UNSTEERED: &str = "this machine does not steer connections, so a few may fail when the bootstrap apiserver goes, and more in every \
    later roll of the apiserver";
/// For services of a machine that was switched on a moment ago.
const SETTLING: Duration = Duration::from_secs(15);
/// For pods to end, whatever little time the user gave the pivot.
const TEARING_DOWN: Duration = Duration::from_secs(300);
/// Brings up the bootstrap control plane, applies everything, and hands over to what was applied.
///
/// A machine that serves the API already, without a bootstrap pod, is past its pivot: then objects are applied and verified, and
/// no bootstrap pod is placed.
pub async fn start(options: &Options, sink: &dyn Sink) -> Result<Report, Error> {
    let layout = assets::load::load(&options.asset_dir).map_err(Error::Assets)?;
    for warning in &layout.warnings {
        sink.tell(Event::Warning(warning.clone()));
    }
    let interrupts =
        Interrupts::listen().map_err(|source| Error::Host { act: "listen for signals", source })?;
    let lock = session::lock("start", options.wait_lock, &interrupts, sink).await?;
    let mut runner = Runner::new(sink, &options.timeouts);
    runner.heed(interrupts);
    let before = match lock {
        Some(_) => journal::read(Path::new(JOURNAL)).map_err(unready)?,
        None => State::default(),
    };
    runner.phase("preflight", async |progress| preflight(&layout, options, &before, progress).await).await?;
    let assets = digest(&layout);
    let known = subject::relevant(&layout);
    let plan = plan(layout, options, |error| sink.tell(Event::Warning(format!("{UNSTEERED}: {error}"))))?;
    runner.look_into(subject::subject(known, &plan, options, &before));
    let self_hosted = examine(&plan, &before, sink).await.map_err(unready)?;
    resumed(&before, &assets, sink);
    let journal = session::begin(Command::Start, &before, Some(assets)).map_err(unready)?;
    runner.note_in(&journal);
    let begun = Begun { plan: &plan, options, journal: &journal, self_hosted };
    let work = concluded(&begun, sink, &mut runner);
    let applied = observe::beside(Observed::of(&plan, options)?, sink, work).await?;
    let Applied { count, refused, node, changed, created: _ } = applied;
    Ok(Report { times: runner.times, applied: count, changed, refused, node })
}

/// Ends the work if a check of the machine fails; tells what was not seen, and what the user does not mind.
async fn preflight(
    layout: &Layout,
    options: &Options,
    before: &State,
    progress: &Progress<'_>,
) -> Result<(), Error> {
    let look = options.checks(before, SETTLING);
    let checks = preflight::run(layout, &look, |what| progress.waiting(what)).await?;
    preflight::notes(&checks).into_iter().for_each(|note| progress.info(note));
    Ok(preflight::Failed::among(&checks)?)
}

/// What will be done on this machine: with the static pods that are there, and `unsteered` if its kernel does not steer.
pub fn plan(layout: Layout, options: &Options, unsteered: impl FnOnce(io::Error)) -> Result<Plan, Error> {
    let Options { asset_dir, pod_manifest_path, required_pods, .. } = options;
    let mut plan = Plan::new(layout, asset_dir, pod_manifest_path, required_pods.as_deref())?;
    if let (true, Err(error)) = (plan.is_steered, steering::check()) {
        unsteered(error);
        plan.step_aside();
    }
    adopt::adopt(&mut plan, &options.pod_manifest_path)?;
    Ok(plan)
}

/// Looks at the machine before it is touched; says whether it is past its pivot.
async fn examine(plan: &Plan, before: &State, sink: &dyn Sink) -> Result<bool, Error> {
    check_root()?;
    if !is_past(plan, before).await? {
        place::check(plan, before)?;
        return Ok(false);
    }
    for path in place::changed_staying(plan, before)? {
        let warning = format!("{} differs from what was rendered and is left as it is", path.display());
        sink.tell(Event::Warning(warning));
    }
    Ok(true)
}

/// Whether an apiserver other than the bootstrap one serves. Where the journal knows of a bootstrap that did not come so far, it is the
/// bootstrap one, which has not ended yet.
pub async fn is_past(plan: &Plan, before: &State) -> Result<bool, Error> {
    let is_unfinished = !before.handed_over && !before.things.is_empty();
    let has_begun = is_unfinished || place::has_begun(plan, before);
    Ok(!has_begun && machine::is_served_by_another(plan).await?)
}

/// Says what the journal knows of the run before, if that did not succeed, and whether the assets are others now.
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

/// The pivot, and what is left to do when it has ended, well or not.
async fn concluded(begun: &Begun<'_>, sink: &dyn Sink, runner: &mut Runner<'_>) -> Result<Applied, Error> {
    let Begun { journal, self_hosted, .. } = *begun;
    if self_hosted && !journal.state().handed_over {
        journal.record(Record::HandedOver)?; // by a bootkube whose journal is lost
    }
    let result = match pivot(begun, runner).await {
        Err(failed) if is_torn_down(begun, &failed) => Err(torn_down(failed, begun, sink).await),
        result => result,
    };
    let exit_code = result.as_ref().map_or_else(|error| error.class() as u8, |_| 0);
    if let Err(error) = journal.record(Record::Ended { exit_code }) {
        let error = crate::error::chain(&error);
        sink.tell(Event::Warning(format!("the end is not noted in the journal: {error}")));
    }
    result
}

/// Whether what was placed goes after this. Who interrupts means to go on.
fn is_torn_down(begun: &Begun<'_>, failed: &Error) -> bool {
    begun.options.on_failure == OnFailure::TearDown && !matches!(failed, Error::Interrupted { .. })
}

/// Removes what was placed; the error to tell remains `failed`.
async fn torn_down(failed: Error, begun: &Begun<'_>, sink: &dyn Sink) -> Error {
    let Begun { journal, options, .. } = *begun;
    let timeouts = options.timeouts.at_least(TEARING_DOWN);
    let mut runner = Runner::new(sink, &timeouts);
    runner.note_in(journal);
    let tear_down = async |progress: &Progress| {
        let removals = undo::removals(&journal.state());
        let left =
            undo::undo(journal, &removals, cri::usual_socket(), &|what| progress.waiting(what)).await?;
        left.into_iter().for_each(|left| progress.warn(left.to_string()));
        Ok(())
    };
    match runner.phase("tear down", tear_down).await {
        Ok(()) => Error::TornDown(Box::new(failed)),
        Err(error) => {
            sink.tell(Event::Warning(format!("not torn down: {}", crate::error::chain(&error))));
            failed
        }
    }
}

/// One digest of all assets, as they were read.
fn digest(layout: &Layout) -> String {
    let mut digest = Sha256::new();
    let mut add = |name: &str, content: &[u8]| {
        for part in [name.as_bytes(), content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    };
    add("auth/kubeconfig", &layout.kubeconfig);
    layout.tls.iter().for_each(|(path, content)| add(path, content));
    for pod in layout.bootstrap_manifests.iter().chain(&layout.controller_manifests) {
        add(&pod.path, &pod.bytes);
    }
    layout.objects.iter().for_each(|object| add(&object.file, object.value.to_string().as_bytes()));
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
