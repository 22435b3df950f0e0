//! Watches over the apiservers of a machine while one makes way for the next: sees who listens, asks each, steers, and opens and closes
//! gates, as [`decide`] says. The agent does so all the time, `start` during a pivot.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

use super::decide::{Candidate, Decision, Seated, decide, reseat, stay};
use super::{Error, Port, SERVING};
use crate::NAMESPACE;
use crate::cluster::connect::Readyz;
use crate::cluster::gate;
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Scope, follow};
use crate::error::chain;
use crate::host::blocking;
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
/// Within which somebody who serves takes a connection.
const SHORT: Duration = Duration::from_millis(500);
/// Connections that are dealt at random until the newer of two apiservers has taken one, almost certainly.
const TRIES: usize = 16;

/// Watches over the apiservers of `node`, for ever. `served` is told which pod has new connections and an open gate.
pub async fn guard(port: Port, client: &Client, node: &str, served: &watch::Sender<Option<String>>) {
    let pods: Objects<Pod> = Objects::namespaced(client, NAMESPACE);
    let scope =
        Scope { labels: Some(format!("k8s-app={APISERVER}")), fields: Some(format!("spec.nodeName={node}")) };
    let changes = follow(pods.clone(), &scope).filter_map(async |news| {
        news.inspect_err(|why| tracing::debug!(why, "pods are not told at present")).ok()
    });
    let mut changes = std::pin::pin!(changes);
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
            Some(pods) = changes.next() => guard.seen = pods,
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
    /// One for each index, as far as is known.
    seats: Vec<Seated>,
    /// Indices whose owner has not said since then that it is ready.
    unready: BTreeSet<usize>,
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
            let processes = blocking::run(|| processes::of_container(APISERVER)).await;
            self.group.meet(listeners, processes.map_err(Error::Processes)?);
        }
        if self.is_settled() {
            return Ok(IDLE);
        }
        let candidates = candidates(&self.seen);
        let asked = async {
            let aim = self.hold(&candidates).await?;
            self.ask(aim, &candidates).await
        };
        match asked.await {
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
        let Group { seats, unready, aim, .. } = &self.group;
        let is_open = |uid: &Option<String>| {
            candidates(&self.seen).iter().all(|pod| pod.is_open && uid.as_ref() == Some(&pod.uid))
        };
        let is_one = matches!(seats.as_slice(), [seat] if seat.is_ready && is_open(&seat.pod));
        is_one && unready.is_empty() && aim.is_some()
    }

    /// Before anybody is asked, connections stay where they are, and the next one that comes can call itself.
    async fn hold(&mut self, candidates: &[Candidate]) -> Result<Aim, Error> {
        let Self { port, group, .. } = self;
        let aim = match group.aim {
            None => group.find_out(port).await?,
            Some(told) => {
                let aim = stay(told, &group.seats, candidates, group.serving.as_deref());
                if aim != told {
                    port.steer(&group.listeners, aim).await?;
                }
                aim
            }
        };
        group.aim = Some(aim);
        Ok(aim)
    }

    /// Asks those who are not known to be ready, or not known at all.
    async fn ask(&mut self, mut aim: Aim, candidates: &[Candidate]) -> Result<(), Error> {
        let Self { port, group, .. } = self;
        for index in 0..group.seats.len() {
            if group.unready.contains(&index) || group.seats[index].pod.is_none() {
                let look = |socket| holder(&group.processes, socket);
                let answer = port.ask(&group.listeners, aim, index as u32, look).await?;
                tracing::debug!(index, ?answer, "asked");
                group.learn(index, answer.readyz == Readyz::Ready, answer.seen.flatten());
            }
            if group.is_better(index, aim) {
                aim.serving = index as u32; // at once, since the next one may not answer
                port.steer(&group.listeners, aim).await?;
                group.aim = Some(aim);
            }
        }
        group.assume_order(candidates);
        Ok(())
    }

    async fn act(&mut self, decision: Decision) -> Result<(), Error> {
        let aim = decision.aim();
        let pod = self.group.seats.get(aim.serving as usize).and_then(|seat| seat.pod.clone());
        let told = self.group.aim.take(); // should this fail or be left, where they go is found out anew
        if told.map(|told| (told.serving, told.starting)) != Some((aim.serving, aim.starting)) {
            let Group { listeners, processes, .. } = &self.group;
            let is_blind = processes.is_empty() || pod.is_none();
            let is_its = |socket| is_blind || holder(processes, socket) == pod;
            self.port.flip(listeners, aim, is_its).await?;
            self.group.since = Some(Instant::now());
            tracing::info!(?aim, pod = pod.as_deref().unwrap_or("unknown"), "new connections are steered");
        }
        self.group.aim = Some(aim);
        self.group.serving = pod;
        for uid in &decision.close {
            self.set_gate(uid, false, "its apiserver does not listen").await;
        }
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
    fn meet(&mut self, listeners: Vec<Listener>, processes: Vec<ContainerProcess>) {
        self.processes = processes;
        tracing::info!(listeners = listeners.len(), processes = self.processes.len(), "listeners changed");
        let seated = |Listener { inode, .. }: &Listener| {
            let age = self.processes.iter().position(|process| process.sockets().contains(inode));
            let pod = age.map(|age| self.processes[age].pod.clone());
            (age, Seated { inode: *inode, pod, is_ready: false })
        };
        let mut now: Vec<_> = listeners.iter().map(seated).collect();
        now.sort_by_key(|(age, _)| *age);
        reseat(&mut self.seats, now.into_iter().map(|(_, seat)| seat).collect());
        self.unready = (0..self.seats.len()).collect();
        self.listeners = listeners;
        self.since = Some(Instant::now());
    }

    /// What was answered under an index. Who sits there is known for certain then, where processes can be seen.
    fn learn(&mut self, index: usize, is_ready: bool, pod: Option<String>) {
        if let Some(pod) = pod.filter(|pod| self.seats[index].pod.as_ref() != Some(pod)) {
            match self.seats.iter().position(|seat| seat.pod.as_ref() == Some(&pod)) {
                Some(assumed) => {
                    self.seats.swap(index, assumed);
                    self.unready.extend([index, assumed]);
                }
                None => self.seats[index].pod = Some(pod),
            }
        }
        self.seats[index].is_ready = is_ready;
        if is_ready {
            self.unready.remove(&index);
        }
    }

    /// Whether the one at `index` has said that it is ready, and whoever has connections by `aim` neither has nor is who had them before.
    fn is_better(&self, index: usize, aim: Aim) -> bool {
        let present = self.seats.get(aim.serving as usize);
        let is_worse = present.is_none_or(|seat| !seat.is_ready && seat.pod != self.serving);
        is_worse && self.seats[index].is_ready && !self.unready.contains(&index)
    }

    /// Whether for a while nobody has come or gone, nor been given connections.
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

    /// Where connections go at present: whoever takes one. Sends them there, whatever number that has: whoever begins to watch has not seen
    /// who went before.
    async fn find_out(&mut self, port: &Port) -> Result<Aim, Error> {
        let taker = || port.served_by(|socket| holder(&self.processes, socket));
        let serving = taker().await?.flatten().or_else(|| self.serving.clone());
        self.serving.clone_from(&serving); // for the next time, should this be left
        let count = self.seats.len();
        let is_its = |seat: &Seated| if serving.is_some() { seat.pod == serving } else { seat.is_ready };
        let assumed = self.seats.iter().position(is_its).unwrap_or(0);
        let aim = |serving: usize| {
            let starting = (0..count).rfind(|index| *index != serving).unwrap_or(1) as u32;
            Aim { serving: serving as u32, asked: serving as u32, starting }
        };
        for index in std::iter::once(assumed).chain((0..count).filter(|index| *index != assumed)) {
            port.steer(&self.listeners, aim(index)).await?;
            let taker = tokio::time::timeout(SHORT, taker()).await.unwrap_or(Ok(None))?.flatten();
            if serving.is_none() || taker == serving {
                self.seats.swap(index, assumed);
                self.unready.extend([index, assumed]);
                return Ok(aim(index));
            }
        }
        port.steer(&self.listeners, aim(assumed)).await?;
        Ok(aim(assumed))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_assumed_makes_way_for_what_was_answered_and_nobody_sits_twice() {
        let seat = |inode, pod: &str| Seated { inode, pod: Some(pod.to_owned()), is_ready: false };
        let mut group =
            Group { seats: vec![seat(1, "b"), seat(2, "c")], unready: [0, 1].into(), ..Group::default() };
        group.learn(0, false, None); // c hangs
        group.learn(1, true, Some("b".to_owned()));
        assert_eq!(group.seats, [seat(2, "c"), Seated { is_ready: true, ..seat(1, "b") }]);
        group.learn(0, true, Some("c".to_owned()));
        assert!(group.seats[0] == Seated { is_ready: true, ..seat(2, "c") } && group.unready.is_empty());
    }

    #[test]
    fn who_says_first_that_it_is_ready_takes_over_from_whom_nobody_knows() {
        let seat = |inode, pod: &str, is_ready| Seated { inode, pod: Some(pod.to_owned()), is_ready };
        let aim = Aim { serving: 1, asked: 1, starting: 2 };
        let group =
            |seats, serving: &str| Group { seats, serving: Some(serving.to_owned()), ..Group::default() };
        // b had them and crashed; the kernel moved c, which starts, into its place.
        assert!(group(vec![seat(1, "a", true), seat(3, "c", false)], "b").is_better(0, aim));
        // b has them, and has only not answered yet.
        assert!(!group(vec![seat(1, "a", true), seat(2, "b", false)], "b").is_better(0, aim));
        assert!(!group(vec![seat(1, "a", true), seat(2, "b", true)], "b").is_better(0, aim));
    }

    #[test]
    fn two_processes_of_one_pod_are_two() {
        let seat = |inode, is_ready| Seated { inode, pod: Some("a".to_owned()), is_ready };
        let mut group =
            Group { seats: vec![seat(1, false), seat(2, false)], unready: [0, 1].into(), ..Group::default() };
        group.learn(0, true, Some("a".to_owned()));
        group.learn(1, false, Some("a".to_owned()));
        assert_eq!(group.seats, [seat(1, true), seat(2, false)]);
    }
}
