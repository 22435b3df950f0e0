//! Check of swap, which kubelet refuses unless its configuration says `failSwapOn: false`.
//!
//! Swap that is off, but comes back at the next boot, is a failure, too: after a power cut kubelet
//! would not start, and the control plane, which is promised to come back by itself, would not.

use super::facts::Facts;
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::host::swap::Source;
use crate::kubelet::Health;

/// Kubernetes' page about swap.
const PAGE: &str = "https://kubernetes.io/docs/concepts/cluster-administration/swap-memory-management/";
const REFUSES: &str = "kubelet's configuration does not say failSwapOn: false";

/// What kubelet does about swap.
enum Policy {
    Takes,
    Refuses,
    /// No kubelet runs, and none has been configured.
    Undecided,
    /// Not to be seen from here, and why.
    Unseen(String),
}

pub fn swap(_: &Subject<'_>, facts: &Facts) -> Outcome {
    let policy = policy(facts);
    let (active, at_boot) = match (&policy, &facts.swap.active, &facts.swap.at_boot) {
        (Policy::Takes, ..) => return Outcome::Pass("kubelet takes it (failSwapOn: false)".into()),
        (Policy::Unseen(why), ..) => return Outcome::Unknown(why.clone()),
        (_, Ok(active), Ok(at_boot)) => (active, at_boot),
        (_, Err(why), _) | (_, _, Err(why)) => return Outcome::Unknown(why.clone()),
    };
    match (active.as_slice(), at_boot.as_slice()) {
        ([], []) => Outcome::Pass("it is off, and stays off after the next boot".into()),
        _ if matches!(policy, Policy::Undecided) => Outcome::Unknown(
            "this machine has swap, and kubelet has no configuration yet that takes it".into(),
        ),
        ([], sources) => Outcome::Fail(vec![comes_back(sources)]),
        (devices, sources) => Outcome::Fail(vec![is_on(devices, sources)]),
    }
}

fn policy(facts: &Facts) -> Policy {
    const FIELD: &str = "failSwapOn";
    let decided = |takes: bool| if takes { Policy::Takes } else { Policy::Refuses };
    let is_down = matches!(facts.health, Health::Silent(_)) && !facts.kubelet_listens;
    match (&facts.kubelet, &facts.at_rest) {
        (Some(kubelet), _) => match (kubelet.setting("fail-swap-on", FIELD), &kubelet.config) {
            (None, Err(why)) => Policy::Unseen(format!("kubelet's configuration cannot be read: {why}")),
            (setting, _) => decided(setting.is_some_and(|setting| is_off(&setting))),
        },
        (None, _) if !is_down => Policy::Unseen("kubelet's process cannot be seen from here".into()),
        (None, Some(config)) => decided(config[FIELD] == false),
        (None, None) => Policy::Undecided,
    }
}

/// Whether kubelet takes the value of a flag for false (Go's `strconv.ParseBool`).
fn is_off(value: &str) -> bool {
    ["0", "f", "F", "false", "False", "FALSE"].contains(&value)
}

fn is_on(devices: &[String], sources: &[Source]) -> Problem {
    Problem::new(
        format!("swap is on ({}), and kubelet does not start with it", devices.join(", ")),
        format!("/proc/swaps lists it, and {REFUSES}{}", named(sources)),
        cure("swapoff -a", sources),
    )
}

fn comes_back(sources: &[Source]) -> Problem {
    Problem::new(
        "swap is off, but comes back at the next boot, and kubelet does not start with it",
        format!("{REFUSES}{}", named(sources)),
        cure("", sources),
    )
}

fn named(sources: &[Source]) -> String {
    let named: Vec<&str> = sources.iter().map(|source| source.what.as_str()).collect();
    if named.is_empty() {
        String::new()
    } else {
        format!("; it is turned on at boot by {}", named.join(", "))
    }
}

/// Commands that turn swap off for good.
fn cure(now: &str, sources: &[Source]) -> String {
    let mut commands: Vec<&str> = [now].into_iter().filter(|command| !command.is_empty()).collect();
    for source in sources {
        if !commands.contains(&source.cure.as_str()) {
            commands.push(&source.cure);
        }
    }
    format!("run {}; or set failSwapOn: false in kubelet's configuration ({PAGE})", commands.join("; "))
}
