//! Watches over the apiservers of a machine while one makes way for the next: sees who listens, asks each, steers, and opens and closes
//! gates, as [`decide`] says. The agent does so all the time, `start` during a pivot.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

use super::decide::{Candidate, Decision, Seated, decide};
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
        let pause = guard.look().await;
        served.send_if_modified(|told| {
            let now = guard.served();
            std::mem::replace(told, now.clone()) != now
        });
        tokio::select! {
            Some(now) = changes.next() => match now {
                Ok(pods) => guard.seen = pods,
                Err(why) => tracing::debug!(why, "pods are not told at present"),
            },
            () = tokio::time::sleep(pause) => {}
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
    seats: Vec<Seated>,
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
            Err(error) => {
                self.complain(chain(&error));
                BUSY * 10
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
        if let Err(error) = self.ask().await {
            return self.without_steering(&candidates, error).await;
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

    /// Asks those who are not known to be ready, or not known at all.
    async fn ask(&mut self) -> Result<(), Error> {
        let Self { port, group, .. } = self;
        let aim = match group.aim {
            Some(aim) => aim,
            None => group.guess(port).await?,
        };
        for index in 0..group.listeners.len() as u32 {
            let known = group.seats.iter().find(|seat| seat.index == index);
            if known.is_some_and(|seat| seat.is_ready && seat.pod.is_some()) {
                continue;
            }
            let processes = &group.processes;
            let answer = port.ask(&group.listeners, aim, index, |socket| holder(processes, socket)).await?;
            tracing::debug!(index, ?answer, "asked");
            let before = known.and_then(|seat| seat.pod.clone());
            let is_ready = answer.readyz == Readyz::Ready;
            let seat = Seated { index, pod: answer.seen.flatten().or(before), is_ready };
            group.seats.retain(|seat| seat.index != index);
            group.seats.push(seat);
        }
        group.seats.sort_by_key(|seat| seat.index);
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
        if self.group.aim.map(|aim| (aim.serving, aim.starting)) != Some((aim.serving, aim.starting)) {
            let Group { listeners, processes, .. } = &self.group;
            let is_blind = processes.is_empty() || pod.is_none();
            let is_its = |socket| is_blind || holder(processes, socket) == pod;
            self.port.flip(listeners, aim, is_its).await?;
            tracing::info!(?aim, pod = pod.as_deref().unwrap_or("unknown"), "new connections are steered");
            self.group.aim = Some(aim);
        }
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
        }
        self.listeners = listeners;
        self.since = Some(Instant::now());
        self.seats.clear();
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

    /// Where connections go at present, as an index: whoever takes one, by its age among those who listen. Exact while nobody has gone.
    async fn guess(&self, port: &Port) -> Result<Aim, Error> {
        let serving = port.served_by(|socket| holder(&self.processes, socket)).await?.flatten();
        let inodes: BTreeSet<u32> = self.listeners.iter().map(|listener| listener.inode).collect();
        let mut listening = self.processes.iter().filter(|process| !process.sockets().is_disjoint(&inodes));
        let index = listening.position(|process| Some(&process.pod) == serving.as_ref()).unwrap_or(0) as u32;
        Ok(Aim { serving: index, asked: index, starting: self.listeners.len() as u32 - 1 })
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
