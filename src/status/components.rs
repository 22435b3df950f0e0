//! Which pods are the control plane, how they are hosted, and what is wrong with them. Pure.

use std::fmt;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use time::{Duration, OffsetDateTime};

use super::here::Here;
use super::inventory::Inventory;
use crate::assets::command::runs;
use crate::checkpoint::parent::is_copy;
use crate::cluster::pods::{is_mirror, is_ready_pod};
use crate::cluster::workload::{is_daemon_set_rolled_out, is_deployment_rolled_out};
use crate::pki::rfc3339;

/// Programs of a control plane, in the order of the report, and whether one of several leads.
const PROGRAMS: [(&str, bool); 5] = [
    ("kube-apiserver", false),
    ("kube-controller-manager", true),
    ("kube-scheduler", true),
    ("etcd", false),
    (AGENT, false),
];
/// The agent, which is this program, by the name of its DaemonSet.
const AGENT: &str = "pod-checkpointer";
/// The agent's command line.
const AGENT_COMMAND: [&str; 2] = ["bootkube", "agent"];
/// Prefix of the names of temporary static pods.
const BOOTSTRAP: &str = "bootstrap-";
/// A lease that has not been renewed for this long has no living holder, even if two clocks differ
/// a little. Holders renew every 2 s.
const STALE: Duration = Duration::minutes(1);

/// One pod of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its program.
    pub name: &'static str,
    /// What keeps it running.
    pub hosting: Hosting,
    /// Its pod.
    pub pod: String,
    /// Its node; empty if it has none.
    pub node: String,
    /// Its image.
    pub image: String,
    /// Whether it is Ready; if not, why.
    pub ready: Result<(), String>,
    /// Whether it leads; `None` for those that have no leader, and where two on one node cannot be
    /// told apart.
    pub leads: Option<bool>,
}

/// What keeps a pod running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosting {
    /// The cluster itself: a workload in it, as `Kind/name`.
    SelfHosted(String),
    /// kubelet, by a file in its folder.
    StaticPod,
    /// kubelet, until `start` has handed over.
    Bootstrap,
    /// kubelet, by a copy from the agent, until the pod that it replaces is healthy.
    Copy,
    /// Nothing: a pod without an owner.
    Bare,
}

impl fmt::Display for Hosting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfHosted(workload) => write!(f, "{}", workload.split('/').next().unwrap_or(workload)),
            Self::StaticPod => f.write_str("static pod"),
            Self::Bootstrap => f.write_str("bootstrap"),
            Self::Copy => f.write_str("copy"),
            Self::Bare => f.write_str("bare pod"),
        }
    }
}

/// Every pod of the control plane.
pub(super) fn components(inventory: &Inventory) -> Vec<Component> {
    let of_program = |(name, elects): (&'static str, bool)| {
        let mut pods: Vec<&Pod> = inventory.pods.iter().filter(|pod| is_running(pod, name)).collect();
        pods.sort_by_key(|pod| (node(pod), pod.name_any()));
        let holder = if elects { holder(&inventory.leases, name) } else { None };
        let leads = |pod: &Pod| if elects { leads(pod, &pods, holder.as_deref()) } else { None };
        pods.iter().map(|pod| component(name, pod, leads(pod))).collect::<Vec<_>>()
    };
    PROGRAMS.into_iter().flat_map(of_program).collect()
}

/// The pods of the agents.
pub(super) fn agents(inventory: &Inventory) -> Vec<&Pod> {
    inventory.pods.iter().filter(|pod| is_running(pod, AGENT) && !is_mirror(pod)).collect()
}

fn component(name: &'static str, pod: &Pod, leads: Option<bool>) -> Component {
    Component {
        name,
        hosting: hosting(pod),
        pod: pod.name_any(),
        node: node(pod),
        image: image(pod, name),
        ready: is_ready_pod(pod),
        leads,
    }
}

fn node(pod: &Pod) -> String {
    pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default()
}

/// Whether the pod has not ended and holds a container of this program.
fn is_running(pod: &Pod, program: &str) -> bool {
    !has_ended(pod) && containers(pod).any(|container| is_of(container, program))
}

/// Whether the pod has ended for good, and nothing is missing by that. A shutdown leaves such pods as
/// `Failed`; their controller has made others, or the workload's problem says that it could not.
fn has_ended(pod: &Pod) -> bool {
    match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Succeeded") => true,
        Some("Failed") => {
            pod.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.kind != "Node")
        }
        _ => false,
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &k8s_openapi::api::core::v1::Container> {
    pod.spec.iter().flat_map(|spec| &spec.containers)
}

fn is_of(container: &k8s_openapi::api::core::v1::Container, program: &str) -> bool {
    let words = || container.command.iter().chain(&container.args).flatten().map(String::as_str);
    let name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    match program {
        AGENT => words().take(AGENT_COMMAND.len()).map(name).eq(AGENT_COMMAND),
        program => runs(words(), program),
    }
}

/// The program of the control plane that a pod runs.
pub(super) fn program(pod: &Pod) -> Option<&'static str> {
    let is_its = |name: &&str| containers(pod).any(|container| is_of(container, name));
    PROGRAMS.map(|(name, _)| name).into_iter().find(is_its)
}

/// Whether the instance of a program on `node` leads, by the lease alone; `None` for those that have no leader.
pub(super) fn holds(inventory: &Inventory, program: &str, node: &str) -> Option<bool> {
    PROGRAMS.iter().find(|(name, elects)| *name == program && *elects)?;
    let holder = holder(&inventory.leases, program).unwrap_or_default();
    Some(holder.split('_').next() == Some(node))
}

/// The image of a program's container.
pub(super) fn image(pod: &Pod, program: &str) -> String {
    let container = containers(pod).find(|container| is_of(container, program));
    container.and_then(|container| container.image.clone()).unwrap_or_default()
}

fn hosting(pod: &Pod) -> Hosting {
    if is_mirror(pod) {
        return match pod.name_any().starts_with(BOOTSTRAP) {
            true => Hosting::Bootstrap,
            false if is_copy(pod) => Hosting::Copy,
            false => Hosting::StaticPod,
        };
    }
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    match owner {
        // A Deployment names its ReplicaSets after itself, with a suffix.
        Some(owner) if owner.kind == "ReplicaSet" => {
            let name = owner.name.rsplit_once('-').map_or(owner.name.as_str(), |(name, _)| name);
            Hosting::SelfHosted(format!("Deployment/{name}"))
        }
        Some(owner) => Hosting::SelfHosted(format!("{}/{}", owner.kind, owner.name)),
        None => Hosting::Bare,
    }
}

/// A holder names itself after its host: the node, or the pod if that has a network of its own.
fn leads(pod: &Pod, all: &[&Pod], holder: Option<&str>) -> Option<bool> {
    let Some(holder) = holder else { return Some(false) };
    let host = holder.split('_').next().unwrap_or(holder);
    if host == pod.name_any() {
        return Some(true);
    }
    let on_node = all.iter().filter(|other| node(other) == node(pod)).count();
    match host == node(pod) {
        true if on_node > 1 => None,
        is_here => Some(is_here),
    }
}

fn lease<'a>(leases: &'a [Lease], name: &str) -> Option<&'a Lease> {
    leases.iter().find(|lease| lease.name_any() == name)
}

fn holder(leases: &[Lease], name: &str) -> Option<String> {
    let spec = lease(leases, name)?.spec.as_ref()?;
    spec.holder_identity.clone().filter(|holder| !holder.is_empty())
}

/// What is wrong with what runs, the worst first. The API does not show the copies `hidden`, which
/// run on this machine; `here` says whether that has a Node.
pub(super) fn problems(
    inventory: &Inventory,
    hidden: &[Component],
    here: Option<&Here>,
    now: OffsetDateTime,
) -> Vec<String> {
    let leaders = PROGRAMS.iter().filter(|(_, elects)| *elects);
    let leaderless = leaders
        .filter_map(|(name, _)| Some(format!("no {name} leads: {}", leaderless(inventory, name, now)?)));
    // Without a Node no pod can run, so nothing else is said of pods.
    if inventory.nodes.as_ref().is_some_and(Vec::is_empty) {
        return leaderless.collect();
    }
    let components = components(inventory);
    let unready = components.iter().filter_map(|component| {
        let why = component.ready.as_ref().err()?;
        Some(format!("{} on {}: pod {} {why}", component.name, component.node, component.pod))
    });
    let bootstrap = components.iter().filter(|component| component.hosting == Hosting::Bootstrap);
    let bootstrap = bootstrap.map(|Component { pod, .. }| {
        format!("the bootstrap pod {pod} is still there: run bootkube start again, which hands over")
    });
    let has_node = here.is_none_or(|here| here.node.is_some());
    // The copy of the agent's own pod always runs.
    let stands_in = |component: &&Component| component.hosting == Hosting::Copy && component.name != AGENT;
    let copies = components.iter().chain(hidden.iter().filter(|_| has_node)).filter(stands_in);
    let copies = copies.map(|Component { name, pod, node, .. }| {
        format!("{name} on {node}: the copy {pod} runs until the pod itself is healthy")
    });
    leaderless.chain(unready).chain(behind(inventory)).chain(bootstrap).chain(copies).collect()
}

/// That Nodes are missing which run pods: the deepest cause of what is wrong with pods.
pub(super) fn nodeless(inventory: &Inventory, hidden: &[Component], here: Option<&Here>) -> Option<String> {
    if inventory.nodes.as_ref().is_some_and(Vec::is_empty) {
        let shown = if hidden.is_empty() { String::new() } else { format!(" (here: {})", names(hidden)) };
        return Some(format!(
            "no node has registered, so the pods that serve are copies, which the API does not show{shown}: kubelet registers \
             its Node only when it starts, so run systemctl restart kubelet on a controller, and bootkube start there, which \
             labels it again"
        ));
    }
    let is_missing = here.is_some_and(|here| here.node.is_none()) && !hidden.is_empty();
    is_missing.then(|| {
        format!(
            "the Node of this machine is not registered, so the API does not show the copies that serve here ({}): kubelet \
             registers it only when it starts, so run systemctl restart kubelet, and bootkube start, which labels it again",
            names(hidden)
        )
    })
}

fn names(components: &[Component]) -> String {
    components.iter().map(|it| it.name).collect::<Vec<_>>().join(", ")
}

/// Why there is no leader. Unknown if the leases could not be listed.
fn leaderless(inventory: &Inventory, name: &str, now: OffsetDateTime) -> Option<String> {
    let is_unseen = inventory.unseen.iter().any(|unseen| unseen.starts_with("leases"));
    if is_unseen {
        return None;
    }
    let Some(holder) = holder(&inventory.leases, name) else {
        return Some("its lease has no holder".to_owned());
    };
    let renewed = lease(&inventory.leases, name)?.spec.as_ref()?.renew_time.as_ref()?;
    let renewed = OffsetDateTime::from_unix_timestamp(renewed.0.as_second()).ok()?;
    (now - renewed > STALE).then(|| format!("{holder} has not renewed its lease since {}", rfc3339(renewed)))
}

/// Workloads of the control plane that are not rolled out.
fn behind(inventory: &Inventory) -> Vec<String> {
    let is_ours = |name: &str| PROGRAMS.iter().any(|(program, _)| *program == name);
    let daemon_sets =
        inventory.daemon_sets.iter().map(|set| ("DaemonSet", set.name_any(), is_daemon_set_rolled_out(set)));
    let deployments = inventory.deployments.iter();
    let deployments = deployments.map(|set| ("Deployment", set.name_any(), is_deployment_rolled_out(set)));
    let all = daemon_sets.chain(deployments).filter(|(_, name, _)| is_ours(name));
    all.filter_map(|(kind, name, rolled_out)| Some(format!("{kind} {name}: {}", rolled_out.err()?))).collect()
}

#[cfg(test)]
#[path = "components_tests.rs"]
mod tests;
