//! What the guard knows of the listeners on the port: which pod is behind each index, which of them
//! is ready, and where new connections go.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::decide::{Candidate, Seated, reseat};
use super::port::{Error, Port};
use crate::host::processes::ContainerProcess;
use crate::host::sockets::Listener;
use crate::host::steering::Aim;
use crate::patience::{Pace, within};

/// A group in which nothing has changed for so long is looked at less often.
const PATIENCE: Duration = Duration::from_secs(60);
/// An apiserver that serves accepts a connection within this time, unless the machine is slow. Clients
/// go wherever this asks, so it must not ask for long.
const SHORT: Duration = Duration::from_millis(500);

/// The listeners on the port.
///
/// # Guarantees
/// `seats` has the last answer of each index. Answers count only while the same sockets listen.
/// `aim` is `None` if it is not certain what the program in the kernel does; then
/// [`find_out`](Self::find_out) finds out.
#[derive(Default)]
pub struct Group {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// When they changed last, or connections were moved.
    pub since: Option<Instant>,
    /// Processes of apiservers on this machine; none where they cannot be seen.
    pub processes: Vec<ContainerProcess>,
    /// The listener behind each index, as far as is known.
    pub seats: Vec<Seated>,
    /// Indices that have not answered that they are ready since the listeners changed.
    pub unready: BTreeSet<usize>,
    /// Where the program in the kernel sends connections.
    pub aim: Option<Aim>,
    /// Pod that gets new connections.
    pub serving: Option<String>,
}

impl Group {
    /// Takes over a change of the sockets that listen. The program in the kernel is still right for
    /// the indices that were there before.
    pub fn meet(&mut self, listeners: Vec<Listener>, processes: Vec<ContainerProcess>) {
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

    /// Takes in what an index answered. Where processes can be seen, the pod behind the index is
    /// then certain.
    pub fn learn(&mut self, index: usize, is_ready: bool, pod: Option<String>) {
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

    /// Whether connections are better off at `index`: the listener there has answered that it is
    /// ready, and the one that `aim` gives them to has not, nor is it the one that had them before
    /// the listeners changed.
    pub fn is_better(&self, index: usize, aim: Aim) -> bool {
        let present = self.seats.get(aim.serving as usize);
        let is_worse = present.is_none_or(|seat| !seat.is_ready && seat.pod != self.serving);
        is_worse && self.seats[index].is_ready && !self.unready.contains(&index)
    }

    /// Whether for a while no listener has come or gone, and connections were not moved.
    pub fn is_old(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > PATIENCE)
    }

    /// Assigns pods where processes cannot be seen: of two listeners the second is that of the
    /// newest pod. If that is wrong no request fails, since this waits until both are ready.
    pub fn assume_order(&mut self, candidates: &[Candidate]) {
        let are_ready = self.seats.iter().all(|seat| seat.is_ready);
        if let ([_, newer], true, true) = (self.seats.as_mut_slice(), self.processes.is_empty(), are_ready) {
            newer.pod = candidates.iter().max_by_key(|pod| pod.age_rank).map(|pod| pod.uid.clone());
        }
    }

    /// Finds the pod that gets new connections at present, and the index by which the kernel sends
    /// them there. A guard that has just begun has not seen which listeners closed before, so it
    /// cannot know the order of the rest.
    ///
    /// # Cancellation
    /// Connections may then go to a wrong listener of the group. `aim` is `None`, so the next call
    /// puts that right.
    pub async fn find_out(&mut self, port: &Port) -> Result<Aim, Error> {
        let taker = || port.served_by(|socket| holder(&self.processes, socket));
        let (pace, begun) = (Pace::new(SHORT, SHORT), Instant::now());
        let serving = taker().await?.flatten();
        if serving.is_some() {
            pace.answered(begun.elapsed());
        }
        let serving = serving.or_else(|| self.serving.clone());
        self.serving.clone_from(&serving); // for the next call, if this one is cancelled
        let count = self.seats.len();
        let is_its = |seat: &Seated| if serving.is_some() { seat.pod == serving } else { seat.is_ready };
        let assumed = self.seats.iter().position(is_its).unwrap_or(0);
        let aim = |serving: usize| {
            let starting = (0..count).rfind(|index| *index != serving).unwrap_or(1) as u32;
            Aim { serving: serving as u32, asked: serving as u32, starting }
        };
        for index in std::iter::once(assumed).chain((0..count).filter(|index| *index != assumed)) {
            port.steer(&self.listeners, aim(index)).await?;
            let taker = within(pace.limit(), taker()).await.unwrap_or(Ok(None))?.flatten();
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
pub fn holder(processes: &[ContainerProcess], socket: u32) -> Option<String> {
    processes.iter().find(|process| process.sockets().contains(&socket)).map(|process| process.pod.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_replaces_an_assumption_and_no_pod_has_two_indices() {
        let seat = |inode, pod: &str| Seated { inode, pod: Some(pod.to_owned()), is_ready: false };
        let mut group =
            Group { seats: vec![seat(1, "b"), seat(2, "c")], unready: [0, 1].into(), ..Group::default() };
        group.learn(0, false, None); // c does not answer
        group.learn(1, true, Some("b".to_owned()));
        assert_eq!(group.seats, [seat(2, "c"), Seated { is_ready: true, ..seat(1, "b") }]);
        group.learn(0, true, Some("c".to_owned()));
        assert!(group.seats[0] == Seated { is_ready: true, ..seat(2, "c") } && group.unready.is_empty());
    }

    #[test]
    fn the_first_ready_listener_takes_over_from_an_unknown_one() {
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
