//! The way out of self-hosting: the control plane of this machine becomes plain static pods, which
//! come back without an agent and without the API.
//!
//! ```text
//! agent steps down ─► static apiserver placed, asked, steered to ─► static leaders placed ─► agent goes
//!   ─► self-hosted leaders go, leases let go ─► self-hosted apiserver goes ─► copies go
//! ```
//!
//! As in a pivot, a component is removed only when its successor works. After an interruption
//! `unpivot` goes on: it keeps the static pods that it has placed, and removes the workloads that
//! are left. `start` leads back.
//!
//! The agent steps down first, because it would steer connections to the self-hosted apiserver. It
//! is removed only when the static pods are placed. So a power cut never leaves the disk without
//! either.
//!
//! Only for a single controller, because the workloads that are removed are those of the whole
//! cluster. Secrets, accounts and roles stay in the API, where `start` and `recover` find them.

mod derive;
mod error;
mod incoming;
mod place;
mod placed;
mod retire;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Client, ResourceExt as _};

pub use error::{Error, Failed};
pub use placed::{Placed, file_name, placed};

use crate::checkpoint::store::Store;
use crate::checkpoint::{Id, parent};
use crate::cluster::kubeconfig::{self, Access};
use crate::cluster::objects::Objects;
use crate::cluster::retry::persist;
use crate::cluster::{connect, inventory, lease, node, pods};
use crate::config::Component;
use crate::config::defaults::CONTROL_PLANE_LABEL;
use crate::error::ExitClass;
use crate::handover;
use crate::handover::lock::{Lock, Locks, Name};
use crate::host::{lock, processes};
use crate::journal::{self, Journal, Record};
use crate::phase::{
    self, LEADERS, PROBE, Phase, Progress, Runner, Timeouts, check_root, local_addresses, session,
};
use crate::recover::find::{self, Workload};
use crate::ui::Sink;
use crate::{JOURNAL, KUBERNETES, NAMESPACE};
use derive::StaticPod;
use incoming::Incoming;

/// The agent's DaemonSet.
const AGENT: &str = "pod-checkpointer";

/// What `unpivot` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Kubelet's folder of static pods.
    pub pod_manifest_path: PathBuf,
    /// How long a phase may take.
    pub timeout: Duration,
}

/// The outcome.
#[derive(Debug)]
pub struct Report {
    /// Phases and how long each took.
    pub times: Vec<(&'static str, Duration)>,
    /// The node of this machine.
    pub node: String,
}

/// This machine's control plane.
struct Here {
    access: Access,
    client: Client,
    node: String,
    port: u16,
    /// What is self-hosted still.
    workloads: Vec<Workload>,
    /// The static pods that replace them, placed or not.
    pods: Vec<StaticPod>,
    /// UIDs of the pods of `workloads`.
    own: BTreeSet<String>,
    /// What the journal said before this run.
    before: journal::State,
}

/// Turns the control plane of this machine into static pods.
///
/// # Cancellation
/// It may be dropped between any two steps, and the next run goes on. The agent works again when
/// this process ends, because the kernel releases the locks then.
pub async fn unpivot(options: &Options, sink: &dyn Sink) -> Result<Report, Failed> {
    let mut has_begun = false;
    let result = run(options, sink, &mut has_begun).await;
    result.map_err(|error| Failed { error, has_begun })
}

async fn run(options: &Options, sink: &dyn Sink, has_begun: &mut bool) -> Result<Report, Error> {
    check_root()?;
    let _alone = lock::take(Path::new(KUBERNETES), &session::holder("unpivot")?)?;
    let timeouts = Timeouts::new(options.timeout, []);
    let mut runner = Runner::new(sink, &timeouts);
    let look = async |progress: &Progress| Here::look(options, progress).await;
    let here = runner.phase(Phase::LookAtControlPlane, look).await?;
    let journal = session::begin(journal::Command::Unpivot, &here.before, None)?;
    *has_begun = true;
    runner.note_in(&journal);
    let result = turn(&here, &journal, &mut runner).await;
    let exit_code = result.as_ref().map_or(ExitClass::General as u8, |()| 0);
    let ended = journal.record(Record::Ended { exit_code });
    result?; // the first failure is the one to report
    ended?;
    Ok(Report { times: runner.times, node: here.node.clone() })
}

async fn turn(here: &Here, journal: &Journal, runner: &mut Runner<'_>) -> Result<(), Error> {
    // Recorded always, because an earlier journal may be lost: etcd belongs to the control plane
    // now.
    if !journal.state().handed_over {
        journal.record(Record::HandedOver)?;
    }
    let _instead =
        runner.phase(Phase::TakeAgentsPlace, async |progress| take_place(here, progress).await).await?;
    let place = async |progress: &Progress| bring_in(here, journal, progress).await;
    runner.phase(Phase::PlaceStaticApiserver, place).await?;
    let place = async |progress: &Progress| place_leaders(here, journal, progress).await;
    runner.phase(Phase::PlaceStaticLeaders, place).await?;
    runner.phase(Phase::RemoveAgent, async |progress| remove_agent(here, progress).await).await?;
    runner.phase(Phase::HandOverToStatic, async |progress| hand_over(here, progress).await).await?;
    runner.phase(Phase::VerifyStatic, async |progress| verify(here, progress).await).await
}

impl Here {
    async fn look(options: &Options, progress: &Progress<'_>) -> Result<Self, Error> {
        let access = kubeconfig::read(&options.kubeconfig)?;
        let port = access.server.port_or_known_default().unwrap_or(443);
        let client = connect::connect(&access, Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)))?;
        let local = local_addresses()?;
        let before = journal::read(Path::new(JOURNAL))?;
        let node = node::wait_for_node(&client, &local, &mut |why| progress.waiting(why)).await;
        let present = inventory::control_plane_objects(&client).await?;
        let workloads = find::control_plane(&find::Objects { present, deleted: Vec::new() }).workloads;
        let own = own_pods(&client, &node, &workloads).await?;
        let placed = placed::placed(&options.pod_manifest_path)?;
        let pods = derive::static_pods(&workloads, placed, &options.pod_manifest_path)?;
        if !pods.iter().any(|pod| pod.component == Component::Apiserver) {
            return Err(Error::NotSelfHosted);
        }
        place::check(&pods, &before)?;
        Ok(Self { access, client, node, port, workloads, pods, own, before })
    }

    fn pod(&self, component: Component) -> impl Iterator<Item = &StaticPod> {
        self.pods.iter().filter(move |pod| pod.component == component)
    }

    fn workload(&self, component: Component) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.component == component)
    }
}

/// UIDs of the self-hosted pods on `node`. An error if other machines run some.
async fn own_pods(client: &Client, node: &str, workloads: &[Workload]) -> Result<BTreeSet<String>, Error> {
    let pods: Objects<Pod> = Objects::namespaced(client, NAMESPACE);
    let mut own = BTreeSet::new();
    let mut others = BTreeSet::new();
    for workload in workloads {
        for pod in retire::pods_of(&pods, workload).await? {
            match pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) {
                Some(other) if other != node => drop(others.insert(other)),
                _ => own.extend(pod.uid()),
            }
        }
    }
    match others.is_empty() {
        true => Ok(own),
        false => Err(Error::OtherControllers {
            node: node.to_owned(),
            others: others.into_iter().collect(),
            label: label(workloads),
        }),
    }
}

/// Key of the label that the control plane's pods select nodes by.
fn label(workloads: &[Workload]) -> String {
    let mut selectors =
        workloads.iter().filter_map(|workload| workload.template.spec.as_ref()?.node_selector.as_ref());
    let first = selectors.find_map(|selector| selector.keys().next());
    first.map_or_else(|| CONTROL_PLANE_LABEL.to_owned(), Clone::clone)
}

/// Makes the agent of this machine wait until the locks are released, or this process ends. No copy
/// may be active then: only the agent stops copies. It may start one until the locks are held, so
/// this looks again once they are.
async fn take_place(here: &Here, progress: &Progress<'_>) -> Result<(Lock, Lock), Error> {
    loop {
        while let Some(copy) = here.active_copy().await? {
            progress.waiting(format!("{copy} is active still"));
            tokio::time::sleep(PROBE * 5).await;
        }
        let locks = agents_locks(progress).await?;
        match here.active_copy().await? {
            None => return Ok(locks),
            Some(copy) => progress.waiting(format!("{copy} became active; the agent has to stop it")),
        }
    }
}

async fn agents_locks(progress: &Progress<'_>) -> Result<(Lock, Lock), Error> {
    let locks = Locks::default();
    let failed = |error| Error::Handover(handover::Error::Lock(error));
    let wanted = locks.take(Name::StandIn).await.map_err(failed)?;
    progress.waiting("the agent of this machine has not stepped down yet");
    let place = locks.take(Name::Agent).await.map_err(failed)?;
    Ok((wanted, place))
}

impl Here {
    /// An active copy other than the agent's own: its file is in kubelet's folder, or its pod still
    /// runs. Without an agent there is none, because only the agent starts and stops copies.
    async fn active_copy(&self) -> Result<Option<String>, Error> {
        let own = Id::new(NAMESPACE, AGENT);
        let listing = Store::default().list()?;
        let mut active = listing.entries.iter().filter(|entry| entry.disk().active.is_some());
        if !active.clone().any(|entry| entry.id == own) {
            return Ok(None);
        }
        if let Some(entry) = active.find(|entry| entry.id != own) {
            return Ok(Some(format!("the copy of {}", entry.id)));
        }
        // The mirror pod of a copy that has ended stays until kubelet removes it.
        let mirrors = self.pods_here().await?.into_iter().filter(parent::is_copy);
        let mut mirrors = mirrors.filter(|pod| pod.labels().get(retire::APP).is_none_or(|app| app != AGENT));
        Ok(mirrors.next().map(|pod| format!("copy {}", pod.name_any())))
    }

    /// Pods on this machine, in the control plane's namespace.
    async fn pods_here(&self) -> Result<Vec<Pod>, Error> {
        let pods: Objects<Pod> = Objects::namespaced(&self.client, NAMESPACE);
        let here = ListParams::default().fields(&format!("spec.nodeName={}", self.node));
        Ok(persist("list", "pods", async || Ok(pods.list(&here).await?)).await?)
    }
}

/// Removes the agent. Its copy starts no other copy any more, because its manifest is gone.
async fn remove_agent(here: &Here, progress: &Progress<'_>) -> Result<(), Error> {
    retire::remove_daemon_set(&here.client, AGENT).await?;
    Store::default().deactivate(&Id::new(NAMESPACE, AGENT))?;
    retire::end_agent(&here.client, AGENT, progress).await
}

/// Places the static apiserver, and waits until new connections go to it.
async fn bring_in(here: &Here, journal: &Journal, progress: &Progress<'_>) -> Result<(), Error> {
    let incoming = Incoming::new(&here.access, here.port, &here.own)?;
    incoming.hold().await?;
    place::place(journal, here.pod(Component::Apiserver))?;
    match here.workload(Component::Apiserver) {
        None => Ok(()), // the self-hosted one is gone already
        Some(_) => incoming.take_over(progress).await,
    }
}

/// Places the static leaders, which wait for their leases beside the self-hosted ones.
async fn place_leaders(here: &Here, journal: &Journal, progress: &Progress<'_>) -> Result<(), Error> {
    for component in [Component::ControllerManager, Component::Scheduler] {
        place::place(journal, here.pod(component))?;
    }
    for component in [Component::ControllerManager, Component::Scheduler] {
        while here.pod(component).count() > 0 && !here.runs_static(component)? {
            progress.waiting(format!("the static {} does not run yet", component.name()));
            tokio::time::sleep(PROBE).await;
        }
    }
    Ok(())
}

impl Here {
    /// Whether a process of it belongs to no self-hosted pod. True where no process can be seen.
    fn runs_static(&self, component: Component) -> Result<bool, Error> {
        let found = processes::of_container(component.name())
            .map_err(phase::Error::host("look at the processes of this machine"))?;
        Ok(found.is_empty() || found.iter().any(|process| !self.own.contains(&process.pod)))
    }
}

/// Removes the self-hosted workloads, leaders first. Each leaves its lease to the static one.
async fn hand_over(here: &Here, progress: &Progress<'_>) -> Result<(), Error> {
    for component in [Component::Scheduler, Component::ControllerManager] {
        let Some(workload) = here.workload(component) else { continue };
        let before = lease::leader(&here.client, component.name()).await?;
        progress.acts(format!("remove {}", workload.label));
        let ended = retire::workload(&here.client, workload, progress).await?;
        if let (Some(leader), true) = (before, ended > 0) {
            lease::release_lease(&here.client, component.name(), &leader.holder).await?;
        }
    }
    if let Some(workload) = here.workload(Component::Apiserver) {
        progress.acts(format!("remove {}", workload.label));
        retire::workload(&here.client, workload, progress).await?;
        Incoming::new(&here.access, here.port, &here.own)?.settle(progress).await?;
    }
    Ok(())
}

/// Waits until the API answers, leaders lead, and the agent's copies are gone.
async fn verify(here: &Here, progress: &Progress<'_>) -> Result<(), Error> {
    let store = Store::default();
    for entry in store.list()?.entries {
        store.remove(&entry.id)?;
    }
    for name in LEADERS {
        let first = lease::leader(&here.client, name).await?;
        loop {
            let now = lease::leader(&here.client, name).await?;
            if now.is_some() && now != first {
                break;
            }
            progress.waiting(format!("no {name} leads yet"));
            tokio::time::sleep(PROBE).await;
        }
    }
    let is_ready = |pod: &&Pod| pods::is_mirror(pod) && pods::is_ready_pod(pod).is_ok();
    let ready = here.pods_here().await?.iter().filter(is_ready).count();
    progress.info(format!("{ready} static pods of node {} are Ready", here.node));
    Ok(())
}
