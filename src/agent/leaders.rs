//! Releases the leases of controller managers and schedulers that have ended. Their next leader
//! would wait 15 s and more otherwise.
//!
//! The holder of a lease calls itself HOSTNAME_UUID: its machine is known, its process is not. When
//! a process of the component ends here, the lease is released if no process that is left can be
//! its holder:
//!
//! - Processes of this machine that began after the lease was acquired cannot.
//! - A process of another machine can only where two machines have one hostname, which nothing
//!   forbids. So unless the API knows pods of the component on this machine alone, the lease is
//!   watched first for as long as a living holder would take to renew it.
//!
//! Where the machine lost its power, the agent did not see the holder end. So it looks once, when
//! it first meets the API.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::NAMESPACE;
use crate::cluster;
use crate::cluster::lease::{self, Leader};
use crate::cluster::objects::Objects;
use crate::cluster::wait::{Scope, follow};
use crate::error::chain;
use crate::host::blocking;
use crate::host::processes::{self, ContainerProcess};

/// Elected components: name of the lease, and of the container.
const COMPONENTS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
/// A leader that works renews its lease within this time. The rendered ones do so every 750 ms; the
/// default is 2 s.
const RENEWED_WITHIN: Duration = Duration::from_millis(2500);
/// Meanwhile the end of no other process is seen, and a lease of a control plane ends after 15 s.
const LONGEST: Duration = Duration::from_secs(15);
/// Where the API is slow, a leader that works needs more time for that: as long as so many requests.
const REQUESTS: u32 = 10;
/// By how much the clock of a process's beginning may be wrong: the kernel gives the machine's own
/// in whole seconds.
const SLACK: Duration = Duration::from_secs(1);

/// Why the leaders of this machine cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A lease cannot be read or released.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The processes of this machine cannot be watched.
    #[error("failed to look at the processes of this machine")]
    Processes(#[from] io::Error),
}

/// Releases leases of the leaders of `node` that have ended, for as long as processes can be
/// watched.
pub async fn guard(client: &Client, node: &str) -> Result<(), Error> {
    let scope = Scope { labels: Some(format!("k8s-app in ({})", COMPONENTS.join(","))), fields: None };
    let mut changes = follow(Objects::<Pod>::namespaced(client, NAMESPACE), &scope);
    let mut living = Living::new();
    let mut pods = None;
    loop {
        living.find().await?;
        tokio::select! {
            Some(listed) = changes.next() => if let Ok(listed) = listed {
                let is_first = pods.is_none();
                pods = Some(listed);
                if is_first {
                    for component in COMPONENTS {
                        let is_sole = is_sole(pods.as_deref(), component, node);
                        report(component, release_unseen(client, component, &mut living, is_sole).await);
                    }
                }
            },
            Some(ended) = living.ends.recv() => {
                living.known.retain(|process| process.pid != ended.pid);
                let component = ended.container.as_str();
                let others: Vec<_> = living.processes_of(component).collect();
                tracing::info!(component, pid = ended.pid, others = others.len(), "process ended");
                let is_sole = is_sole(pods.as_deref(), component, node);
                report(component, release(client, component, &others, is_sole).await);
            }
        }
    }
}

fn report(component: &str, result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::warn!(component, error = chain(&error), "lease not released");
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

    async fn find(&mut self) -> io::Result<()> {
        let all = || COMPONENTS.into_iter().map(processes::of_container).collect::<io::Result<Vec<_>>>();
        for process in blocking::run(all).await?.into_iter().flatten() {
            if self.known.iter().any(|known| known.pid == process.pid) {
                continue;
            }
            let Ok(end) = process.end() else { continue }; // it ended meanwhile; the next event of its pod shows that
            tell_end(end, process.clone(), self.ended.clone())?;
            self.known.push(process);
        }
        Ok(())
    }

    /// Processes of a component.
    fn processes_of(&self, component: &str) -> impl Iterator<Item = &ContainerProcess> {
        self.known.iter().filter(move |process| process.container == component)
    }
}

/// Tells when `process` has ended. A thread for each of the two or three: it sleeps in the kernel,
/// and dies with this program.
fn tell_end(
    end: OwnedFd,
    process: ContainerProcess,
    ended: UnboundedSender<ContainerProcess>,
) -> io::Result<()> {
    let wait = move || {
        let mut ends = [PollFd::new(&end, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut ends, None) {}
        ended.send(process).unwrap_or_default(); // it fails only when the agent ends
    };
    std::thread::Builder::new().stack_size(64 * 1024).spawn(wait).map(drop)
}

/// Releases the lease of a holder that ended before the agent watched. The lease is read before the
/// processes: one that acquires it later is not its holder.
async fn release_unseen(
    client: &Client,
    name: &str,
    living: &mut Living,
    is_sole: bool,
) -> Result<(), Error> {
    let (leader, watched) = holder(client, name).await?;
    let Some(leader) = leader else { return Ok(()) };
    living.find().await?;
    if !is_of_this_machine(&leader) || living.processes_of(name).any(|process| !began_after(process, &leader))
    {
        return Ok(());
    }
    release_of(client, name, &leader, (!is_sole).then_some(watched)).await
}

/// Releases the lease `name` after a process of this machine has ended; `others` go on.
async fn release(
    client: &Client,
    name: &str,
    others: &[&ContainerProcess],
    is_sole: bool,
) -> Result<(), Error> {
    let (leader, watched) = holder(client, name).await?;
    let Some(leader) = leader.filter(is_of_this_machine) else { return Ok(()) };
    let is_certain = is_sole && others.iter().all(|other| began_after(other, &leader));
    release_of(client, name, &leader, (!is_certain).then_some(watched)).await
}

/// The holder of the lease, and how long a living one may take to renew it.
async fn holder(client: &Client, name: &str) -> Result<(Option<Leader>, Duration), Error> {
    let begun = Instant::now();
    let leader = lease::leader(client, name).await?;
    Ok((leader, renewed_within(begun.elapsed())))
}

/// How long a living holder may take to renew its lease, where a request takes `request`.
fn renewed_within(request: Duration) -> Duration {
    RENEWED_WITHIN.max(request * REQUESTS).min(LONGEST)
}

/// Releases the lease. If it may have a living holder it is watched first, and left alone if it is renewed.
async fn release_of(
    client: &Client,
    name: &str,
    leader: &Leader,
    watched: Option<Duration>,
) -> Result<(), Error> {
    if let Some(watched) = watched {
        tokio::time::sleep(watched).await;
        if lease::leader(client, name).await?.as_ref() != Some(leader) {
            return Ok(());
        }
    }
    let release = lease::release_lease(client, name, &leader.holder).await?;
    tracing::info!(lease = name, holder = leader.holder, ?release, "lease released: its holder has ended");
    Ok(())
}

/// Whether the API knows pods of `component` on this machine and on no other.
fn is_sole(pods: Option<&[Pod]>, component: &str, node: &str) -> bool {
    let is_its = |pod: &&Pod| {
        pod.metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get("k8s-app"))
            .is_some_and(|it| it == component)
    };
    let node_of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let mut nodes = pods.into_iter().flatten().filter(is_its).filter_map(node_of).peekable();
    nodes.peek().is_some() && nodes.all(|other| other == node)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(component: &str, node: Option<&str>) -> Pod {
        let pod = json!({
            "metadata": {"name": "x", "labels": {"k8s-app": component}},
            "spec": {"nodeName": node, "containers": []},
        });
        serde_json::from_value(pod).unwrap()
    }

    /// Another machine may have this one's hostname: without a process here its lease would have
    /// been released while it leads.
    #[test]
    fn a_lease_is_released_unwatched_only_where_no_other_machine_runs_the_component() {
        let here = pod("kube-scheduler", Some("n1"));
        let there = pod("kube-scheduler", Some("n2"));
        let other = pod("kube-controller-manager", Some("n2"));
        let is_sole = |pods: &[Pod]| super::is_sole(Some(pods), "kube-scheduler", "n1");
        assert!(is_sole(&[here.clone(), other.clone(), pod("kube-scheduler", None)]));
        assert!(!is_sole(&[here, there.clone()]));
        assert!(!is_sole(&[there]));
        assert!(!is_sole(&[other]));
        assert!(!super::is_sole(None, "kube-scheduler", "n1"), "the API has told nothing yet");
    }

    #[test]
    fn a_holder_behind_a_slow_api_gets_more_time_to_renew() {
        assert_eq!(renewed_within(Duration::from_millis(20)), RENEWED_WITHIN);
        assert_eq!(renewed_within(Duration::from_millis(1200)), Duration::from_secs(12));
    }

    /// On the only thread of the agent a scan of /proc would hold up everything else.
    #[tokio::test]
    async fn a_scan_of_all_processes_lets_other_work_go_on() {
        let mut living = Living::new();
        let mut scan = std::pin::pin!(living.find());
        assert!(futures::poll!(&mut scan).is_pending(), "it began on another thread");
        scan.await.unwrap();
    }
}
