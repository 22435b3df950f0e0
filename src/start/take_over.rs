//! From the bootstrap control plane to the self-hosted one: leaders first, then the apiserver.

use std::path::Path;

use kube::Client;
use tokio::sync::watch;

use super::error::Error;
use super::machine::{self, Api, connect};
use super::objects::{Applied, wait_required};
use super::place::Placer;
use super::plan::Plan;
use super::required::Required;
use super::{adopt, gap, traffic_switch};
use crate::cluster::lease::{self, Leader};
use crate::error::chain;
use crate::journal::{Journal, Record};
use crate::phase::{Act, LEADERS, PROBE, Phase, Progress, Runner, Verb};
use crate::{CONTROL_PLANE_KEYS, NAMESPACE};

/// The apiserver to which new connections finally go.
pub const SELF_HOSTED: &str = "the self-hosted apiserver";

/// Hands over. All the while, new connections go to an apiserver that is ready.
pub async fn take_over(
    plan: &Plan,
    api: &Api,
    applied: &Applied,
    journal: &Journal,
    runner: &mut Runner<'_>,
) -> Result<Leaders, Error> {
    let served = watch::Sender::default();
    let introduce = traffic_switch::introduce(plan, &api.client, &applied.node, &served);
    let mut introduce = std::pin::pin!(introduce);
    let mut last = None;
    let required = plan.required_to_hand_over();
    let mut wait = async |progress: &Progress| {
        let all = wait_required(&required, applied, &api.client, progress);
        let leaders = async {
            last = early_leaders(&Placer { plan, journal, progress }, api, applied).await?;
            Ok(())
        };
        futures::try_join!(all, leaders).map(drop)
    };
    runner
        .phase(Phase::WaitForControlPlane, async |progress| beside(&mut introduce, wait(progress)).await)
        .await?;
    let hand_over = async |progress: &Progress| {
        let placer = Placer { plan, journal, progress };
        let last = match last {
            Some(last) => last,
            None => hand_over_leaders(&placer, api, applied).await?,
        };
        match &plan.conflict {
            None => hand_over_apiserver(&placer, &served).await?,
            Some(why) => {
                gap::hand_over(&placer, why, &api.client, &applied.node).await?;
                journal.record(Record::HandedOver)?;
            }
        }
        Ok(last)
    };
    let handed = runner
        .phase(Phase::HandOver, async |progress| beside(&mut introduce, hand_over(progress)).await)
        .await;
    if handed.is_err() && plan.conflict.is_some() && !plan.apiserver.path.exists() {
        put_back(plan, journal, api, applied, runner).await;
    }
    handed
}

/// Cleans up after a gap in which no apiserver served. The failure before it ends the command.
async fn put_back(plan: &Plan, journal: &Journal, api: &Api, applied: &Applied, runner: &mut Runner<'_>) {
    let put_back = async |progress: &Progress| {
        gap::put_back(&Placer { plan, journal, progress }, &api.client, &applied.node).await;
        Ok::<_, Error>(())
    };
    if let Err(error) = runner.phase(Phase::PutApiserverBack, put_back).await {
        tracing::warn!(error = chain(&error), "the bootstrap apiserver may not serve");
    }
}

/// Hands the leaders over while the bootstrap apiserver serves. None if not required by name.
async fn early_leaders(placer: &Placer<'_>, api: &Api, applied: &Applied) -> Result<Option<Leaders>, Error> {
    let Placer { plan, progress, .. } = placer;
    if !has_named_leaders(plan) {
        return Ok(None);
    }
    let required: Vec<Required> = named_leaders(plan).cloned().collect();
    wait_required(&required, applied, &api.client, progress).await?;
    hand_over_leaders(placer, api, applied).await.map(Some)
}

/// Whether both are required by name, and so handed over before the apiserver is Ready.
pub fn has_named_leaders(plan: &Plan) -> bool {
    named_leaders(plan).count() >= LEADERS.len()
}

fn named_leaders(plan: &Plan) -> impl Iterator<Item = &Required> {
    plan.required.iter().filter(|required| {
        required.namespace == NAMESPACE
            && LEADERS.contains(&required.prefix.as_str())
            && required.workload.is_some()
    })
}

/// Runs `work`, and `aside` meanwhile, of which only a failure counts.
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

/// Removes the bootstrap leaders, so that the self-hosted ones can lead. Returns the leases then.
async fn hand_over_leaders(placer: &Placer<'_>, api: &Api, applied: &Applied) -> Result<Leaders, Error> {
    let before = leaders(&api.client).await?;
    placer.remove_others().await?;
    let last = leaders(&api.client).await?;
    for (lease, leader) in LEADERS.into_iter().zip(before) {
        // On this machine only a component that this run created cannot have led before the
        // bootstrap one, which created its pods. A leader of another machine lives on: a copy
        // there, or a static pod of three controllers after `unpivot`.
        let leader = leader.filter(|leader| is_of_this_machine(leader, &applied.node));
        if let (Some(leader), true) = (leader, applied.has_created(lease)) {
            placer.progress.acts(format!("release the lease of {lease}"));
            let release = lease::release_lease(&api.client, lease, &leader.holder).await?;
            tracing::debug!(lease, ?release, "lease of the bootstrap control plane");
            placer.progress.did(release_act(lease));
        }
    }
    Ok(last)
}

/// Holders call themselves HOSTNAME_UUID. If `start` runs in a container it may see another
/// hostname than the bootstrap pods do, and the name of the `node` has to do.
fn is_of_this_machine(leader: &Leader, node: &str) -> bool {
    let name = rustix::system::uname();
    let names = [name.nodename().to_bytes(), node.as_bytes()];
    leader.holder.rsplit_once('_').is_some_and(|(host, _)| names.contains(&host.as_bytes()))
}

/// Releasing the lease that the bootstrap component called `lease` leaves behind.
pub fn release_act(lease: &str) -> Act {
    Act::new(Verb::Release, format!("Lease {NAMESPACE}/{lease}"))
}

/// Removes the bootstrap apiserver once another one serves.
async fn hand_over_apiserver(
    placer: &Placer<'_>,
    served: &watch::Sender<Option<String>>,
) -> Result<(), Error> {
    let Placer { plan, journal, progress } = placer;
    if plan.is_steered {
        progress.waiting("new connections do not go to the self-hosted apiserver yet");
        served.subscribe().wait_for(Option::is_some).await.map_err(|_| Error::Unsteered)?;
        traffic_switch::steering(plan, SELF_HOSTED).into_iter().for_each(|act| progress.did(act));
    }
    machine::wait_self_hosted(plan, &|why| progress.waiting(why)).await?;
    // From here on the control plane is self-hosted, and nothing of it is undone.
    journal.record(Record::HandedOver)?;
    placer.remove_apiserver().await
}

/// The holders of the leases, in the order of [`LEADERS`].
pub type Leaders = [Option<Leader>; 2];

async fn leaders(client: &Client) -> Result<Leaders, Error> {
    let [manager, scheduler] = LEADERS.map(|name| lease::leader(client, name));
    let (manager, scheduler) = futures::try_join!(manager, scheduler)?;
    Ok([manager, scheduler])
}

/// Asks the API over a fresh connection, and waits until the elected components lead. A lease that
/// has not changed since the bootstrap control plane ended may be that of a dead leader. What the
/// bootstrap pods read is removed before, also what an interrupted run left. Returns the connection.
pub async fn verify(placer: &Placer<'_>, folder: &Path, last: &Leaders) -> Result<Api, Error> {
    let Placer { plan, progress, .. } = placer;
    progress.acts("remove what the bootstrap pods read");
    placer.remove_secrets()?;
    if adopt::has_unread_keys(folder)? {
        adopt::remove_keys(placer.journal)?;
        progress.did(Act::file(Verb::Remove, Path::new(CONTROL_PLANE_KEYS)));
    }
    let api = connect(plan, machine::READY, progress).await?;
    loop {
        let now = leaders(&api.client).await?;
        let leads = |(now, last): (&Option<Leader>, &Option<Leader>)| now.is_some() && now != last;
        let Some(silent) = now.iter().zip(last).position(|pair| !leads(pair)) else {
            progress.tell_unwell(&api.client).await;
            return Ok(api);
        };
        progress.waiting(format!("no {} leads yet", LEADERS[silent]));
        tokio::time::sleep(PROBE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two would lead until the one whose lease was released gives up.
    #[test]
    fn a_lease_that_another_machine_holds_is_not_of_this_one() {
        let leader = |host: &str| Leader { holder: format!("{host}_0f1e"), renewed: None, acquired: None };
        let name = rustix::system::uname();
        assert!(is_of_this_machine(&leader(&name.nodename().to_string_lossy()), "n1"));
        assert!(is_of_this_machine(&leader("n1"), "n1"));
        assert!(!is_of_this_machine(&leader("another-machine"), "n1"));
    }
}
