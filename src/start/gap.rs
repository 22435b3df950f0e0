//! Handing the port over where only one apiserver can have it: the API of this machine is away for some seconds.
//!
//! An apiserver that would fail anyway is not worth a gap, so as far as its log tells it must lack nothing but the port. Its pod is deleted
//! first, if it has failed: kubelet's back-off would be the length of the gap. If the self-hosted apiserver does not serve, the bootstrap one
//! is put back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kube::Client;

use super::error::Error;
use super::machine;
use super::observe::blocked_apiserver::{self, BlockedApiserver};
use super::place::Placer;
use super::plan::Plan;
use crate::error::chain;
use crate::phase::{PROBE, sockets_on};

/// For the self-hosted apiserver, from the moment in which the bootstrap one is taken away.
const LONGEST: Duration = Duration::from_secs(120);
/// For the bootstrap apiserver that was put back. Longer than kubelet's pause after a pod's third failure.
const RETURN: Duration = Duration::from_secs(60);

/// How often its log is asked for then, a quarter of a second apart.
const COMPLAINT_TRIES: usize = 40;

/// Takes the bootstrap apiserver away and waits until the self-hosted one on `node` serves. `why` they cannot listen both.
pub async fn hand_over(placer: &Placer<'_>, why: &str, client: &Client, node: &str) -> Result<(), Error> {
    let Placer { plan, progress, .. } = *placer;
    let apiserver = BlockedApiserver::new(client, node);
    let pod = apiserver.lacks_only_the_port(progress).await;
    apiserver.renew(&pod, progress).await;
    progress.warn(format!(
        "the API of this machine is away for some seconds now: the self-hosted apiserver can only listen when the bootstrap one has \
         ended, because {why}"
    ));
    let (bootstrap, begun) = (sockets_on(plan.api_port())?, Instant::now());
    placer.remove_apiserver().await?;
    while let Err(reason) = served_by_another(plan, &bootstrap).await? {
        if begun.elapsed() > LONGEST {
            return Err(Error::NotTakenOver { after: LONGEST, last: reason });
        }
        progress.waiting(reason);
        tokio::time::sleep(PROBE).await;
    }
    progress.found("the self-hosted apiserver serves");
    progress.info(format!("the API was away for {:.1} s", begun.elapsed().as_secs_f64()));
    Ok(())
}

/// Whether an apiserver serves on other sockets than `before`; if not, why.
async fn served_by_another(plan: &Plan, before: &BTreeSet<u32>) -> Result<Result<(), String>, Error> {
    match sockets_on(plan.api_port())?.is_disjoint(before) {
        true => Ok(machine::serving(plan).await?.map(drop)),
        false => Ok(Err("the bootstrap apiserver has not ended yet".to_owned())),
    }
}

/// After a hand-over that failed in the gap: puts the bootstrap apiserver back, unless the self-hosted one serves after all, and reports what
/// that one complained of. What fails here is a warning: the failure before is the one that ends the command.
pub async fn put_back(placer: &Placer<'_>, client: &Client, node: &str) {
    let Placer { plan, progress, .. } = *placer;
    if matches!(machine::serving(plan).await, Ok(Ok(_))) {
        return progress.info("the self-hosted apiserver serves after all");
    }
    let said = blocked_apiserver::complaint_here();
    if let Err(error) = placer.apiserver() {
        return progress.warn(format!("the bootstrap apiserver was not put back: {}", chain(&error)));
    }
    progress.warn("the bootstrap apiserver was put back, since the self-hosted one does not serve");
    match tokio::time::timeout(RETURN, machine::wait_api(plan, machine::READY, progress)).await {
        Ok(Ok(endpoint)) => progress.info(format!("the API answers again at {endpoint}")),
        Ok(Err(error)) => {
            progress.warn(format!("it is not known whether the API answers: {}", chain(&error)))
        }
        Err(_) => progress
            .warn("the API does not answer yet; kubelet starts the bootstrap apiserver again until it does"),
    }
    let said = match said {
        Some(said) => Some(said),
        None => complaint(&BlockedApiserver::new(client, node)).await,
    };
    if let Some(said) = said {
        progress.warn(format!("the self-hosted apiserver said: {said}"));
    }
}

/// What the self-hosted apiserver complained of, as the API tells. Kubelet shows logs to an API that has just come back only when it has found it again.
async fn complaint(apiserver: &BlockedApiserver<'_>) -> Option<String> {
    for _ in 0..COMPLAINT_TRIES {
        if let Some(said) = apiserver.last_complaint().await {
            return Some(said);
        }
        tokio::time::sleep(PROBE * 5).await;
    }
    None
}
