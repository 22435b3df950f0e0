//! What to do about the apiservers of a machine: a pure function of who listens and which pods there are.

use crate::host::steering::Aim;

/// A listener, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seated {
    /// Which connections are steered by.
    pub index: u32,
    /// UID of its pod, where it could be seen.
    pub pod: Option<String>,
    /// Whether it takes requests.
    pub is_ready: bool,
}

/// A pod of the apiserver on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its UID.
    pub uid: String,
    /// The more, the newer.
    pub age_rank: usize,
    /// Whether it is about to end.
    pub is_leaving: bool,
    /// Whether its gate is open.
    pub is_open: bool,
}

/// What to do, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Gates to close: of pods that do not listen (any more).
    pub close: Vec<String>,
    /// Index that new connections go to.
    pub serving: u32,
    /// Index that an apiserver's calls to itself go to.
    pub starting: u32,
    /// Gate to open, once connections are seen to go there.
    pub open: Option<String>,
}

impl Decision {
    /// As the kernel is told.
    pub fn aim(&self) -> Aim {
        Aim { serving: self.serving, asked: self.serving, starting: self.starting }
    }
}

/// Decides. `serving` is the pod that has new connections now, as far as is known.
///
/// The newest pod that is ready and stays gets them. As long as none is, they stay where they are, if that one is ready; else they go to
/// whoever is, such as a copy for the time without an API.
pub fn decide(seats: &[Seated], pods: &[Candidate], serving: Option<&str>) -> Decision {
    let pod_of = |seat: &Seated| pods.iter().find(|pod| Some(&pod.uid) == seat.pod.as_ref());
    let staying = seats.iter().filter(|seat| seat.is_ready);
    let newest = staying
        .filter_map(|seat| Some((seat, pod_of(seat)?)))
        .filter(|(_, pod)| !pod.is_leaving)
        .max_by_key(|(_, pod)| pod.age_rank);
    let present = seats.iter().find(|seat| seat.pod.as_deref() == serving && serving.is_some());
    let ready = seats.iter().find(|seat| seat.is_ready);
    let is_ready = |seat: &&Seated| seat.is_ready;
    let chosen =
        newest.map(|(seat, _)| seat).or(present.filter(is_ready)).or(ready).or(present).or(seats.first());
    let is_listening = |pod: &&Candidate| seats.iter().any(|seat| seat.pod.as_ref() == Some(&pod.uid));
    let is_identified = seats.iter().all(|seat| seat.pod.is_some());
    let close = pods.iter().filter(|pod| pod.is_open && is_identified && !is_listening(pod));
    Decision {
        close: close.map(|pod| pod.uid.clone()).collect(),
        serving: chosen.map_or(0, |seat| seat.index),
        starting: starting(seats, |seat| pod_of(seat).is_some_and(|pod| pod.is_leaving)),
        open: newest.filter(|(_, pod)| !pod.is_open).map(|(_, pod)| pod.uid.clone()),
    }
}

/// Follows the kernel's order of listeners to those who are there now: where one goes the last takes its place, and who comes is the last.
pub fn reorder(order: &mut Vec<u32>, now: &[u32]) {
    while let Some(gone) = order.iter().position(|inode| !now.contains(inode)) {
        order.swap_remove(gone);
    }
    let came: Vec<u32> = now.iter().copied().filter(|inode| !order.contains(inode)).collect();
    order.extend(came);
}

/// The one that starts, unless it is on its way out again; if none does, the index that the next one will have.
fn starting(seats: &[Seated], is_leaving: impl Fn(&Seated) -> bool) -> u32 {
    let starts = |seat: &&Seated| !seat.is_ready && seats.len() > 1 && !is_leaving(seat);
    seats.iter().rfind(starts).map_or(seats.len() as u32, |seat| seat.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(index: u32, pod: &str, is_ready: bool) -> Seated {
        let pod = Some(pod.to_owned()).filter(|pod| !pod.is_empty());
        Seated { index, pod, is_ready }
    }

    /// Written as they are listed by age; `-` leaves, `+` has an open gate.
    fn pods(names: &[&str]) -> Vec<Candidate> {
        let pod = |(age_rank, name): (usize, &&str)| Candidate {
            uid: name.trim_matches(['-', '+']).to_owned(),
            age_rank,
            is_leaving: name.contains('-'),
            is_open: name.contains('+'),
        };
        names.iter().enumerate().map(pod).collect()
    }

    fn told(seats: &[Seated], names: &[&str], serving: &str) -> (u32, u32, Option<String>, Vec<String>) {
        let Decision { close, serving, starting, open } =
            decide(seats, &pods(names), Some(serving).filter(|serving| !serving.is_empty()));
        (serving, starting, open, close)
    }

    fn name(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn the_order_is_the_kernels() {
        let mut order = Vec::new();
        for (now, expected) in [
            (&[7, 3][..], &[7, 3][..]),
            (&[3, 7, 5], &[7, 3, 5]),
            (&[3, 5], &[5, 3]), // the first went, and the last took its place
            (&[3, 5, 9, 4], &[5, 3, 9, 4]),
            (&[5, 3, 4], &[5, 3, 4]),
            (&[8], &[8]),
        ] {
            reorder(&mut order, now);
            assert_eq!(order, expected);
        }
    }

    #[test]
    fn a_sole_apiserver_is_opened_when_it_is_ready() {
        assert_eq!(told(&[seat(0, "a", false)], &["a"], ""), (0, 1, None, vec![]));
        assert_eq!(told(&[seat(0, "a", true)], &["a"], ""), (0, 1, name("a"), vec![]));
        assert_eq!(told(&[seat(0, "a", true)], &["a+"], "a"), (0, 1, None, vec![]));
    }

    #[test]
    fn a_newer_one_gets_connections_when_it_is_ready_and_not_before() {
        let pods = ["a+", "b"];
        assert_eq!(told(&[seat(0, "a", true), seat(1, "b", false)], &pods, "a"), (0, 1, None, vec![]));
        assert_eq!(told(&[seat(0, "a", true), seat(1, "b", true)], &pods, "a"), (1, 2, name("b"), vec![]));
    }

    #[test]
    fn an_index_is_no_age() {
        // a crashed and came back: it is the younger listener, and still the older pod.
        let seats = [seat(0, "b", true), seat(1, "a", true)];
        assert_eq!(told(&seats, &["a+", "b"], "a"), (0, 2, name("b"), vec![]));
        // Two quick edits: b goes while c starts, and the kernel has moved c.
        let seats = [seat(0, "c", false), seat(1, "b", true)];
        assert_eq!(told(&seats, &["b+", "c"], "b"), (1, 0, None, vec![]));
    }

    #[test]
    fn the_next_one_can_call_itself_although_one_that_starts_has_not_gone_yet() {
        let started = [seat(0, "a", true), seat(1, "b", false)];
        assert_eq!(told(&started, &["a+", "-b", "c"], "a"), (0, 2, None, vec![]));
    }

    #[test]
    fn one_that_leaves_is_left_once_another_is_ready() {
        let seats = |ready| [seat(0, "a", true), seat(1, "b", ready)];
        assert_eq!(told(&seats(false), &["a-+", "b"], "a"), (0, 1, None, vec![]));
        assert_eq!(told(&seats(true), &["a-+", "b"], "a"), (1, 2, name("b"), vec![]));
    }

    #[test]
    fn one_that_crashed_after_it_took_over_is_closed_and_loses_connections() {
        assert_eq!(told(&[seat(0, "a", true)], &["a+", "b+"], "b"), (0, 1, None, vec!["b".into()]));
        let back = [seat(0, "a", true), seat(1, "b", false)];
        assert_eq!(told(&back, &["a+", "b"], "b").0, 0, "the older one is ready");
    }

    #[test]
    fn somebody_whose_pod_is_not_seen_serves_until_one_of_ours_is_ready() {
        assert_eq!(told(&[seat(0, "", true), seat(1, "b", false)], &["b"], ""), (0, 1, None, vec![]));
        assert_eq!(told(&[seat(0, "", true), seat(1, "b", true)], &["b"], ""), (1, 2, name("b"), vec![]));
        assert_eq!(told(&[seat(0, "", true)], &["b+"], ""), (0, 1, None, vec![]), "unknown is not gone");
    }

    #[test]
    fn a_copy_serves_while_the_pod_itself_is_not_ready_and_not_after() {
        let pods = ["a+"];
        assert_eq!(told(&[seat(0, "a", false), seat(1, "copy", true)], &pods, "a").0, 1);
        assert_eq!(told(&[seat(0, "copy", true), seat(1, "a", false)], &["a"], "copy"), (0, 1, None, vec![]));
        assert_eq!(told(&[seat(0, "copy", true), seat(1, "a", true)], &["a"], "copy").0, 1);
    }

    #[test]
    fn an_unready_newcomer_gets_nothing_while_nobody_else_is_known_to_serve() {
        assert_eq!(told(&[seat(0, "b", false), seat(1, "a", true)], &["a+", "b"], "").0, 1);
    }
}
