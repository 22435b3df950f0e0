//! The state machine of the checkpointer: (state, observation, time) to (state, actions). Pure.
//!
//! What is on disk is the phase of a workload: nothing, a kept copy, a kept and an active one. The
//! state holds only how long things have been so, so an agent that starts again needs nothing but
//! the disk. Actions are repeated until the disk shows them done.
//!
//! # Guarantees
//! Whatever is seen:
//! - An observation that failed is [`Unknown`](Api::Unknown). It starts, stops and removes nothing.
//!   It stops the clocks, and restarts that of removal.
//! - A copy replaces the kept one only after its very pod, started with these very files, has been
//!   healthy for [`Timing::soak`].
//! - The copy of a pod that may share its machine with it ([`Role::Apiserver`], [`Role::Leader`])
//!   goes when the pod has been healthy for a while; the leaders' before the apiserver's.
//! - The copy of any other pod is started only where neither the API nor kubelet would start the
//!   pod. It is stopped as soon as kubelet or the API has the pod, here or elsewhere. It is not
//!   started if the last answer of the API was that this machine need not run the pod, because
//!   another one may. Not to run two is more important than to run one.
//! - The own copy is always active. It goes last, after every other one; a list that misses the own
//!   pod for a while changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::memory::Memory;
use super::observed::{Api, Disk, Kubelet, Observation, Observed, Offer, Parent};
use super::{Id, Role};

/// How long things must hold.
#[derive(Clone, Debug)]
pub struct Timing {
    /// A stopped pod's copy is started after this while the API is silent: the runtime starts a
    /// container again in less. A pod that has not been seen at all since the agent started, as
    /// after a boot, is not waited for, unless it is exclusive; of a leader, as long as `kubelet`
    /// says: its own pod may be started once the apiserver answers.
    pub start: Duration,
    /// The same while the API has the pod: kubelet needs that long to hear of it and to start it.
    pub kubelet: Duration,
    /// A pod that runs and is not healthy gets its copy after this; longer than the slowest start.
    pub unhealthy: Duration,
    /// A pod has been healthy this long before its copy goes.
    pub settle: Duration,
    /// A pod has been healthy this long before its copy becomes the one to use.
    pub soak: Duration,
    /// A workload has been unwanted this long, without a break, before its copy is removed. v0.14's
    /// `--checkpoint-grace-period`.
    pub grace: Duration,
    /// The apiserver's copy waits at most this long for those of the leaders to go.
    pub order: Duration,
    /// At most this much time is counted between two observations: an agent that was stopped has
    /// seen nothing meanwhile.
    pub step: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            start: seconds(3),
            kubelet: seconds(10),
            unhealthy: seconds(30),
            settle: seconds(5),
            soak: seconds(60),
            grace: seconds(60),
            order: seconds(60),
            step: seconds(10),
        }
    }
}

/// Why something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sentences of Display say it")]
pub enum Why {
    First,
    Proven,
    Own,
    Stopped,
    Unhealthy,
    PodHealthy,
    KubeletsTurn,
    Unwanted,
    Retiring,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "the pod is healthy and nothing was kept before",
            Self::Proven => "the pod has proven healthy with this template and these files",
            Self::Own => "the agent's own copy always is active",
            Self::Stopped => "no container of the pod runs",
            Self::Unhealthy => "the pod runs and does not become healthy",
            Self::PodHealthy => "the pod itself is healthy",
            Self::KubeletsTurn => "the pod is kubelet's to run",
            Self::Unwanted => "nothing wants the pod on this machine any more",
            Self::Retiring => "nothing wants the agent on this machine any more",
        })
    }
}

/// What to do with the copy of one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make a copy of the pod, and make it the one to use.
    Save(Offer),
    /// Give the kept copy to kubelet, in place of an active one.
    Activate,
    /// Take the active copy from kubelet.
    Deactivate,
    /// Remove everything that is kept, active or not.
    Remove,
}

/// Something to do, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Of which workload.
    pub id: Id,
    /// What.
    pub act: Act,
    /// Why.
    pub why: Why,
}

/// What is remembered from one decision to the next.
#[derive(Clone, Debug, Default)]
pub struct State {
    memories: BTreeMap<Id, Memory>,
    last: Option<Duration>,
}

/// Decides what to do now. `now` is any clock that only goes forward. Actions are in the order in
/// which they are to be done.
pub fn decide(
    mut state: State,
    observation: &Observation,
    now: Duration,
    timing: &Timing,
) -> (State, Vec<Action>) {
    let elapsed = state.last.map_or(Duration::ZERO, |last| now.saturating_sub(last)).min(timing.step);
    state.last = Some(now);
    for (id, observed) in observation {
        state.memories.entry(id.clone()).or_default().see(observed, elapsed);
    }
    state.memories.retain(|id, _| !observation.get(id).is_some_and(is_over));
    let node = Node::new(&state, observation, timing);
    let mut decided: Vec<(u8, Action)> =
        observation.iter().filter_map(|(id, seen)| node.action(id, seen)).collect();
    decided.sort_by(|(rank, a), (other, b)| rank.cmp(other).then_with(|| a.id.cmp(&b.id)));
    (state, decided.into_iter().map(|(_, action)| action).collect())
}

/// Whether there is nothing left to remember of a workload. That the agent itself is unwanted is
/// never forgotten: it would begin to save again.
fn is_over(observed: &Observed) -> bool {
    observed.role != Role::Own
        && observed.api.is_unwanted()
        && observed.disk.as_ref().is_some_and(|disk| *disk == Disk::default())
}

/// Everything a decision about one workload depends on.
struct Node<'a> {
    state: &'a State,
    observation: &'a Observation,
    timing: &'a Timing,
    /// The agent has no business here any more: every copy goes, its own the last.
    retiring: bool,
}

impl<'a> Node<'a> {
    fn new(state: &'a State, observation: &'a Observation, timing: &'a Timing) -> Self {
        let mut node = Self { state, observation, timing, retiring: false };
        node.retiring =
            observation.iter().any(|(id, seen)| seen.role == Role::Own && node.is_unwanted(id, seen));
        node
    }

    /// What to do with one workload, and its rank among all that is to be done.
    fn action(&self, id: &Id, seen: &Observed) -> Option<(u8, Action)> {
        let disk = seen.disk.as_ref()?;
        let memory = self.state.memories.get(id)?;
        let (act, why) = match seen.role {
            Role::Own => self.own(disk, memory, seen)?,
            _ => self.other(id, disk, memory, seen)?,
        };
        Some((rank(&act, seen.role), Action { id: id.clone(), act, why }))
    }

    fn own(&self, disk: &Disk, memory: &Memory, seen: &Observed) -> Option<(Act, Why)> {
        if self.retiring {
            return (is_there(disk) && self.is_last()).then_some((Act::Remove, Why::Retiring));
        }
        self.save(disk, memory, seen).or_else(|| {
            (disk.kept.is_some() && disk.active != disk.kept).then_some((Act::Activate, Why::Own))
        })
    }

    fn other(&self, id: &Id, disk: &Disk, memory: &Memory, seen: &Observed) -> Option<(Act, Why)> {
        if is_there(disk) && self.may_go(memory, seen, self.timing.grace) {
            if self.is_unwanted(id, seen) {
                return Some((Act::Remove, Why::Unwanted));
            }
            if self.retiring && (disk.active.is_none() || seen.parent == Parent::Healthy) {
                return Some((Act::Remove, Why::Retiring));
            }
        }
        let moved = match (seen.role, &disk.active, &disk.kept) {
            (Role::Exclusive, Some(_), _) => yields(seen),
            (Role::Exclusive, None, Some(_)) => self.stands_in_alone(memory, seen),
            (_, Some(_), _) => self.hands_back(memory, seen),
            (_, None, Some(_)) => self.stands_in(memory, seen),
            (_, None, None) => None,
        };
        if self.retiring {
            return moved.filter(|(act, _)| *act == Act::Deactivate);
        }
        moved.or_else(|| self.save(disk, memory, seen))
    }

    /// The offered pod becomes the copy to use: at once if there is none, else when it has proven
    /// itself.
    fn save(&self, disk: &Disk, memory: &Memory, seen: &Observed) -> Option<(Act, Why)> {
        let offer = seen.offer.as_ref().filter(|offer| disk.kept.as_ref() != Some(&offer.revision))?;
        let why = match disk.kept {
            None => Why::First,
            Some(_) if memory.offered.for_at_least(self.timing.soak) => Why::Proven,
            Some(_) => return None,
        };
        Some((Act::Save(offer.clone()), why))
    }

    /// Whether a copy that may run beside its pod is started.
    fn stands_in(&self, memory: &Memory, seen: &Observed) -> Option<(Act, Why)> {
        let patience = match seen.api {
            // A leader can do nothing before there is an apiserver, and takes processor time from
            // it while it starts.
            Api::Unknown if !memory.was_alive && seen.role == Role::Leader => self.timing.kubelet,
            Api::Unknown if !memory.was_alive => Duration::ZERO,
            Api::Unknown => self.timing.start,
            Api::Here | Api::Wanted => self.timing.kubelet,
            Api::Elsewhere | Api::Gone => return None,
        };
        match seen.parent {
            Parent::Stopped if memory.stopped.for_at_least(patience) => Some((Act::Activate, Why::Stopped)),
            Parent::Stopped | Parent::Unhealthy if memory.unhealthy.for_at_least(self.timing.unhealthy) => {
                Some((Act::Activate, Why::Unhealthy))
            }
            _ => None,
        }
    }

    /// Whether the copy of an exclusive pod is started: only where neither the API nor kubelet
    /// would start the pod.
    fn stands_in_alone(&self, memory: &Memory, seen: &Observed) -> Option<(Act, Why)> {
        let alone = (seen.api, seen.parent, seen.kubelet) == (Api::Unknown, Parent::Stopped, Kubelet::Lacks);
        // After this last answer of the API, another machine may run the pod.
        let sent_away = memory.sent_away.for_at_least(self.timing.start);
        let starts = alone && !sent_away && memory.stopped.for_at_least(self.timing.start);
        starts.then_some((Act::Activate, Why::Stopped))
    }

    /// Whether an active copy that may run beside its pod goes.
    fn hands_back(&self, memory: &Memory, seen: &Observed) -> Option<(Act, Why)> {
        let settled = seen.parent == Parent::Healthy && memory.healthy.for_at_least(self.timing.settle);
        (settled && self.may_go(memory, seen, self.timing.settle))
            .then_some((Act::Deactivate, Why::PodHealthy))
    }

    /// The apiserver's copy lets those of the leaders go first, which need it to hand over, for a
    /// while.
    fn may_go(&self, memory: &Memory, seen: &Observed, after: Duration) -> bool {
        let leads = |other: &Observed| {
            other.role == Role::Leader && other.disk.as_ref().is_none_or(|disk| disk.active.is_some())
        };
        seen.role != Role::Apiserver
            || !self.observation.values().any(leads)
            || memory.healthy.for_at_least(self.timing.order + after)
            || memory.unwanted.for_at_least(self.timing.order + after)
    }

    /// Whether a workload is, and has been for long enough, unwanted here.
    fn is_unwanted(&self, id: &Id, seen: &Observed) -> bool {
        let held =
            self.state.memories.get(id).is_some_and(|memory| memory.unwanted.for_at_least(self.timing.grace));
        held && seen.api.is_unwanted()
    }

    /// Whether no copy but the own one is left on disk.
    fn is_last(&self) -> bool {
        let mut others = self.observation.values().filter(|seen| seen.role != Role::Own);
        others.all(|seen| seen.disk.as_ref().is_some_and(|disk| !is_there(disk)))
    }
}

/// Whether the copy of an exclusive pod must stop.
fn yields(seen: &Observed) -> Option<(Act, Why)> {
    let runs = matches!(seen.parent, Parent::Healthy | Parent::Unhealthy);
    let kubelets = seen.kubelet == Kubelet::Lists || matches!(seen.api, Api::Here | Api::Elsewhere);
    (runs || kubelets).then_some((Act::Deactivate, Why::KubeletsTurn))
}

fn is_there(disk: &Disk) -> bool {
    *disk != Disk::default()
}

/// Remembering comes first, then starting, the apiserver's copy before all; what ends, ends in the
/// opposite order.
fn rank(act: &Act, role: Role) -> u8 {
    let among = match role {
        Role::Apiserver => 0,
        Role::Leader => 1,
        Role::Exclusive => 2,
        Role::Own => 3,
    };
    match act {
        Act::Save(_) => among,
        Act::Activate => 4 + among,
        Act::Deactivate | Act::Remove => match role {
            Role::Own => 11,
            _ => 10 - among,
        },
    }
}
