//! The events of a `start`, with invented times and hostile names.

use std::time::Duration;

use bootkube::ui::{Basis, End, Event, PodLife, Probed, Problem, Stamped};
use time::OffsetDateTime;
use time::macros::datetime;

/// What a page must show as it is, and never take for markup. The API lets much of it through in
/// reasons and messages.
pub const HOSTILE: &str =
    "</title><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;'\"";
const BEGAN: OffsetDateTime = datetime!(2026-01-02 03:04:05.25 UTC);

/// Events, each so many milliseconds after the beginning.
fn told(events: Vec<(u64, Event)>) -> Vec<Stamped> {
    let told = |(ms, event)| {
        let elapsed = Duration::from_millis(ms);
        Stamped { at: BEGAN + elapsed, elapsed, event }
    };
    events.into_iter().map(told).collect()
}

fn phase(events: &mut Vec<(u64, Event)>, phase: &'static str, from: u64, to: u64, waits: &[(u64, &str)]) {
    let waiting = |&(at, on): &(u64, &str)| (at, Event::Waiting { phase, on: on.to_owned() });
    events.push((from, Event::PhaseStarted { phase }));
    events.extend(waits.iter().map(waiting));
    let elapsed = Duration::from_millis(to - from);
    events.push((to, Event::PhaseFinished { phase, elapsed }));
}

fn pod(name: &str, seconds: [Option<i64>; 4]) -> Event {
    let at = |second: Option<i64>| {
        second.map(|second| datetime!(2026-01-02 03:04:05 UTC) + time::Duration::seconds(second))
    };
    let [created, scheduled, running, ready] = seconds.map(at);
    let (namespace, node) = ("kube-system".to_owned(), Some("n1".to_owned()));
    Event::Pod(PodLife { namespace, name: name.to_owned(), node, created, scheduled, running, ready })
}

/// A whole pivot.
pub fn success() -> Vec<Stamped> {
    let mut events = vec![(0, Event::Begun { bootkube: bootkube::VERSION })];
    let listeners = |count| Event::Listeners { port: 6443, count };
    let ms = Duration::from_millis;
    events.push((0, listeners(0)));
    phase(&mut events, "place etcd", 3, 40, &[]);
    phase(&mut events, "place the bootstrap apiserver", 40, 90, &[]);
    let silent = "no apiserver listens on port 6443 of this machine yet";
    let unready = "192.0.2.10:6443 is not ready: etcd failed; poststarthook/rbac/bootstrap-roles failed; poststarthook/scheduling/bootstrap-system-priority-classes failed";
    phase(&mut events, "wait for the API", 90, 3500, &[(92, silent), (1900, unready)]);
    events.push((1880, listeners(1)));
    let act = |change: &str, act: &str, basis, took| Event::Transition {
        change: change.into(),
        act: act.into(),
        basis,
        took: ms(took),
    };
    events.push((
        3512,
        act("the API is ready at 192.0.2.10:6443", "place the other bootstrap pods", Basis::LastLook, 61),
    ));
    phase(&mut events, "place the other bootstrap pods", 3510, 3560, &[]);
    phase(&mut events, "apply objects", 3560, 4900, &[(3580, "no node has registered yet"), (4700, HOSTILE)]);
    for (index, name) in ["kube-apiserver", "kube-scheduler", HOSTILE].into_iter().enumerate() {
        events.push((
            3600 + index as u64 * 40,
            Event::ObjectApplied {
                file: format!("{name}.yaml"),
                object: format!("DaemonSet kube-system/{name}"),
                outcome: if name == HOSTILE { "failed" } else { "created" },
                reason: (name == HOSTILE).then(|| format!("the API says {HOSTILE}")),
                took: ms(18 + index as u64),
            },
        ));
    }
    events.push((4702, act("node n1 registered", "label node n1", Basis::Arrival, 1)));
    events.push((4750, Event::Warning(format!("refused: {HOSTILE}"))));
    events.push((5000, pod("kube-apiserver-x7k2p", [Some(4), Some(4), None, None])));
    events.push((5000, pod("kube-controller-manager-6c9f7d5b8-zz2qk", [Some(4), Some(5), Some(6), Some(8)])));
    events.push((5000, pod("kube-scheduler-85d7c9fb4d-8xq6m", [Some(4), Some(5), Some(6), Some(7)])));
    events.push((5000, pod(HOSTILE, [Some(4), None, None, None])));
    events.push((7200, listeners(2)));
    events.push((9000, pod("kube-apiserver-x7k2p", [Some(4), Some(4), Some(5), Some(9)])));
    let probing = "pod kube-apiserver-x7k2p container kube-apiserver runs, its probe has not passed";
    phase(
        &mut events,
        "wait for the self-hosted control plane",
        4900,
        9300,
        &[(4950, "kube-system/kube-apiserver is not there"), (5200, probing)],
    );
    phase(
        &mut events,
        "hand over",
        9300,
        11_400,
        &[
            (9500, "bootstrap-kube-controller-manager has not ended yet"),
            (10_200, "the bootstrap apiserver has not ended yet"),
        ],
    );
    events.push((
        9310,
        act(
            "the pods required of kube-system are Ready",
            "remove the other bootstrap pods",
            Basis::Arrival,
            9,
        ),
    ));
    events.push((11_390, listeners(1)));
    let request = |error: Option<&str>, took| Event::Request {
        path: "/api".into(),
        error: error.map(str::to_owned),
        took: ms(took),
    };
    events.push((7900, request(None, 312)));
    events.push((11_000, request(Some("403: Forbidden"), 12)));
    events.push((11_050, request(Some(HOSTILE), 4)));
    phase(&mut events, "verify", 11_400, 12_300, &[(11_420, "no kube-scheduler leads yet")]);
    let sum = Probed { ok: 231, failed: 2, slowest: ms(312), longest_gap: ms(402) };
    events.push((12_310, Event::Probed(sum)));
    events.push((12_312, Event::Ended(End { exit_code: 0, node: Some("n1".into()), error: None })));
    events.sort_by_key(|(at, _)| *at);
    told(events)
}

fn blocked(phase: &'static str, what: &str) -> Event {
    let (why, cure) = (format!("so says {HOSTILE}"), format!("end {HOSTILE}"));
    Event::Blocked { phase, what: what.to_owned(), why, cure }
}

/// A start whose API never came.
pub fn failure() -> Vec<Stamped> {
    let phase = "wait for the API";
    let error = Problem {
        class: "general",
        message: format!("{phase}: not done after 1200 s: {HOSTILE}"),
        hint: Some("what was placed stays".into()),
    };
    told(vec![
        (0, Event::Begun { bootkube: bootkube::VERSION }),
        (3, Event::PhaseStarted { phase: "place etcd" }),
        (40, Event::PhaseFinished { phase: "place etcd", elapsed: Duration::from_millis(37) }),
        (41, Event::PhaseStarted { phase }),
        (50, Event::Waiting { phase, on: HOSTILE.into() }),
        (7050, blocked(phase, "etcd at https://192.0.2.10:2379 does not answer")),
        (60_050, Event::Unblocked { phase }),
        (90_050, blocked(phase, HOSTILE)),
        (1_200_041, Event::PhaseFailed { phase, elapsed: Duration::from_secs(1200) }),
        (1_200_042, Event::Ended(End { exit_code: 1, node: None, error: Some(error) })),
    ])
}
