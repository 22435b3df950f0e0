//! Keeps the copies of this machine. A round looks, lets `checkpoint::decide` decide, and acts.
//!
//! ```text
//! cluster (API) ┐
//! runtime (CRI) ┼► observe ─► decide ─► store: save, activate, deactivate, remove ─► evidence: a gate of the agent's pod
//! store (disk)  ┘    ▲ offers: copies that could be kept
//! ```
//!
//! There is a round when the API has news or breaks off, every second while something is amiss, and
//! every five seconds otherwise. Copies are kept of pods of any namespace. Outside of the control
//! plane's namespace, the Secrets and ConfigMaps of a pod are read where a Role there allows it.
//! The agent ends no process: a copy runs because its file is in kubelet's folder. What fails is
//! logged once and tried again in the next round.

mod cluster;
mod evidence;
mod observe;
mod offers;
mod owners;
mod runtime;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use time::OffsetDateTime;
use tokio::sync::watch;

use self::cluster::{View, Watched};
use self::observe::{Look, Seen};
use self::offers::{Offered, Offers};
use super::complaints::Complaints;
use super::identity::{self, standing::Standing};
use crate::NAMESPACE;
use crate::checkpoint::decide::{Act, Action, State, Timing, decide};
use crate::checkpoint::observed::{Api, Disk, Observed, Offer, Parent};
use crate::checkpoint::store::{self, Listing, Store};
use crate::checkpoint::{Id, Role};
use crate::error::chain;
use crate::handover::lock::Lock;
use crate::host::blocking;

/// Between two rounds while something is amiss. The container runtime is not watched.
const BUSY: Duration = Duration::from_secs(1);
/// Between two rounds at other times. The watch reports a pod that ends, and breaks if the API
/// ends.
const IDLE: Duration = Duration::from_secs(5);
/// After a round, while news are gathered: one change brings many. The first causes a round at
/// once, the others the next one.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two removals of what interrupted work left.
const SWEEP: Duration = Duration::from_secs(600);

/// Keeps the copies of this machine.
pub struct Keeper {
    client: Client,
    node: String,
    view: View,
    own: Id,
    store: Store,
    runtime: PathBuf,
    state: State,
    timing: Timing,
    offers: Offers,
    complaints: Complaints,
    identity: watch::Receiver<Option<Standing>>,
    began: Instant,
    swept: Option<Instant>,
    /// Held until the last act on the disk has ended.
    alone: Arc<Lock>,
}

impl Keeper {
    /// For the machine of `node`, whose runtime listens at `runtime`. The agent's pod shows the
    /// state of `identity`. `alone` says that no other agent works on this machine.
    pub fn new(
        client: &Client,
        node: &str,
        store: &Store,
        runtime: PathBuf,
        identity: &identity::Keeper,
        alone: Arc<Lock>,
    ) -> Self {
        let (view, own) = match identity.is_kubelet() {
            true => (View::Worker, "pod-checkpointer-worker"),
            false => (View::Controller, "pod-checkpointer"),
        };
        Self {
            client: client.clone(),
            node: node.to_owned(),
            view,
            own: Id::new(NAMESPACE, own),
            store: store.clone(),
            runtime,
            state: State::default(),
            timing: Timing::default(),
            offers: Offers::new(identity.user()),
            complaints: Complaints::default(),
            identity: identity.standing(),
            began: Instant::now(),
            swept: None,
            alone,
        }
    }

    /// Never returns.
    ///
    /// # Cancellation
    /// May be dropped at any time. An act on the disk that has begun is finished; each leaves the
    /// old copy or the new one. The lock is held until then, so that a command that has waited for
    /// it finds the disk as it will stay.
    pub async fn guard(mut self) {
        let mut api = Watched::new(&self.client, &self.node, self.view);
        api.met().await;
        loop {
            let pause = self.round(&mut api).await;
            if !api.gather(PAUSE).await {
                // Running out of time is no failure: the API has no news.
                tokio::time::timeout(pause - PAUSE, api.changed()).await.unwrap_or_default();
            }
        }
    }

    /// One round. Returns the pause until the next one.
    async fn round(&mut self, api: &mut Watched) -> Duration {
        let known = api.known().await;
        let local = runtime::look(&self.runtime).await;
        let listing = self.look_at_disk().await;
        self.complaints.note(&"runtime", &local);
        self.complaints.note(&"disk", &listing);
        let mut seen = Seen::new(Look {
            own: &self.own,
            node: &self.node,
            known: &known,
            local: local.as_deref().ok(),
            listing: listing.as_ref().ok(),
        });
        if let (Some(node), orphans @ [_, ..]) = (&known.node, &seen.orphans()[..]) {
            seen.asked = owners::ask(&self.client, node, orphans.to_vec(), &mut self.complaints).await;
        }
        let mut offered = self.offers.look(&self.client, &seen, &self.store, &mut self.complaints).await;
        let offers: BTreeMap<Id, Offer> =
            offered.iter().map(|(id, offered)| (id.clone(), offered.offer.clone())).collect();
        let observation = seen.observation(&offers);
        tracing::debug!(?observation, "seen");
        if known.node.is_some() {
            let missing = evidence::missing(&observation, &self.complaints);
            let refused = evidence::refused(&observation, &self.complaints);
            let identity = self.identity.borrow().clone();
            evidence::tell(&self.client, &seen, &evidence::conditions(&missing, &refused, identity.as_ref()))
                .await;
        }
        let state = std::mem::take(&mut self.state);
        let (state, actions) = decide(state, &observation, self.began.elapsed(), &self.timing);
        self.state = state;
        for action in actions {
            let offered = offered.remove(&action.id);
            act(&self.store, &self.alone, &action, offered, &mut self.complaints).await;
        }
        if observation.values().all(is_well) { IDLE } else { BUSY }
    }

    /// The copies on disk. Now and then what interrupted work left is removed first.
    async fn look_at_disk(&mut self) -> Result<Listing, store::Error> {
        let is_due = self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP);
        let store = self.store.clone();
        let (swept, listing) = blocking::run(move || (is_due.then(|| store.sweep()), store.list())).await;
        match swept {
            Some(Ok(())) => self.swept = Some(Instant::now()),
            Some(Err(error)) => self.complaints.say(&"sweep", chain(&error)),
            None => {}
        }
        listing
    }
}

/// Whether nothing is amiss: the pod is healthy, and its copy is kept, and active only if it is the
/// agent's own.
fn is_well(seen: &Observed) -> bool {
    let is_kept = |disk: &Disk| disk.kept.is_some() && (seen.role == Role::Own) == disk.active.is_some();
    (seen.api, seen.parent) == (Api::Here, Parent::Healthy) && seen.disk.as_ref().is_some_and(is_kept)
}

/// Carries out one action.
async fn act(
    store: &Store,
    alone: &Arc<Lock>,
    action: &Action,
    offered: Option<Offered>,
    complaints: &mut Complaints,
) {
    let Action { id, act, why } = action;
    let (store, workload, reason) = (store.clone(), id.clone(), why.to_string());
    let work: Box<dyn FnOnce() -> Result<(), store::Error> + Send> = match (act, offered) {
        (Act::Save(offer), Some(Offered { copy, .. })) if copy.revision == offer.revision => {
            offers::tell_notes(&copy);
            Box::new(move || store.save(&copy, &reason, OffsetDateTime::now_utc()))
        }
        (Act::Save(_), _) => return,
        (Act::Activate, _) => Box::new(move || store.activate(&workload)),
        (Act::Deactivate, _) => Box::new(move || store.deactivate(&workload)),
        (Act::Remove, _) => Box::new(move || store.remove(&workload)),
    };
    let subject = evidence::copy_of(id);
    let alone = Arc::clone(alone);
    let done_alone = move || {
        let result = work();
        drop(alone);
        result
    };
    match blocking::run(done_alone).await {
        Ok(()) => {
            complaints.over(&subject);
            tracing::info!(workload = %id, %why, "{}", done(act));
        }
        Err(error) => complaints.say(&subject, chain(&error)),
    }
}

fn done(act: &Act) -> &'static str {
    match act {
        Act::Save(_) => "copy kept",
        Act::Activate => "copy given to kubelet",
        Act::Deactivate => "copy taken from kubelet",
        Act::Remove => "copy removed",
    }
}
