//! What to do about the apiservers of a machine: a pure function of the listeners on the port and
//! the pods of the API.

use crate::host::steering::Aim;

/// A listener and the pod behind it. Its place in the list is the index by which connections are
/// steered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seated {
    /// Inode of its socket.
    pub inode: u32,
    /// UID of its pod, if known.
    pub pod: Option<String>,
    /// Whether it has answered that it is ready.
    pub is_ready: bool,
}

/// A pod of the apiserver on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its UID.
    pub uid: String,
    /// A newer pod has a higher rank.
    pub age_rank: usize,
    /// Whether it is terminating.
    pub is_leaving: bool,
    /// Whether its readiness gate is open.
    pub is_open: bool,
}

/// What to do, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Gates to close: those of pods that do not listen.
    pub close: Vec<String>,
    /// Index that new connections go to.
    pub serving: u32,
    /// Index that an apiserver's calls to itself go to.
    pub starting: u32,
    /// Gate to open once connections are seen to reach the pod.
    pub open: Option<String>,
}

impl Decision {
    /// The same for the kernel.
    pub fn aim(&self) -> Aim {
        Aim { serving: self.serving, asked: self.serving, starting: self.starting }
    }
}

/// Decides. `serving` is the pod that gets new connections now, as far as is known.
///
/// # Guarantees
/// - The newest pod that is ready and not terminating gets new connections.
/// - Without such a pod they stay where they are if that listener is ready. Otherwise they go to
///   any that is, such as a copy.
/// - No gate is closed while the pod of any listener is unknown.
pub fn decide(seats: &[Seated], pods: &[Candidate], serving: Option<&str>) -> Decision {
    let pod_of = |seat: &Seated| pods.iter().find(|pod| Some(&pod.uid) == seat.pod.as_ref());
    let is_leaving = |seat: &Seated| pod_of(seat).is_some_and(|pod| pod.is_leaving);
    let ready = || (0..seats.len()).filter(|index| seats[*index].is_ready);
    let newest = ready()
        .filter_map(|index| Some((index, pod_of(&seats[index])?)))
        .filter(|(_, pod)| !pod.is_leaving)
        .max_by_key(|(_, pod)| pod.age_rank);
    let present = seats.iter().position(|seat| seat.pod.as_deref() == serving && serving.is_some());
    let chosen = newest.map(|(index, _)| index);
    let chosen = chosen.or(present.filter(|index| seats[*index].is_ready)).or(ready().next()).or(present);
    let chosen = chosen.unwrap_or(0);
    // An apiserver that starts and is not terminating; if there is none, the index that the next
    // one will have.
    let starts = |index: &usize| !seats[*index].is_ready && *index != chosen && !is_leaving(&seats[*index]);
    let is_listening = |pod: &&Candidate| seats.iter().any(|seat| seat.pod.as_ref() == Some(&pod.uid));
    let is_identified = seats.iter().all(|seat| seat.pod.is_some());
    let close = pods.iter().filter(|pod| pod.is_open && is_identified && !is_listening(pod));
    Decision {
        close: close.map(|pod| pod.uid.clone()).collect(),
        serving: chosen as u32,
        starting: (0..seats.len()).rfind(starts).unwrap_or(seats.len()) as u32,
        open: newest.filter(|(_, pod)| !pod.is_open).map(|(_, pod)| pod.uid.clone()),
    }
}

/// Changes `seats` as the kernel changes its list of listeners: the last one takes the place of one
/// that closes, and a new one comes last.
pub fn reseat(seats: &mut Vec<Seated>, now: Vec<Seated>) {
    let is_in = |seats: &[Seated], seat: &Seated| seats.iter().any(|other| other.inode == seat.inode);
    while let Some(gone) = seats.iter().position(|seat| !is_in(&now, seat)) {
        seats.swap_remove(gone);
    }
    let (_, came): (Vec<_>, Vec<_>) = now.into_iter().partition(|seat| is_in(seats, seat));
    seats.extend(came);
}

/// Where connections stay until every index has answered. The program in the kernel does not follow
/// listeners that come and go, so it stands, unless it names an index beyond the group: for such a
/// one the kernel picks a listener at random.
pub fn stay(aim: Aim, seats: &[Seated], pods: &[Candidate], serving: Option<&str>) -> Aim {
    let Decision { starting, .. } = decide(seats, pods, serving);
    if (aim.serving as usize) < seats.len() {
        return Aim { starting, ..aim };
    }
    let present = seats.iter().position(|seat| seat.pod.as_deref() == serving && serving.is_some());
    let known = present.or(seats.iter().position(|seat| seat.is_ready)).unwrap_or(0);
    Aim { serving: known as u32, starting, ..aim }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(pod: &str, is_ready: bool) -> Seated {
        let inode = pod.bytes().next().map_or(0, u32::from);
        let pod = Some(pod.to_owned()).filter(|pod| !pod.is_empty());
        Seated { inode, pod, is_ready }
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

    fn decided(seats: &[Seated], names: &[&str], serving: &str) -> (u32, u32, Option<String>, Vec<String>) {
        let Decision { close, serving, starting, open } =
            decide(seats, &pods(names), Some(serving).filter(|serving| !serving.is_empty()));
        (serving, starting, open, close)
    }

    fn name(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn the_order_is_the_kernels_and_what_was_known_stays_known() {
        let mut seats = Vec::new();
        let seated = |names: &str| names.chars().map(|name| seat(&name.to_string(), false)).collect();
        for (now, expected) in [
            ("ba", "ba"),
            ("abc", "bac"),
            ("ac", "ca"), // the first went, and the last took its place
            ("acde", "cade"),
            ("cae", "cae"),
            ("f", "f"),
        ] {
            reseat(&mut seats, seated(now));
            let names: String = seats.iter().filter_map(|seat| seat.pod.clone()).collect();
            assert_eq!(names, expected);
        }
        seats[0].is_ready = true;
        reseat(&mut seats, seated("fg"));
        assert_eq!(seats, [seat("f", true), seat("g", false)]);
    }

    #[test]
    fn connections_stay_where_they_are_until_every_index_has_answered() {
        let decided = |serving, starting| Aim { serving, asked: 0, starting };
        let stay = |decided, seats: &[Seated], names: &[&str], serving| {
            let aim = super::stay(decided, seats, &pods(names), Some(serving));
            (aim.serving, aim.starting)
        };
        // The older one has gone, and the third one sits in its place.
        let moved = [seat("c", false), seat("b", true)];
        assert_eq!(stay(decided(1, 2), &moved, &["b+", "c"], "b"), (1, 0));
        // One in between has gone: the index is beyond the group now.
        let left = [seat("a", true), seat("c", true)];
        assert_eq!(stay(decided(2, 3), &left, &["a-", "c+"], "c"), (1, 2));
        // The one that serves has not answered yet that it is ready, and is not taken for the one
        // that starts.
        let unasked = [seat("a", false), seat("b", false)];
        assert_eq!(stay(decided(1, 2), &unasked, &["a-", "b+"], "b"), (1, 2));
    }

    #[test]
    fn a_sole_apiserver_is_opened_when_it_is_ready() {
        assert_eq!(decided(&[seat("a", false)], &["a"], ""), (0, 1, None, vec![]));
        assert_eq!(decided(&[seat("a", true)], &["a"], ""), (0, 1, name("a"), vec![]));
        assert_eq!(decided(&[seat("a", true)], &["a+"], "a"), (0, 1, None, vec![]));
    }

    #[test]
    fn a_newer_one_gets_connections_when_it_is_ready_and_not_before() {
        let pods = ["a+", "b"];
        assert_eq!(decided(&[seat("a", true), seat("b", false)], &pods, "a"), (0, 1, None, vec![]));
        assert_eq!(decided(&[seat("a", true), seat("b", true)], &pods, "a"), (1, 2, name("b"), vec![]));
    }

    #[test]
    fn an_index_is_no_age() {
        // a crashed and came back: it is the younger listener, and still the older pod.
        let seats = [seat("b", true), seat("a", true)];
        assert_eq!(decided(&seats, &["a+", "b"], "a"), (0, 2, name("b"), vec![]));
        // Two quick edits: b goes while c starts, and the kernel has moved c.
        let seats = [seat("c", false), seat("b", true)];
        assert_eq!(decided(&seats, &["b+", "c"], "b"), (1, 0, None, vec![]));
    }

    #[test]
    fn the_next_one_can_call_itself_although_one_that_starts_has_not_gone_yet() {
        let started = [seat("a", true), seat("b", false)];
        assert_eq!(decided(&started, &["a+", "-b", "c"], "a"), (0, 2, None, vec![]));
    }

    #[test]
    fn one_that_leaves_is_left_once_another_is_ready() {
        let seats = |ready| [seat("a", true), seat("b", ready)];
        assert_eq!(decided(&seats(false), &["a-+", "b"], "a"), (0, 1, None, vec![]));
        assert_eq!(decided(&seats(true), &["a-+", "b"], "a"), (1, 2, name("b"), vec![]));
    }

    #[test]
    fn one_that_crashed_after_it_took_over_is_closed_and_loses_connections() {
        assert_eq!(decided(&[seat("a", true)], &["a+", "b+"], "b"), (0, 1, None, vec!["b".into()]));
        let back = [seat("a", true), seat("b", false)];
        assert_eq!(decided(&back, &["a+", "b"], "b").0, 0, "the older one is ready");
    }

    #[test]
    fn a_listener_of_an_unknown_pod_serves_until_a_pod_is_ready() {
        assert_eq!(decided(&[seat("", true), seat("b", false)], &["b"], ""), (0, 1, None, vec![]));
        assert_eq!(decided(&[seat("", true), seat("b", true)], &["b"], ""), (1, 2, name("b"), vec![]));
        assert_eq!(decided(&[seat("", true)], &["b+"], ""), (0, 1, None, vec![]), "unknown is not gone");
    }

    #[test]
    fn a_copy_serves_while_the_pod_itself_is_not_ready_and_not_after() {
        let pods = ["a+"];
        assert_eq!(decided(&[seat("a", false), seat("copy", true)], &pods, "a").0, 1);
        assert_eq!(decided(&[seat("copy", true), seat("a", false)], &["a"], "copy"), (0, 1, None, vec![]));
        assert_eq!(decided(&[seat("copy", true), seat("a", true)], &["a"], "copy").0, 1);
    }

    #[test]
    fn an_unready_pod_gets_nothing_while_it_is_unknown_which_one_serves() {
        assert_eq!(decided(&[seat("b", false), seat("a", true)], &["a+", "b"], "").0, 1);
    }
}
