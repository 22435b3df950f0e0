//! Watches over the apiservers of a machine, and acts while one is replaced by the next: asks each
//! listener on the port whether it is ready, steers new connections, and sets the readiness gates
//! of the pods, as [`decide`] says.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt as _};
use tokio::sync::watch;

use super::SERVING;
use super::decide::{Candidate, Decision, decide, stay};
use super::group::{Group, holder};
use super::port::{Error, Port};
use crate::NAMESPACE;
use crate::cluster::connect::Readyz;
use crate::cluster::gate;
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Scope, follow};
use crate::error::chain;
use crate::host::blocking;
use crate::host::processes;
use crate::host::steering::Aim;

/// Name of the container, and of the pods' label `k8s-app`.
const APISERVER: &str = "kube-apiserver";
/// Between two rounds while something is about to change. Listeners cannot be watched.
const BUSY: Duration = Duration::from_millis(50);
/// Between two rounds at other times. The API's watch reports pods that come and go, and this finds
/// a process that crashed.
const IDLE: Duration = Duration::from_secs(1);
/// Connections to try where the kernel spreads them at random: the newer of two apiservers accepts
/// one of them, almost certainly.
const TRIES: usize = 16;

/// Watches over the apiservers of `node` and never returns. `served` holds the pod that gets new
/// connections and has an open gate.
///
/// # Guarantees
/// - Connections leave a listener that serves only for one that has answered `/readyz` itself, or
///   when it is gone.
/// - A gate is opened only after connections were seen to reach the pod.
/// - Several guards on one machine (the agent's, and that of `start`) come to the same decisions
///   and do not disturb each other's questions.
///
/// # Cancellation
/// May be dropped at any time: the program in the kernel stays as it is, and so do connections. A
/// round is cancelled in the same way when the watch has news. So each step updates the guard's
/// state only after the kernel has changed, and the hand-over forgets `aim` before it begins.
pub async fn guard(port: Port, client: &Client, node: &str, served: &watch::Sender<Option<String>>) {
    let pods: Objects<Pod> = Objects::namespaced(client, NAMESPACE);
    let scope =
        Scope { labels: Some(format!("k8s-app={APISERVER}")), fields: Some(format!("spec.nodeName={node}")) };
    let changes = follow(pods.clone(), &scope).filter_map(async |news| {
        news.inspect_err(|why| tracing::debug!(why, "the pods of the apiserver are not watched at present"))
            .ok()
    });
    let mut changes = std::pin::pin!(changes);
    let mut guard = Guard { port, pods, seen: Vec::new(), group: Group::default(), complaint: String::new() };
    loop {
        let round = async {
            let pause = guard.round_or_complain().await;
            served.send_if_modified(|known| {
                let now = guard.served();
                std::mem::replace(known, now.clone()) != now
            });
            tokio::time::sleep(pause).await;
        };
        // An apiserver that does not answer must not delay what the watch reports.
        tokio::select! {
            Some(pods) = changes.next() => guard.seen = pods,
            () = round => {}
        }
    }
}

struct Guard {
    port: Port,
    pods: Objects<Pod>,
    /// The apiserver's pods on this machine, as the watch last reported them.
    seen: Vec<Pod>,
    group: Group,
    /// The last problem, which is logged once.
    complaint: String,
}

impl Guard {
    /// One round. Returns the pause until the next one.
    async fn round_or_complain(&mut self) -> Duration {
        match self.round().await {
            Ok(pause) => pause,
            Err(Error::Changed { .. }) => Duration::ZERO,
            Err(error) => {
                self.complain(chain(&error));
                if self.group.is_old() { IDLE } else { BUSY }
            }
        }
    }

    /// Pod that gets new connections and has an open gate.
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

    /// Whether nothing is to be done until something changes: there is one apiserver, which is
    /// ready, steered to, and has an open gate.
    fn is_settled(&self) -> bool {
        let Group { seats, unready, aim, .. } = &self.group;
        let is_open = |uid: &Option<String>| {
            candidates(&self.seen).iter().all(|pod| pod.is_open && uid.as_ref() == Some(&pod.uid))
        };
        let is_one = matches!(seats.as_slice(), [seat] if seat.is_ready && is_open(&seat.pod));
        is_one && unready.is_empty() && aim.is_some()
    }

    /// Keeps connections where they are while questions are asked, and lets the apiserver that
    /// starts reach itself.
    async fn hold(&mut self, candidates: &[Candidate]) -> Result<Aim, Error> {
        let Self { port, group, .. } = self;
        let aim = match group.aim {
            None => group.find_out(port).await?,
            Some(present) => {
                let aim = stay(present, &group.seats, candidates, group.serving.as_deref());
                if aim != present {
                    port.steer(&group.listeners, aim).await?;
                }
                aim
            }
        };
        group.aim = Some(aim);
        Ok(aim)
    }

    /// Asks every index that is not known to be ready, or whose pod is not known.
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
                aim.serving = index as u32; // at once: the next index may not answer
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
        // If this fails or is cancelled, the next round finds out where connections go.
        let present = self.group.aim.take();
        if present.map(|present| (present.serving, present.starting)) != Some((aim.serving, aim.starting)) {
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

    /// Where the kernel does not steer, or the apiservers are bound to different addresses, it
    /// spreads connections at random. The gate is opened once the newer apiserver has accepted one
    /// and has answered on it that it is ready. The condition says that requests may fail.
    async fn without_steering(&mut self, candidates: &[Candidate], error: Error) -> Result<Duration, Error> {
        let why = format!("requests may fail in this rollout: {}", chain(&error));
        self.complain(why.clone());
        let newest = candidates.iter().filter(|pod| !pod.is_leaving).max_by_key(|pod| pod.age_rank);
        let Some(newest) = newest.filter(|pod| !pod.is_open) else { return Ok(IDLE) };
        for _ in 0..TRIES {
            let answer = self.port.ask_like_a_client(|socket| holder(&self.group.processes, socket)).await?;
            if answer.seen.flatten().as_ref() == Some(&newest.uid) && answer.readyz == Readyz::Ready {
                self.set_gate(&newest.uid, true, &why).await;
                break;
            }
        }
        Ok(IDLE)
    }

    /// A gate that cannot be set now is set in the next round.
    async fn set_gate(&self, uid: &str, open: bool, message: &str) {
        let Some(pod) = self.seen.iter().find(|pod| pod.uid().as_deref() == Some(uid)) else { return };
        if let Err(error) = gate::set_gate(&self.pods, &pod.name_any(), SERVING, open, message).await {
            tracing::warn!(pod = pod.name_any(), open, error = chain(&error), "gate not set");
        }
    }
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
