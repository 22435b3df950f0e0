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
    let (sender, mut events) = mpsc::unbounded_channel();
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
            Some(event) = events.recv() => sink.tell(event),
        }
    };
    end.send_replace(true);
    // The senders end with their tasks, the probe's after the requests that are under way.
    while let Some(event) = events.recv().await {
        sink.tell(event);
    }
    result
}

/// Reports how many sockets listen on `port`, whenever that changes. The sockets by which programs
/// are attached are not among them. The last look follows the end of the work, because the
/// bootstrap apiserver may end between the look before and that.
async fn count_listeners(port: u16, mut over: watch::Receiver<bool>, events: UnboundedSender<Event>) {
    let (mut last, mut is_over) = (None, false);
    loop {
        match on_port(port).map(|bound| bound.len()) {
            Ok(count) if last != Some(count) => {
                last = Some(count);
                events.send(Event::Listeners { port, count }).ok(); // the receiver ends with the pivot
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::host::steering::{Aim, steer};

    struct Counts(Mutex<Vec<usize>>);

    impl Sink for Counts {
        fn tell(&self, event: Event) {
            if let Event::Listeners { count, .. } = event {
                self.0.lock().unwrap().push(count);
            }
        }
    }

    fn shared(port: u16) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
        socket.listen(16).unwrap();
        socket
    }

    /// Programs are attached by a socket that joins the listeners for a moment.
    #[tokio::test]
    async fn the_report_does_not_count_the_sockets_that_steer() {
        let first = shared(0);
        let port = first.local_addr().unwrap().as_socket().unwrap().port();
        let _second = shared(port);
        let (counts, is_over) = (Counts(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let steering = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                while !is_over.load(Ordering::Relaxed) {
                    let aim = Aim { serving: 0, asked: 1, starting: 1 };
                    steer(Ipv4Addr::LOCALHOST.into(), port, 0, aim).unwrap();
                }
            }
        });
        let work = tokio::time::sleep(Duration::from_secs(1));
        beside(Observed { port, probe: None }, &counts, work).await;
        is_over.store(true, Ordering::Relaxed);
        steering.join().unwrap();
        assert_eq!(*counts.0.lock().unwrap(), [2]);
    }
}
