//! Pods of the API, and the objects that own them: which are to be kept, of what workload they are,
//! whether this machine is still meant to run them, and whether what runs is what a copy would
//! hold.
//!
//! Statuses of workloads are not looked at: the controller manager, which writes them, may be what
//! is missing.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Taint,
    Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::ResourceExt as _;

use super::observed::Api;
use super::{CHECKPOINT, CHECKPOINT_OF, Id, Role};
use crate::assets::command::{self, is_on, runs, switch};

/// Where a pod of kubelet's came from: `api`, or a file.
const SOURCE: &str = "kubernetes.io/config.source";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// What a Deployment appends to its own name for that of a ReplicaSet.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// On pods of DaemonSets and StatefulSets.
const REVISION_HASH: &str = "controller-revision-hash";
/// On pods of StatefulSets.
const STATEFUL_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// Whether `pod` is a copy, or the mirror of one.
pub fn is_copy(pod: &Pod) -> bool {
    pod.annotations().contains_key(CHECKPOINT_OF)
}

/// Whether `pod` is one of the API's, on `node`, that asks for a copy and is not leaving.
pub fn is_parent(pod: &Pod, node: &str) -> bool {
    asks(pod, node) && !is_leaving(pod)
}

/// Whether `pod` is one of the API's, on `node`, that asks to be kept, whether it stays or not.
pub fn asks(pod: &Pod, node: &str) -> bool {
    let annotations = pod.annotations();
    let is_static =
        annotations.contains_key(MIRROR) || annotations.get(SOURCE).is_some_and(|source| source != "api");
    let asks = annotations.get(CHECKPOINT).is_some_and(|value| value == "true");
    asks && !is_static && !is_copy(pod) && node_of(pod) == Some(node)
}

/// Whether `pod` is terminating, or has ended for good.
fn is_leaving(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// The object that made a pod, as far as copies care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// None, or one whose pods have an identity each, such as a StatefulSet.
    Itself,
    /// A DaemonSet.
    DaemonSet,
    /// A Deployment, through a ReplicaSet.
    Deployment,
}

/// The workload that `pod` is of, and what owns it.
pub fn workload(pod: &Pod) -> (Id, Owner) {
    let id = |name: &str| Id::new(pod.namespace().unwrap_or_default(), name);
    match controller(pod) {
        Some(owner) if owner.kind == "DaemonSet" => (id(&owner.name), Owner::DaemonSet),
        Some(owner) if owner.kind == "ReplicaSet" => {
            let hash = pod.labels().get(TEMPLATE_HASH).map(|hash| format!("-{hash}")).unwrap_or_default();
            (id(owner.name.strip_suffix(&hash).unwrap_or(&owner.name)), Owner::Deployment)
        }
        _ => (id(&pod.name_any()), Owner::Itself),
    }
}

/// The same of a pod that is known by name and labels alone, as the runtime and kept copies have
/// it.
pub fn workload_by_labels(namespace: &str, name: &str, labels: &BTreeMap<String, String>) -> (Id, Owner) {
    let base = name.rsplit_once('-').map(|(base, _)| base);
    let of_set = base.filter(|_| labels.contains_key(REVISION_HASH) && !labels.contains_key(STATEFUL_NAME));
    let hash = labels.get(TEMPLATE_HASH).map(|hash| format!("-{hash}"));
    match (hash.and_then(|hash| base?.strip_suffix(&hash)), of_set) {
        (Some(name), _) => (Id::new(namespace, name), Owner::Deployment),
        (None, Some(name)) => (Id::new(namespace, name), Owner::DaemonSet),
        (None, None) => (Id::new(namespace, name), Owner::Itself),
    }
}

/// Whether the runtime's word on a pod is that it is one of the API's.
pub fn is_of_api(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(SOURCE).is_some_and(|source| source == "api")
}

fn controller(pod: &Pod) -> Option<&OwnerReference> {
    pod.owner_references().iter().find(|owner| owner.controller == Some(true))
}

/// The role of `pod`, or of a copy of it. `own` is the workload of the agent.
pub fn role(id: &Id, spec: &PodSpec, own: &Id) -> Role {
    if id == own {
        return Role::Own;
    }
    let Some(Component { program, container, .. }) = component(spec) else { return Role::Exclusive };
    match program {
        "kube-apiserver" if is_on(words(container), "permit-port-sharing") => Role::Apiserver,
        "kube-controller-manager" | "kube-scheduler"
            if switch(words(container), "leader-elect") != Some(false) =>
        {
            Role::Leader
        }
        _ => Role::Exclusive,
    }
}

/// The components of a control plane.
pub const PROGRAMS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// A container that runs a component of the control plane.
pub struct Component<'p> {
    /// Its index in the pod.
    pub index: usize,
    /// Which component.
    pub program: &'static str,
    /// The container.
    pub container: &'p Container,
}

/// The component of the control plane that a pod runs. What a shell's script does with its flags
/// cannot be known, so a shell runs none.
pub fn component(spec: &PodSpec) -> Option<Component<'_>> {
    spec.containers.iter().enumerate().find_map(|(index, container)| {
        let program = PROGRAMS.into_iter().find(|program| runs(words(container), program))?;
        Some(Component { index, program, container })
    })
}

/// The value of a flag in the command line of a container.
pub fn flag(container: &Container, name: &str) -> Option<String> {
    command::flag(words(container), name)
}

/// The command line of a container.
fn words(container: &Container) -> impl Iterator<Item = &str> {
    container.command.iter().chain(&container.args).flatten().map(String::as_str)
}

/// What the API says of a pod without an owner, or one that is its own. `pod` is the answer to
/// asking for it by name.
pub fn word_on_pod(pod: Option<&Pod>, node: &str) -> Api {
    match pod {
        Some(pod) if is_parent(pod, node) => Api::Here,
        Some(pod) if !is_leaving(pod) && node_of(pod).is_some_and(|other| other != node) => Api::Elsewhere,
        _ => Api::Gone,
    }
}

/// What the API says of a DaemonSet's pods: `pods` are those of this workload on every machine.
pub fn word_on_daemon_set<'p>(
    set: Option<&DaemonSet>,
    pods: impl IntoIterator<Item = &'p Pod>,
    node: &Node,
) -> Api {
    if pods.into_iter().any(|pod| is_parent(pod, &node.name_any())) {
        return Api::Here;
    }
    let template =
        set.filter(|set| set.metadata.deletion_timestamp.is_none()).and_then(|set| set.spec.as_ref());
    match template.and_then(|spec| asking(spec.template.metadata.as_ref(), spec.template.spec.as_ref())) {
        None => Api::Gone,
        Some(spec) if fits(spec, node) => Api::Wanted,
        Some(_) => Api::Elsewhere,
    }
}

/// What the API says of a Deployment's pods: `pods` are those of this workload on every machine,
/// assigned or not.
///
/// It is [`Api::Wanted`] only when no pod at all is assigned: then the controller manager that
/// would create one may be what is missing. Of several, the ones that are left replace a missing
/// one.
pub fn word_on_deployment<'p>(
    deployment: Option<&Deployment>,
    pods: impl IntoIterator<Item = &'p Pod, IntoIter: Clone>,
    node: &str,
) -> Api {
    let mut pods = pods.into_iter();
    if pods.clone().any(|pod| is_parent(pod, node)) {
        return Api::Here;
    }
    let alive =
        deployment.filter(|it| it.metadata.deletion_timestamp.is_none()).and_then(|it| it.spec.as_ref());
    let wants = alive
        .filter(|spec| spec.replicas != Some(0))
        .is_some_and(|spec| asking(spec.template.metadata.as_ref(), spec.template.spec.as_ref()).is_some());
    let assigned = |pod: &Pod| !is_copy(pod) && !is_leaving(pod) && node_of(pod).is_some();
    match wants {
        false => Api::Gone,
        true if pods.any(assigned) => Api::Elsewhere,
        true => Api::Wanted,
    }
}

/// The pod of a template that asks to be kept.
fn asking<'a>(metadata: Option<&ObjectMeta>, spec: Option<&'a PodSpec>) -> Option<&'a PodSpec> {
    let value = metadata?.annotations.as_ref()?.get(CHECKPOINT)?;
    spec.filter(|_| value == "true")
}

/// Whether a DaemonSet puts `spec` on `node`.
fn fits(spec: &PodSpec, node: &Node) -> bool {
    let labels = node.labels();
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    selected && chosen(spec, node) && taints.into_iter().all(|taint| tolerates(spec, taint))
}

fn chosen(spec: &PodSpec, node: &Node) -> bool {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|required| required.node_selector_terms.iter().any(|term| matches(term, node)))
}

fn matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let name = node.name_any();
    let labels = || term.match_expressions.iter().flatten();
    let fields = || term.match_fields.iter().flatten();
    let label =
        |rule: &NodeSelectorRequirement| holds(rule, node.labels().get(&rule.key).map(String::as_str));
    (labels().next().is_some() || fields().next().is_some())
        && labels().all(label)
        && fields().all(|rule| holds(rule, Some(&name)))
}

fn holds(rule: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let listed = || value.is_some_and(|value| rule.values.iter().flatten().any(|one| one == value));
    let compared = || {
        let bound: i64 = rule.values.as_ref()?.first()?.parse().ok()?;
        Some(value?.parse::<i64>().ok()?.cmp(&bound))
    };
    match rule.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(std::cmp::Ordering::is_gt),
        "Lt" => compared().is_some_and(std::cmp::Ordering::is_lt),
        _ => false,
    }
}

/// Whether a taint keeps the pods of a DaemonSet away. Those that Kubernetes puts on a node in
/// trouble never do: its controller gives the pods tolerations for them.
fn tolerates(spec: &PodSpec, taint: &Taint) -> bool {
    let harmless = taint.effect == "PreferNoSchedule" || taint.key.starts_with("node.kubernetes.io/");
    harmless || spec.tolerations.iter().flatten().any(|toleration| covers(toleration, taint))
}

fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    let Toleration { key, operator, value, effect, toleration_seconds: _ } = toleration;
    let empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
    let effects = empty(effect) || effect.as_deref() == Some(taint.effect.as_str());
    let exists = operator.as_deref() == Some("Exists");
    let keys = (empty(key) && exists) || key.as_deref() == Some(taint.key.as_str());
    let values = exists || value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    effects && keys && values
}

/// When an object was last written, by the apiserver's clock.
pub fn last_change(metadata: &ObjectMeta) -> Option<&Time> {
    let written = metadata.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref());
    written.chain(&metadata.creation_timestamp).max()
}

/// Whether every container of `pod` started after `change`, so that it runs with what the copy
/// would hold. Files that are put under a running process prove nothing: it may not have read them.
pub fn started_after(pod: &Pod, change: Option<&Time>) -> bool {
    let Some(status) = &pod.status else { return false };
    let statuses: Vec<&ContainerStatus> = status.container_statuses.iter().flatten().collect();
    let wanted = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    statuses.len() == wanted
        && statuses.iter().all(|container| started(container).is_some_and(|at| Some(at) >= change))
}

fn started(status: &ContainerStatus) -> Option<&Time> {
    status.state.as_ref()?.running.as_ref()?.started_at.as_ref()
}
