//! The static apiserver beside the self-hosted one: nobody reaches it before it is ready, and everybody from then on.

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

/// Until connections that were on their way to the older one have arrived.
const ARRIVAL: Duration = Duration::from_millis(500);
/// Connections that are dealt at random until each of two apiservers has taken one, almost certainly.
const TRIES: usize = 16;

/// How it comes in.
pub struct Incoming<'a> {
    port: Port,
    /// UIDs of the self-hosted pods. Whoever has none of these is the static one.
    own: &'a BTreeSet<String>,
    is_steered: bool,
}

/// Who listens, and which processes those are.
struct Group {
    listeners: Vec<Listener>,
    processes: Vec<ContainerProcess>,
}

impl<'a> Incoming<'a> {
    /// Nothing is steered yet.
    pub fn new(access: &Access, port: u16, own: &'a BTreeSet<String>) -> Result<Self, Error> {
        Ok(Self { port: Port::new(port, access)?, own, is_steered: steering::check().is_ok() })
    }

    /// Before it is placed: connections stay where they are.
    pub async fn hold(&self) -> Result<(), Error> {
        let listeners = self.port.listeners().await?;
        if self.is_steered && listeners.len() == 1 {
            self.port.steer(&listeners, Aim { serving: 0, asked: 0, starting: 1 }).await?;
        }
        Ok(())
    }

    /// Waits until it is ready, and lets it have every new connection.
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

    /// Waits until it is alone, and has no index but the first.
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

    /// Asks each; steers to the static one if it is ready.
    async fn steer(&self) -> Result<bool, Error> {
        let group = self.group().await?;
        let count = group.listeners.len() as u32;
        for index in 0..count {
            // The older ones came first, and the one that starts last.
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

    /// Where connections are dealt out it is enough that it was met, and ready.
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

    /// Whether a pod is no self-hosted one. Where processes cannot be seen it is the last of several listeners.
    fn is_static(&self, pod: Option<String>, group: &Group, index: u32) -> bool {
        match pod {
            Some(pod) => !self.own.contains(&pod),
            None => group.processes.is_empty() && index > 0 && index as usize + 1 == group.listeners.len(),
        }
    }
}

impl Group {
    /// Pod whose process holds a socket.
    fn holder(&self, socket: u32) -> Option<String> {
        let holds = |process: &&ContainerProcess| process.sockets().contains(&socket);
        self.processes.iter().find(holds).map(|process| process.pod.clone())
    }
}
