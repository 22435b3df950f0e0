//! The switch of new connections from the self-hosted apiserver to the static one: none reaches the
//! static one before it is ready, and all do from then on.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::Error;
use crate::cluster::connect::Readyz;
use crate::cluster::kubeconfig::Access;
use crate::config::Component;
use crate::handover::{self, Port};
use crate::host::processes::{self, ContainerProcess};
use crate::host::sockets::Listener;
use crate::host::steering::{self, Aim};
use crate::phase::{self, PROBE, Progress};

/// How long a connection may take to arrive that the kernel gave to the older one.
const ARRIVAL: Duration = Duration::from_millis(500);
/// How many connections are tried where the kernel picks a listener at random: each of two
/// apiservers has then almost certainly taken one.
const TRIES: usize = 16;

/// Steers new connections to the static apiserver.
pub struct Incoming<'a> {
    port: Port,
    /// UIDs of the self-hosted pods. An apiserver of any other pod is the static one.
    own: &'a BTreeSet<String>,
    is_steered: bool,
}

/// The listeners on the port, and the processes that may hold them.
struct Group {
    listeners: Vec<Listener>,
    processes: Vec<ContainerProcess>,
}

impl<'a> Incoming<'a> {
    /// Steers nothing yet.
    pub fn new(access: &Access, port: u16, own: &'a BTreeSet<String>) -> Result<Self, Error> {
        Ok(Self { port: Port::new(port, access)?, own, is_steered: steering::check().is_ok() })
    }

    /// Called before the static apiserver is placed: connections stay with the self-hosted one.
    pub async fn hold(&self) -> Result<(), Error> {
        let listeners = self.port.listeners().await?;
        if self.is_steered && listeners.len() == 1 {
            self.port.steer(&listeners, Aim { serving: 0, asked: 0, starting: 1 }).await?;
        }
        Ok(())
    }

    /// Waits until the static apiserver is ready, and gives it every new connection.
    pub async fn take_over(&self, progress: &Progress<'_>) -> Result<(), Error> {
        if !self.is_steered {
            progress.warn("this machine does not steer connections, so a few may fail when the self-hosted apiserver goes");
        }
        loop {
            let done = match self.is_steered {
                true => self.steer().await,
                false => self.is_ready_unsteered().await,
            };
            let done = match done {
                Err(Error::Handover(handover::Error::Changed { .. })) => continue,
                done => done?,
            };
            if done {
                tokio::time::sleep(ARRIVAL).await;
                progress.found("new connections go to the static apiserver");
                return Ok(());
            }
            progress.waiting("the static apiserver is not ready yet");
            tokio::time::sleep(PROBE).await;
        }
    }

    /// Waits until the static apiserver is the only listener, whose index is then 0.
    pub async fn settle(&self, progress: &Progress<'_>) -> Result<(), Error> {
        loop {
            let listeners = self.port.listeners().await?;
            if listeners.len() == 1 {
                if self.is_steered {
                    self.port.steer(&listeners, Aim { serving: 0, asked: 0, starting: 1 }).await?;
                }
                return Ok(());
            }
            progress.waiting("the self-hosted apiserver has not ended yet");
            tokio::time::sleep(PROBE).await;
        }
    }

    /// Asks each listener whether it is ready. Steers to the static one if that is.
    async fn steer(&self) -> Result<bool, Error> {
        let group = self.group().await?;
        let count = group.listeners.len() as u32;
        for index in 0..count {
            // The last index is the newest listener, unless one has closed.
            let aim = Aim { serving: 0, asked: index, starting: count.saturating_sub(1).max(1) };
            let answer = self.port.ask(&group.listeners, aim, index, |socket| group.holder(socket)).await?;
            let is_static = self.is_static(answer.seen.flatten(), &group, index);
            if is_static && answer.readyz == Readyz::Ready {
                let aim = Aim { serving: index, asked: index, starting: count };
                let is_its = |socket| self.is_static(group.holder(socket), &group, index);
                self.port.flip(&group.listeners, aim, is_its).await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the kernel does not steer, it is enough that the static apiserver took one connection
    /// and was ready.
    async fn is_ready_unsteered(&self) -> Result<bool, Error> {
        let group = self.group().await?;
        let last = (group.listeners.len() as u32).saturating_sub(1);
        for _ in 0..TRIES {
            let answer = self.port.ask_like_a_client(|socket| group.holder(socket)).await?;
            let is_static = self.is_static(answer.seen.flatten(), &group, last);
            if is_static && answer.readyz == Readyz::Ready {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn group(&self) -> Result<Group, Error> {
        let listeners = self.port.listeners().await?;
        let processes = processes::of_container(Component::Apiserver.name())
            .map_err(phase::Error::host("look at the processes of this machine"))?;
        Ok(Group { listeners, processes })
    }

    /// Whether `pod` is the static apiserver's. Where processes cannot be seen, the static one is
    /// the last of several listeners.
    fn is_static(&self, pod: Option<String>, group: &Group, index: u32) -> bool {
        match pod {
            Some(pod) => !self.own.contains(&pod),
            None => group.processes.is_empty() && index > 0 && index as usize + 1 == group.listeners.len(),
        }
    }
}

impl Group {
    /// UID of the pod whose process holds `socket`.
    fn holder(&self, socket: u32) -> Option<String> {
        let holds = |process: &&ContainerProcess| process.sockets().contains(&socket);
        self.processes.iter().find(holds).map(|process| process.pod.clone())
    }
}
