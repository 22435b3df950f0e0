//! How long something has been so, counted only while it is seen: an observation that failed says
//! nothing, neither way.

use std::time::Duration;

use super::observed::{Api, Observed, Offer, Parent};

/// Since how long a condition holds. `None`: it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held(Option<Duration>);

impl Held {
    /// Takes in what was seen after `elapsed`; `None` is unknown and stops the clock.
    fn see(&mut self, holds: Option<bool>, elapsed: Duration) {
        match holds {
            Some(true) => self.0 = Some(self.0.map_or(Duration::ZERO, |held| held + elapsed)),
            Some(false) => self.0 = None,
            None => {}
        }
    }

    /// Whether it has held for `duration`.
    pub fn for_at_least(self, duration: Duration) -> bool {
        self.0.is_some_and(|held| held >= duration)
    }
}

/// What is remembered of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The pod is healthy.
    pub healthy: Held,
    /// The pod is not healthy: it is stopped, or it runs and is not.
    pub unhealthy: Held,
    /// No container of the pod runs.
    pub stopped: Held,
    /// Nothing wants the pod on this machine.
    pub unwanted: Held,
    /// The last answer of the API was that nothing wants the pod on this machine. This holds while
    /// the API does not answer.
    pub sent_away: Held,
    /// The same pod is offered.
    pub offered: Held,
    /// A container of the pod has been seen to run since the agent started.
    pub was_alive: bool,
    offer: Option<Offer>,
}

impl Memory {
    /// Takes in what was seen, `elapsed` after the time before.
    pub fn see(&mut self, observed: &Observed, elapsed: Duration) {
        let Observed { parent, api, offer, .. } = observed;
        let known = *parent != Parent::Unknown;
        self.healthy.see(known.then_some(*parent == Parent::Healthy), elapsed);
        self.unhealthy.see(known.then_some(*parent != Parent::Healthy), elapsed);
        self.stopped.see(known.then_some(*parent == Parent::Stopped), elapsed);
        // Removal is not urgent, so every round must confirm it: an API that does not answer
        // restarts the clock.
        self.unwanted.see(Some(api.is_unwanted()), elapsed);
        let word = (*api != Api::Unknown).then_some(api.is_unwanted());
        self.sent_away.see(word, elapsed);
        self.was_alive |= matches!(parent, Parent::Healthy | Parent::Unhealthy);
        self.see_offer(offer.as_ref(), elapsed);
    }

    /// Another pod, another revision, or a second without an offer restarts the clock, because no
    /// offer is urgent.
    fn see_offer(&mut self, offer: Option<&Offer>, elapsed: Duration) {
        let same = offer.is_some() && offer == self.offer.as_ref();
        if !same {
            self.offered = Held::default();
            self.offer = offer.cloned();
        }
        self.offered.see(Some(offer.is_some()), elapsed);
    }
}
