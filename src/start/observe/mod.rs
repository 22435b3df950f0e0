//! What is watched during a pivot, without a part in it: the listeners on the API's port and, with
//! `--probe`, what a client sees.
//!
//! Both are tasks of their own, so that a slow disk does not look like a slow API.

pub mod blocked_apiserver;
pub mod pod_progress;
mod probe;

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::plan::Plan;
use crate::phase::{Error, local_addresses, on_port};
use crate::ui::{Event, Sink};
use probe::Target;

/// Time between two looks at the listeners.
const INTERVAL: Duration = Duration::from_millis(50);

/// What to observe.
pub struct Observed {
    port: u16,
    probe: Option<Target>,
}

impl Observed {
    /// The API that `plan` leads to.
    pub fn of(plan: &Plan, is_probed: bool) -> Result<Self, Error> {
        let probe = match is_probed {
            true => Target::of(plan, &local_addresses()?),
            false => None,
        };
        Ok(Self { port: plan.api_port(), probe })
    }
}

/// Runs `work`, and reports what is observed meanwhile.
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

/// Reports how many sockets listen on `port`, whenever that changes. The last look follows the end of
/// the work, because the bootstrap apiserver may end between the look before and that.
async fn count_listeners(port: u16, mut over: watch::Receiver<bool>, told: UnboundedSender<Event>) {
    let (mut last, mut is_over) = (None, false);
    loop {
        match on_port(port).map(|bound| bound.len()) {
            Ok(count) if last != Some(count) => {
                last = Some(count);
                told.send(Event::Listeners { port, count }).ok(); // the receiver ends with the pivot
            }
            Ok(_) => {}
            Err(error) => return tracing::debug!(%error, "listeners are not counted"),
        }
        if is_over {
            return;
        }
        is_over = tokio::select! {
            () = tokio::time::sleep(INTERVAL) => false,
            _ = over.changed() => true,
        };
    }
}
