//! How long phases may take: one time for all, and others for phases that the user names.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::table::{Command, Phase, flag_name};

/// For all objects together. What the API still refuses then is reported, and `start` goes on.
const APPLY_DEADLINE: Duration = Duration::from_secs(300);
/// A name less similar than this to a phase's name is not taken for a typing error.
const LIKENESS: f64 = 0.7;

/// Times by phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    all: Duration,
    named: BTreeMap<Phase, Duration>,
}

/// The time of one phase of `start`, as a flag gives it: `NAME=DURATION`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseTimeout {
    phase: Phase,
    limit: Duration,
}

impl Timeouts {
    /// Every phase may take `all`, except those in `named`. Of two entries for one phase the last
    /// counts.
    pub fn new(all: Duration, named: impl IntoIterator<Item = PhaseTimeout>) -> Self {
        let named = named.into_iter().map(|PhaseTimeout { phase, limit }| (phase, limit));
        Self { all, named: named.collect() }
    }

    /// How long `phase` may take.
    pub fn limit(&self, phase: Phase) -> Duration {
        self.named.get(&phase).copied().unwrap_or(self.all).max(phase.at_least())
    }

    /// How long applying the objects may take: half of their phase, which also waits for the node.
    pub fn of_objects(&self) -> Duration {
        match self.named.get(&Phase::ApplyObjects) {
            Some(limit) => *limit / 2,
            None => (self.all / 2).min(APPLY_DEADLINE),
        }
    }
}

/// The names that `--phase-timeout` takes.
pub fn phase_names() -> String {
    Phase::of(Command::Start).map(Phase::flag_name).collect::<Vec<_>>().join(", ")
}

impl FromStr for PhaseTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, limit) =
            text.rsplit_once('=').ok_or("write NAME=DURATION, such as wait-for-the-API=5m")?;
        let word = flag_name(name);
        let phase = Phase::of(Command::Start).find(|phase| phase.flag_name().eq_ignore_ascii_case(&word));
        let phase = phase.ok_or_else(|| match nearest(&word) {
            Some(near) => {
                format!("there is no phase `{name}`; did you mean `{near}`? There are {}", phase_names())
            }
            None => format!("there is no phase `{name}`; there are {}", phase_names()),
        })?;
        Ok(Self { phase, limit: duration(limit)? })
    }
}

fn nearest(word: &str) -> Option<String> {
    let word = word.to_lowercase();
    let likeness = |name: &String| strsim::jaro_winkler(&word, &name.to_lowercase());
    let names = Phase::of(Command::Start).map(Phase::flag_name);
    let near = names.max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(&near) >= LIKENESS).then_some(near)
}

/// A duration above zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("no phase can end in no time; write one such as 20m".into()),
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
        assert_eq!(given.limit(Phase::WaitForApi), Duration::from_secs(360));
        assert_eq!(given.limit(Phase::HandOver), Duration::from_secs(7));
        assert_eq!(given.limit(Phase::Verify), Duration::from_secs(1200));
    }

    #[test]
    fn pods_have_time_to_end_however_little_the_pivot_was_given() {
        assert_eq!(timeouts(&["tear-down=1s"]).limit(Phase::TearDown), Phase::TearDown.at_least());
        let short = Timeouts::new(Duration::from_secs(1), []);
        assert_eq!(short.limit(Phase::TearDown), Phase::TearDown.at_least());
    }

    #[test]
    fn objects_have_half_of_their_phase_and_not_too_long_unless_that_is_asked_for() {
        assert_eq!(timeouts(&[]).of_objects(), APPLY_DEADLINE);
        assert_eq!(timeouts(&["apply-objects=20m"]).of_objects(), Duration::from_secs(600));
    }

    #[test]
    fn a_phase_that_does_not_exist_is_refused_with_the_list_and_the_nearest_name() {
        let error = "wait-for-api=5m".parse::<PhaseTimeout>().unwrap_err();
        assert!(error.contains("did you mean `wait-for-the-API`?"), "{error}");
        assert!(Phase::of(Command::Start).all(|phase| error.contains(&phase.flag_name())), "{error}");
        let error = "xyzzy=5m".parse::<PhaseTimeout>().unwrap_err();
        assert!(!error.contains("did you mean"), "{error}");
        assert!("remove-the-agent=5m".parse::<PhaseTimeout>().is_err(), "a phase of unpivot");
        assert!("verify".parse::<PhaseTimeout>().unwrap_err().contains("NAME=DURATION"));
        assert!("verify=soon".parse::<PhaseTimeout>().unwrap_err().contains("20m"));
        assert!("verify=0s".parse::<PhaseTimeout>().is_err());
    }
}
