//! How long phases may take: one time for all, and others for those that are named.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// Every phase, in order, by the name it is told under.
pub const PHASES: [&str; 10] = [
    "preflight",
    "place etcd",
    "place the bootstrap apiserver",
    "wait for the API",
    "place the other bootstrap pods",
    "clear what is stale",
    APPLY,
    "wait for the self-hosted control plane",
    "hand over",
    "verify",
];
/// Those that are rarely needed.
pub const MORE_PHASES: [&str; 3] =
    ["remove bootstrap pods of earlier assets", "put the bootstrap apiserver back", "tear down"];
/// The phase that has a deadline of its own within its time.
pub const APPLY: &str = "apply objects";
/// For all objects together. What is still refused then is reported, and does not hold up the rest.
const APPLY_DEADLINE: Duration = Duration::from_secs(300);

/// Times by phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    all: Duration,
    named: BTreeMap<&'static str, Duration>,
}

/// The time of one phase, as a flag gives it: `NAME=DURATION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseTimeout {
    phase: &'static str,
    limit: Duration,
}

impl Timeouts {
    /// Every phase may take `all`, but for those `named`; the last word about one holds.
    pub fn new(all: Duration, named: impl IntoIterator<Item = PhaseTimeout>) -> Self {
        let named = named.into_iter().map(|PhaseTimeout { phase, limit }| (phase, limit));
        Self { all, named: named.collect() }
    }

    /// How long `phase` may take.
    pub fn of(&self, phase: &str) -> Duration {
        self.named.get(phase).copied().unwrap_or(self.all)
    }

    /// The same, but no phase has less than `least`.
    pub fn at_least(&self, least: Duration) -> Self {
        let named = self.named.iter().map(|(phase, limit)| (*phase, *limit.max(&least)));
        Self { all: self.all.max(least), named: named.collect() }
    }

    /// How long objects may take: half of their phase, which also waits for the node.
    pub fn of_objects(&self) -> Duration {
        match self.named.get(APPLY) {
            Some(limit) => *limit / 2,
            None => (self.all / 2).min(APPLY_DEADLINE),
        }
    }
}

impl FromStr for PhaseTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, limit) =
            text.rsplit_once('=').ok_or("write NAME=DURATION, such as wait-for-the-API=5m")?;
        let all = PHASES.into_iter().chain(MORE_PHASES);
        let phase = all.clone().find(|phase| flag_name(phase).eq_ignore_ascii_case(&flag_name(name)));
        let phase = phase.ok_or_else(|| {
            let names = all.map(flag_name).collect::<Vec<_>>().join(", ");
            format!("there is no phase `{name}`; there are {names}")
        })?;
        Ok(Self { phase, limit: duration(limit)? })
    }
}

/// A phase's name as one word, for command lines.
fn flag_name(phase: &str) -> String {
    phase.trim().replace(' ', "-")
}

/// A time in which something can happen.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("nothing can be waited for in no time".into()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write one such as 20m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts(named: &[&str]) -> Timeouts {
        let named = named.iter().map(|text| text.parse::<PhaseTimeout>().unwrap());
        Timeouts::new(Duration::from_secs(1200), named)
    }

    #[test]
    fn a_phase_has_the_time_that_was_last_given_for_it_else_that_of_all() {
        let given = timeouts(&["wait-for-the-API=5m", "hand over=7s", "Wait-For-The-api=6m"]);
        assert_eq!(given.of("wait for the API"), Duration::from_secs(360));
        assert_eq!(given.of("hand over"), Duration::from_secs(7));
        assert_eq!(given.of("verify"), Duration::from_secs(1200));
    }

    #[test]
    fn objects_have_half_of_their_phase_and_not_too_long_unless_that_is_asked_for() {
        assert_eq!(timeouts(&[]).of_objects(), APPLY_DEADLINE);
        assert_eq!(timeouts(&["apply-objects=20m"]).of_objects(), Duration::from_secs(600));
    }

    #[test]
    fn a_phase_that_there_is_not_is_refused_with_the_list() {
        let error = "wait=5m".parse::<PhaseTimeout>().unwrap_err();
        assert!(PHASES.iter().all(|phase| error.contains(&flag_name(phase))), "{error}");
        assert!("verify".parse::<PhaseTimeout>().unwrap_err().contains("NAME=DURATION"));
        assert!("verify=soon".parse::<PhaseTimeout>().unwrap_err().contains("20m"));
        assert!("verify=0s".parse::<PhaseTimeout>().is_err());
    }
}
