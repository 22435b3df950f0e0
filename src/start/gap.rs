//! The hand-over where only one apiserver can have the port, so that the API is away for seconds.
//!
//! The gap must not be in vain, so before it the self-hosted apiserver's log must show no other
//! problem than the port. If its pod has failed, it is deleted, because kubelet's back-off would
//! prolong the gap. If the self-hosted apiserver does not serve, the bootstrap one is put back.

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

/// How long the self-hosted apiserver may take once the bootstrap one is being removed.
const LONGEST: Duration = Duration::from_secs(120);
/// How long the bootstrap apiserver may take to return: more than kubelet's third back-off.
const RETURN: Duration = Duration::from_secs(60);

/// How often its log is asked for then, every quarter of a second.
const COMPLAINT_TRIES: usize = 40;

/// Removes the bootstrap apiserver, and waits for the one on `node`. `why` both cannot listen.
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

/// Whether an apiserver serves on other sockets than `before`. The error says why not.
async fn served_by_another(plan: &Plan, before: &BTreeSet<u32>) -> Result<Result<(), String>, Error> {
    match sockets_on(plan.api_port())?.is_disjoint(before) {
        true => Ok(machine::serving(plan).await?.map(drop)),
        false => Ok(Err("the bootstrap apiserver has not ended yet".to_owned())),
    }
}

/// After a failed hand-over: puts the bootstrap apiserver back unless the self-hosted one serves,
/// and reports the log of that. A failure here is a warning: the first one is the cause.
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

/// The last complaint in its log, for which an API that has just come back needs several tries.
async fn complaint(apiserver: &BlockedApiserver<'_>) -> Option<String> {
    for _ in 0..COMPLAINT_TRIES {
        if let Some(said) = apiserver.last_complaint().await {
            return Some(said);
        }
        tokio::time::sleep(PROBE * 5).await;
    }
    None
}
