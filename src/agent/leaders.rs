//! Leases of controller managers and schedulers that have ended: their holder would keep the next one waiting for 15 s and more.
//!
//! A lease names its holder's machine, not its process. So it is let go only when a process of that component has ended on this machine and
//! no other one here can be the holder: each of those began after the lease was acquired, or the lease is not renewed any more. Whoever held
//! it when the machine lost its power ended unseen: so the agent looks once when it first meets the API.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Error;
use crate::NAMESPACE;
use crate::cluster::lease::{self, Leader};
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Scope, follow};
use crate::error::chain;
use crate::host::processes::{self, ContainerProcess};

/// Elected components: name of the lease, and of the container.
const COMPONENTS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
/// A leader that lives renews its lease within this time. The rendered ones do so every 750 ms; the default is 2 s.
const RENEWED_WITHIN: Duration = Duration::from_millis(2500);
/// By how much the clock of a process's beginning may be wrong: the kernel gives the machine's own in whole seconds.
const SLACK: Duration = Duration::from_secs(1);

/// Watches over the leaders of `node`, until it cannot any more.
pub async fn guard(client: &Client, node: &str) -> Result<(), Error> {
    let scope = Scope {
        labels: Some(format!("k8s-app in ({})", COMPONENTS.join(","))),
        fields: Some(format!("spec.nodeName={node}")),
    };
    let mut changes = follow(Objects::<Pod>::namespaced(client, NAMESPACE), &scope);
    let mut living = Living::new();
    let mut has_met = false;
    loop {
        living.find()?;
        tokio::select! {
            Some(told) = changes.next() => if told.is_ok() && !std::mem::replace(&mut has_met, true) {
                for component in COMPONENTS {
                    if let Err(error) = forget(client, component, &mut living).await {
                        tracing::warn!(component, error = chain(&error), "lease not let go");
                    }
                }
            },
            Some(ended) = living.ends.recv() => {
                living.known.retain(|process| process.pid != ended.pid);
                let others: Vec<_> = living.known.iter().filter(|other| other.container == ended.container).collect();
                tracing::info!(component = ended.container, pid = ended.pid, others = others.len(), "process ended");
                if let Err(error) = let_go(client, &ended.container, &others).await {
                    tracing::warn!(component = ended.container, error = chain(&error), "lease not let go");
                }
            }
        }
    }
}

/// Processes that are watched, and their ends.
struct Living {
    known: Vec<ContainerProcess>,
    ended: UnboundedSender<ContainerProcess>,
    ends: UnboundedReceiver<ContainerProcess>,
}

impl Living {
    fn new() -> Self {
        let (ended, ends) = unbounded_channel();
        Self { known: Vec::new(), ended, ends }
    }

    fn find(&mut self) -> Result<(), Error> {
        let found = COMPONENTS.into_iter().try_for_each(|component| self.find_of(component));
        found.map_err(|source| Error::Host { act: "look at the processes of this machine", source })
    }

    fn find_of(&mut self, component: &str) -> io::Result<()> {
        for process in processes::of_container(component)? {
            if self.known.iter().any(|known| known.pid == process.pid) {
                continue;
            }
            let Ok(end) = process.end() else { continue }; // it ended meanwhile; another pod event will tell
            tell_end(end, process.clone(), self.ended.clone())?;
            self.known.push(process);
        }
        Ok(())
    }
}

/// Tells when `process` has ended. A thread for each of the two or three: it sleeps in the kernel, and dies with this program.
fn tell_end(
    end: OwnedFd,
    process: ContainerProcess,
    ended: UnboundedSender<ContainerProcess>,
) -> io::Result<()> {
    let wait = move || {
        let mut ends = [PollFd::new(&end, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut ends, None) {}
        // Nobody is left to be told when the agent ends.
        ended.send(process).unwrap_or_default();
    };
    std::thread::Builder::new().stack_size(64 * 1024).spawn(wait).map(drop)
}

/// Lets go of the lease of a holder that ended while nobody watched. The lease is read before it is looked who lives: whoever acquires it
/// later is left alone.
async fn forget(client: &Client, name: &str, living: &mut Living) -> Result<(), Error> {
    let Some(leader) = lease::leader(client, name).await? else { return Ok(()) };
    living.find()?;
    let mut others = living.known.iter().filter(|process| process.container == name);
    if is_of_this_machine(&leader) && others.all(|process| began_after(process, &leader)) {
        let release = lease::release_lease(client, name, &leader.holder).await?;
        tracing::info!(
            lease = name,
            holder = leader.holder,
            ?release,
            "lease let go: its holder ended unseen"
        );
    }
    Ok(())
}

async fn let_go(client: &Client, name: &str, others: &[&ContainerProcess]) -> Result<(), Error> {
    let Some(leader) = lease::leader(client, name).await? else { return Ok(()) };
    if !is_of_this_machine(&leader) {
        return Ok(());
    }
    let is_certain = others.iter().all(|other| began_after(other, &leader));
    if !is_certain {
        tokio::time::sleep(RENEWED_WITHIN).await;
        if lease::leader(client, name).await?.as_ref() != Some(&leader) {
            return Ok(()); // somebody lives
        }
    }
    let release = lease::release_lease(client, name, &leader.holder).await?;
    tracing::info!(lease = name, holder = leader.holder, ?release, "lease let go: its holder ended");
    Ok(())
}

/// Holders call themselves HOSTNAME_UUID.
fn is_of_this_machine(leader: &Leader) -> bool {
    let name = rustix::system::uname();
    leader.holder.rsplit_once('_').is_some_and(|(host, _)| host.as_bytes() == name.nodename().to_bytes())
}

/// Whether `process` cannot be the holder, having begun after the lease was acquired.
fn began_after(process: &ContainerProcess, leader: &Leader) -> bool {
    let Some(acquired) = &leader.acquired else { return false };
    let Ok(machine) = processes::machine_began() else { return false };
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let began = machine + Duration::from_millis(process.began * 1000 / ticks);
    began > SystemTime::from(acquired.0) + SLACK
}
