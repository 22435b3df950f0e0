//! What is looked at beside a pivot, without a part in it: how many listen on the API's port and, if asked for, what a client sees.
//!
//! The looking happens in tasks of its own, so that a pivot that writes to a slow disk does not pass for a slow API.

pub mod blocked_apiserver;
pub mod pod_progress;
mod probe;

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::options::Options;
use super::plan::Plan;
use crate::host::addresses;
use crate::phase::{Error, on_port};
use crate::ui::{Event, Sink};
use probe::Target;

/// Between two looks at the listeners.
const INTERVAL: Duration = Duration::from_millis(50);

/// What to look at.
pub struct Observed {
    port: u16,
    probe: Option<Target>,
}

impl Observed {
    /// The API of `plan`.
    pub fn of(plan: &Plan, options: &Options) -> Result<Self, Error> {
        let failed = |source| Error::Host { act: "list the addresses of this machine", source };
        let probe = match options.probe {
            true => Target::of(plan, &addresses::local().map_err(failed)?),
            false => None,
        };
        Ok(Self { port: plan.api_port(), probe })
    }
}

/// Does `work`, and tells what is observed meanwhile.
pub async fn beside<T>(observed: Observed, sink: &dyn Sink, work: impl Future<Output = T>) -> T {
    let Observed { port, probe } = observed;
    let (sender, mut told) = mpsc::unbounded_channel();
    let (end, over) = watch::channel(false);
    let mut tasks = JoinSet::new();
    if let Some(target) = probe {
        tasks.spawn(probe::run(target, over.clone(), sender.clone()));
    }
    tasks.spawn(count_listeners(port, over, sender));
    let mut work = pin!(work);
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            Some(event) = told.recv() => sink.tell(event),
        }
    };
    end.send_replace(true);
    // The senders end with their tasks, the probe's after the requests that are under way.
    while let Some(event) = told.recv().await {
        sink.tell(event);
    }
    result
}

/// Tells how many listen on `port`, once for each change.
async fn count_listeners(port: u16, mut over: watch::Receiver<bool>, told: UnboundedSender<Event>) {
    let mut last = None;
    loop {
        match on_port(port).map(|bound| bound.len()) {
            Ok(count) if last != Some(count) => {
                last = Some(count);
                told.send(Event::Listeners { port, count }).ok(); // nobody is left to be told
            }
            Ok(_) => {}
            Err(error) => return tracing::debug!(%error, "listeners are not counted"),
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            _ = over.changed() => return,
        }
    }
}
