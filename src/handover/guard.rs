//! Watches over the apiservers of a machine while one makes way for the next: sees who listens, asks each, steers, and opens and closes
//! gates, as [`decide`] says. The agent does so all the time, `start` during a pivot.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

use super::decide::{Candidate, Decision, Seated, decide, reorder};
use super::{Error, Port, SERVING};
use crate::NAMESPACE;
use crate::cluster::connect::Readyz;
use crate::cluster::gate;
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Scope, follow};
use crate::error::chain;
use crate::host::processes::{self, ContainerProcess};
use crate::host::sockets::Listener;
use crate::host::steering::Aim;

/// Name of the container, and of the pods' label `k8s-app`.
const APISERVER: &str = "kube-apiserver";
/// Between two looks while something is about to change: who listens cannot be watched.
const BUSY: Duration = Duration::from_millis(50);
/// Between two looks at other times. A pod that comes or goes is told by the API at once; this finds a process that crashed.
const IDLE: Duration = Duration::from_secs(1);
/// After so long without a change whoever does not get ready is looked at no more often than at other times.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that are dealt at random until the newer of two apiservers has taken one, almost certainly.
const TRIES: usize = 16;

/// Watches over the apiservers of `node`, for ever. `served` is told which pod has new connections and an open gate.
pub async fn guard(port: Port, client: &Client, node: &str, served: &watch::Sender<Option<String>>) {
    let pods: Objects<Pod> = Objects::namespaced(client, NAMESPACE);
    let scope =
        Scope { labels: Some(format!("k8s-app={APISERVER}")), fields: Some(format!("spec.nodeName={node}")) };
    let mut changes = follow(pods.clone(), &scope);
    let mut guard = Guard { port, pods, seen: Vec::new(), group: Group::default(), complaint: String::new() };
    loop {
        let look = async {
            let pause = guard.look().await;
            served.send_if_modified(|told| {
                let now = guard.served();
                std::mem::replace(told, now.clone()) != now
            });
            tokio::time::sleep(pause).await;
        };
        // Who does not answer is not waited for when there is news.
        tokio::select! {
            Some(now) = changes.next() => match now {
                Ok(pods) => guard.seen = pods,
                Err(why) => tracing::debug!(why, "pods are not told at present"),
            },
            () = look => {}
        }
    }
}

struct Guard {
    port: Port,
    pods: Objects<Pod>,
    /// The pods of this machine, as the API told last.
    seen: Vec<Pod>,
    group: Group,
    /// What was last found wrong, said once.
    complaint: String,
}

/// What is known about those who listen, as long as they are the same.
#[derive(Default)]
struct Group {
    listeners: Vec<Listener>,
    since: Option<Instant>,
    processes: Vec<ContainerProcess>,
    /// Numbers of the listeners in the order of the kernel's indices, as far as is known.
    order: Vec<u32>,
    /// One for each index.
    seats: Vec<Seated>,
    /// Indices whose owner has not said since then that it is ready.
    unready: BTreeSet<u32>,
    /// What the kernel was told last.
    aim: Option<Aim>,
    /// Pod that has new connections.
    serving: Option<String>,
}

impl Guard {
    /// Looks once and does what is to be done; says when to look again.
    async fn look(&mut self) -> Duration {
        match self.round().await {
            Ok(pause) => pause,
            Err(Error::Changed { .. }) => Duration::ZERO,
            Err(error) => {
                self.complain(chain(&error));
                if self.group.is_old() { IDLE } else { BUSY }
            }
        }
    }

    /// Pod that has new connections and an open gate.
    fn served(&self) -> Option<String> {
        let serving = self.group.serving.as_ref()?;
        candidates(&self.seen).iter().any(|pod| pod.is_open && pod.uid == *serving).then(|| serving.clone())
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint != complaint {
            tracing::warn!("{complaint}");
            self.complaint = complaint;
        }
    }

    async fn round(&mut self) -> Result<Duration, Error> {
        let listeners = self.port.listeners().await?;
        if listeners.is_empty() {
            self.group = Group::default();
            return Ok(BUSY);
        }
        if listeners != self.group.listeners {
            self.group.meet(listeners)?;
        }
        if self.is_settled() {
            return Ok(IDLE);
        }
        let candidates = candidates(&self.seen);
        self.make_room(&candidates).await?;
        match self.ask().await {
            Ok(()) => {}
            Err(changed @ Error::Changed { .. }) => return Err(changed),
            Err(error) => return self.without_steering(&candidates, error).await,
        }
        let Group { seats, serving, .. } = &self.group;
        let decision = decide(seats, &candidates, serving.as_deref());
        self.act(decision).await?;
        Ok(if self.is_settled() || self.group.is_old() { IDLE } else { BUSY })
    }

    /// One apiserver, ready, steered to, its gate open: nothing is to be done before something changes.
    fn is_settled(&self) -> bool {
        let Group { seats, aim, .. } = &self.group;
        let is_open = |uid: &Option<String>| {
            candidates(&self.seen).iter().all(|pod| pod.is_open && uid.as_ref() == Some(&pod.uid))
        };
        matches!(seats.as_slice(), [seat] if seat.is_ready && is_open(&seat.pod)) && aim.is_some()
    }

    /// Before the next one comes its calls to itself are told apart from those of one that is on its way out.
    async fn make_room(&mut self, candidates: &[Candidate]) -> Result<(), Error> {
        let Group { listeners, seats, aim, serving, .. } = &mut self.group;
        if let Some(aim) = aim {
            let Decision { starting, .. } = decide(seats, candidates, serving.as_deref());
            if aim.starting != starting {
                self.port.steer(listeners, Aim { starting, ..*aim }).await?;
                aim.starting = starting;
            }
        }
        Ok(())
    }

    /// Asks those who are not known to be ready, or not known at all.
    async fn ask(&mut self) -> Result<(), Error> {
        let Self { port, group, .. } = self;
        let aim = match group.aim {
            Some(aim) => aim,
            None => group.guess(port).await?,
        };
        let Group { listeners, processes, seats, unready, .. } = group;
        for seat in seats {
            if !unready.contains(&seat.index) && seat.pod.is_some() {
                continue;
            }
            let answer = port.ask(listeners, aim, seat.index, |socket| holder(processes, socket)).await?;
            tracing::debug!(seat.index, ?answer, "asked");
            seat.is_ready = answer.readyz == Readyz::Ready;
            if seat.is_ready {
                unready.remove(&seat.index);
            }
            seat.pod = answer.seen.flatten().or(seat.pod.take());
        }
        group.correct_order();
        group.assume_order(&candidates(&self.seen));
        Ok(())
    }

    async fn act(&mut self, decision: Decision) -> Result<(), Error> {
        for uid in &decision.close {
            self.set_gate(uid, false, "its apiserver does not listen").await;
        }
        let aim = decision.aim();
        let pod =
            self.group.seats.iter().find(|seat| seat.index == aim.serving).and_then(|seat| seat.pod.clone());
        let told = self.group.aim.take(); // should this fail or be left, where they go is found out anew
        if told.map(|told| (told.serving, told.starting)) != Some((aim.serving, aim.starting)) {
            let Group { listeners, processes, .. } = &self.group;
            let is_blind = processes.is_empty() || pod.is_none();
            let is_its = |socket| is_blind || holder(processes, socket) == pod;
            self.port.flip(listeners, aim, is_its).await?;
            tracing::info!(?aim, pod = pod.as_deref().unwrap_or("unknown"), "new connections are steered");
        }
        self.group.aim = Some(aim);
        self.group.serving = pod;
        if let Some(uid) = &decision.open {
            self.set_gate(uid, true, "new connections of this machine go to it").await;
        }
        Ok(())
    }

    /// Where the kernel does not steer, or the apiservers are bound to different addresses: connections are dealt out, until the newer one
    /// gets one and says on it that it is ready. Whoever waits for the roll is told of the gap.
    async fn without_steering(&mut self, candidates: &[Candidate], error: Error) -> Result<Duration, Error> {
        let why = format!("requests may fail in this roll: {}", chain(&error));
        self.complain(why.clone());
        let newest = candidates.iter().filter(|pod| !pod.is_leaving).max_by_key(|pod| pod.age_rank);
        let Some(newest) = newest.filter(|pod| !pod.is_open) else { return Ok(IDLE) };
        for _ in 0..TRIES {
            let answer = self.port.ask_anybody(|socket| holder(&self.group.processes, socket)).await?;
            if answer.seen.flatten().as_ref() == Some(&newest.uid) && answer.readyz == Readyz::Ready {
                self.set_gate(&newest.uid, true, &why).await;
                break;
            }
        }
        Ok(IDLE)
    }

    /// Whoever cannot be told now is told in the next round.
    async fn set_gate(&self, uid: &str, open: bool, message: &str) {
        let Some(pod) = self.seen.iter().find(|pod| pod.uid().as_deref() == Some(uid)) else { return };
        if let Err(error) = gate::set_gate(&self.pods, &pod.name_any(), SERVING, open, message).await {
            tracing::warn!(pod = pod.name_any(), open, error = chain(&error), "gate not set");
        }
    }
}

impl Group {
    /// Others listen now. What the kernel was told still holds for the indices that were there before.
    fn meet(&mut self, listeners: Vec<Listener>) -> Result<(), Error> {
        let all = processes::of_container(APISERVER).map_err(Error::Processes)?;
        self.processes = all;
        tracing::info!(listeners = listeners.len(), processes = self.processes.len(), "listeners changed");
        let has_lost = self.listeners.iter().any(|listener| !listeners.contains(listener));
        if has_lost {
            self.aim = None;
            self.seats.clear();
        }
        let age = |inode: u32| self.processes.iter().position(|process| process.sockets().contains(&inode));
        let mut present: Vec<u32> = listeners.iter().map(|listener| listener.inode).collect();
        present.sort_by_cached_key(|inode| age(*inode));
        reorder(&mut self.order, &present);
        for (index, inode) in self.order.iter().enumerate().skip(self.seats.len()) {
            let pod = holder(&self.processes, *inode);
            self.seats.push(Seated { index: index as u32, pod, is_ready: false });
        }
        self.unready = (0..listeners.len() as u32).collect();
        self.listeners = listeners;
        self.since = Some(Instant::now());
        Ok(())
    }

    /// Whether nobody has come or gone for a while.
    fn is_old(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > PATIENCE)
    }

    /// Where processes cannot be seen: of two the first was there first, and has no pod of ours; the second one is the newest pod. Should
    /// that be wrong, both are ready before anybody goes.
    fn assume_order(&mut self, candidates: &[Candidate]) {
        let are_ready = self.seats.iter().all(|seat| seat.is_ready);
        if let ([_, newer], true, true) = (self.seats.as_mut_slice(), self.processes.is_empty(), are_ready) {
            newer.pod = candidates.iter().max_by_key(|pod| pod.age_rank).map(|pod| pod.uid.clone());
        }
    }

    /// What was answered under each index tells the order for certain, where processes can be seen.
    fn correct_order(&mut self) {
        let of = |seat: &Seated| {
            let pod = seat.pod.as_ref();
            self.order.iter().find(|inode| pod.is_some() && holder(&self.processes, **inode).as_ref() == pod)
        };
        let told: Option<Vec<u32>> = self.seats.iter().map(|seat| of(seat).copied()).collect();
        if let Some(told) = told.filter(|told| told.len() == self.order.len()) {
            self.order = told;
        }
    }

    /// Where connections go at present, as an index: whoever takes one.
    async fn guess(&self, port: &Port) -> Result<Aim, Error> {
        let serving = port.served_by(|socket| holder(&self.processes, socket)).await?.flatten();
        let is_serving = |inode: &u32| holder(&self.processes, *inode) == serving;
        let index = self.order.iter().position(is_serving).unwrap_or(0) as u32;
        Ok(Aim { serving: index, asked: index, starting: (self.listeners.len() as u32 - 1).max(1) })
    }
}

/// Pod whose process holds a socket.
fn holder(processes: &[ContainerProcess], socket: u32) -> Option<String> {
    processes.iter().find(|process| process.sockets().contains(&socket)).map(|process| process.pod.clone())
}

fn candidates(pods: &[Pod]) -> Vec<Candidate> {
    let mut pods: Vec<&Pod> = pods.iter().filter(|pod| gate::has_gate(pod, SERVING)).collect();
    pods.sort_by_key(|pod| (pod.creation_timestamp(), pod.uid()));
    let candidate = |(age_rank, pod): (usize, &Pod)| Candidate {
        uid: pod.uid().unwrap_or_default(),
        age_rank,
        is_leaving: pod.metadata.deletion_timestamp.is_some(),
        is_open: gate::is_open(pod, SERVING),
    };
    pods.into_iter().enumerate().map(candidate).collect()
}
