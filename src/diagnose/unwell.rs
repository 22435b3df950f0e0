//! Pods of what `start` has applied that are not well, and why. No phase waits for them, so they are
//! looked at once, when the cluster runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::ListParams;
use kube::core::{ApiResource, DynamicObject, ObjectMeta};
use kube::{Api, Client, ResourceExt as _};
use time::OffsetDateTime;

use super::blocker::Blocker;
use super::evidence::{Cluster, Unready};
use super::subject::Workload;
use super::underway::Underway;
use super::{observe_api, pods, trouble};
use crate::cluster::objects::Objects;
use crate::cluster::pods::is_ready_pod;
use crate::cluster::raw;
use crate::cluster::retry::within;
use crate::{FIELD_MANAGER, NAMESPACE};

/// Kinds that make pods: group, version, kind and plural.
const KINDS: [(&str, &str, &str, &str); 4] = [
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("batch", "v1", "Job", "jobs"),
];
const NAMESPACES: (&str, &str, &str, &str) = ("", "v1", "Namespace", "namespaces");
const PODS: (&str, &str, &str, &str) = ("", "v1", "Pod", "pods");
/// By this label a Deployment tells the pods of its templates apart.
const TEMPLATE: &str = "pod-template-hash";
/// Logs are fetched of so many pods at most.
const LOGS: usize = 8;
/// A pod that is not Ready for this long, without a cause that is seen, no longer only starts.
const STARTING: time::Duration = time::Duration::minutes(1);

/// Something that `start` has applied and that makes pods, or is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    kind: &'static str,
    namespace: String,
    name: String,
}

/// A pod that is not Ready, or a workload of which no pod can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwell {
    /// `Kind namespace/name` of what was applied.
    pub workload: String,
    /// Name of the pod; empty if there is none.
    pub pod: String,
    /// Its node; empty if it has none.
    pub node: String,
    /// Why it is not Ready; `None` while it may only be starting.
    pub cause: Option<Blocker>,
}

/// Looks once. Each answer may take `patience`.
///
/// # Errors
/// Why the cluster cannot be looked at.
pub async fn unwell(client: &Client, patience: Duration) -> Result<Vec<Unwell>, String> {
    let nodes = Objects::<Node>::all(client);
    let all = ListParams::default();
    let (now, nodes, applied) =
        futures::join!(raw::clock(client), within(patience, nodes.list(&all)), applied(client, patience));
    let (mut applied, namespaces) = applied?;
    let nowhere = Cluster::at(now.ok_or("its answers have no date")?);
    let empty = Cluster { unready: Unready::among(&nodes?), ..nowhere };
    let seen = namespaces.iter().map(|namespace| of_namespace(client, namespace, &empty, patience));
    let mut seen = try_join_all(seen).await?;
    for cluster in &mut seen {
        applied.extend(single_pods(client, &cluster.pods, patience).await?);
        add_last_lines(client, &applied, cluster).await;
    }
    Ok(decide(&applied, &seen))
}

/// Every workload that was applied, and the namespaces that may hold pods of it.
async fn applied(
    client: &Client,
    patience: Duration,
) -> Result<(BTreeSet<Applied>, BTreeSet<String>), String> {
    let of_kind = async |kind| Ok::<_, String>((kind, ours(client, kind, patience).await?));
    let kinds = KINDS.into_iter().chain([NAMESPACES]).map(of_kind);
    let mut applied = BTreeSet::new();
    let mut namespaces = BTreeSet::from([NAMESPACE.to_owned(), "default".to_owned()]);
    for ((_, _, kind, _), objects) in try_join_all(kinds).await? {
        for metadata in objects {
            let name = metadata.name.unwrap_or_default();
            match metadata.namespace {
                Some(namespace) => {
                    namespaces.insert(namespace.clone());
                    applied.insert(Applied { kind, namespace, name });
                }
                None => drop(namespaces.insert(name)),
            }
        }
    }
    Ok((applied, namespaces))
}

fn resource((group, version, kind, plural): (&str, &str, &str, &str)) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// The objects of a kind that `start` has applied.
async fn ours(
    client: &Client,
    kind: (&str, &str, &str, &str),
    patience: Duration,
) -> Result<Vec<ObjectMeta>, String> {
    let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
    let found = within(patience, objects.list_metadata(&ListParams::default())).await?;
    Ok(found.items.into_iter().map(|object| object.metadata).filter(is_ours).collect())
}

fn is_ours(metadata: &ObjectMeta) -> bool {
    let managers = metadata.managed_fields.iter().flatten();
    managers.into_iter().any(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER))
}

/// The pods and the warnings of one namespace: the names of pods are told apart only within one.
async fn of_namespace(
    client: &Client,
    namespace: &str,
    empty: &Cluster,
    patience: Duration,
) -> Result<Cluster, String> {
    let (all, warnings) = (ListParams::default(), ListParams::default().fields("type=Warning"));
    let (pods, events) = (Objects::namespaced(client, namespace), Objects::namespaced(client, namespace));
    let (pods, events) =
        futures::try_join!(within(patience, pods.list(&all)), within(patience, events.list(&warnings)))?;
    Ok(Cluster { pods, events, ..empty.clone() })
}

/// Pods that no controller made, and that `start` has applied.
async fn single_pods(client: &Client, pods: &[Pod], patience: Duration) -> Result<Vec<Applied>, String> {
    let single = pods.iter().filter(|pod| pods::is_to_come_up(pod) && owner(pod).is_none());
    let asked = single.map(async |pod| {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let pods: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource(PODS));
        let found = within(patience, pods.get_metadata_opt(&name)).await?;
        let is_ours = found.is_some_and(|found| is_ours(&found.metadata));
        Ok::<_, String>(is_ours.then_some(Applied { kind: "Pod", namespace, name }))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

async fn add_last_lines(client: &Client, applied: &BTreeSet<Applied>, cluster: &mut Cluster) {
    let unready = cluster.pods.iter().filter(|pod| workload(pod, applied).is_some());
    let crashed = unready
        .filter(|pod| pods::is_to_come_up(pod))
        .flat_map(|pod| pods::crashed(pod).into_iter().map(move |crashed| (pod, crashed.container)));
    let fetched = crashed.take(LOGS).map(async |(pod, container)| {
        let lines = observe_api::last_lines(client, pod, &container).await?;
        Some(((pod.name_any(), container), lines))
    });
    let fetched = join_all(fetched).await;
    cluster.lines.extend(fetched.into_iter().flatten());
}

/// What is not well of what was applied, by name. `seen` is one namespace each.
fn decide(applied: &BTreeSet<Applied>, seen: &[Cluster]) -> Vec<Unwell> {
    let mut found: Vec<(&Applied, Unwell)> =
        seen.iter().flat_map(|cluster| unready(applied, cluster)).collect();
    for workload in applied {
        if found.iter().all(|(of, _)| *of != workload) {
            let refused = seen.iter().find_map(|cluster| refusal(workload, applied, cluster));
            found.extend(refused.map(|cause| (workload, Unwell::of(workload, Some(cause)))));
        }
    }
    found.sort_by_key(|(of, _)| *of);
    found.into_iter().map(|(_, unwell)| unwell).collect()
}

/// Pods that are still to become Ready.
fn unready<'a>(applied: &'a BTreeSet<Applied>, cluster: &Cluster) -> Vec<(&'a Applied, Unwell)> {
    let underway = Underway::default();
    let unready = cluster.pods.iter().filter(|pod| pods::is_to_come_up(pod)).filter_map(|pod| {
        let of = workload(pod, applied)?;
        let cause = pods::cause(pod, cluster, &underway).or_else(|| late(pod, cluster.now));
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        Some((of, Unwell { pod: pod.name_any(), node, ..Unwell::of(of, cause) }))
    });
    unready.collect()
}

/// The workload of a pod, if it was applied.
fn workload<'a>(pod: &Pod, applied: &'a BTreeSet<Applied>) -> Option<&'a Applied> {
    let namespace = pod.namespace().unwrap_or_default();
    let (kind, name) = owner(pod).unwrap_or_else(|| ("Pod".to_owned(), pod.name_any()));
    applied.iter().find(|it| it.kind == kind && it.namespace == namespace && it.name == name)
}

/// Kind and name of what made a pod: a Deployment makes its ReplicaSets itself.
fn owner(pod: &Pod) -> Option<(String, String)> {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    let suffix = pod.labels().get(TEMPLATE).map(|hash| format!("-{hash}"));
    let deployment = suffix.and_then(|suffix| owner.name.strip_suffix(&suffix).map(str::to_owned));
    match deployment {
        Some(name) if owner.kind == "ReplicaSet" => Some(("Deployment".to_owned(), name)),
        _ => Some((owner.kind.clone(), owner.name.clone())),
    }
}

/// That a pod is not Ready although it is older than pods need to start, by their manifest.
fn late(pod: &Pod, now: OffsetDateTime) -> Option<Blocker> {
    let age = trouble::age(&pod.metadata, now)?;
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    (age > STARTING.max(pods::longest_allowance(pod))).then(|| {
        Blocker::new(
            format!("pod {name} is not Ready"),
            is_ready_pod(pod).err().unwrap_or_default(),
            format!("its events say more: kubectl -n {namespace} describe pod {name}"),
        )
    })
}

/// Why no pod of a workload can be made. An event belongs to the workload with the longest name that
/// the name of its object begins with.
fn refusal(workload: &Applied, applied: &BTreeSet<Applied>, cluster: &Cluster) -> Option<Blocker> {
    let is_its = |event: &&Event| {
        let about = event.involved_object.name.as_deref().unwrap_or_default();
        let namespace = event.namespace();
        let may_be = |it: &&Applied| namespace.as_ref() == Some(&it.namespace) && about.starts_with(&it.name);
        applied.iter().filter(may_be).max_by_key(|it| it.name.len()) == Some(workload)
    };
    let events = cluster.events.iter().filter(is_its).cloned().collect();
    let own = Cluster { events, ..Cluster::at(cluster.now) };
    let Applied { kind: _, namespace, name } = workload.clone();
    // A pod that was made after the last refusal ends it.
    let silence = trouble::Trouble::among(&name, &["FailedCreate"], &own)?.silence();
    let made = cluster.pods.iter().filter(|pod| self::workload(pod, applied) == Some(workload));
    if made.filter_map(|pod| trouble::age(&pod.metadata, cluster.now)).any(|age| age <= silence) {
        return None;
    }
    pods::refused(&Workload { namespace, name }, &own, &Underway::default())
}

impl Unwell {
    /// Without a pod.
    fn of(workload: &Applied, cause: Option<Blocker>) -> Self {
        let Applied { kind, namespace, name } = workload;
        let workload = format!("{kind} {namespace}/{name}");
        Self { workload, pod: String::new(), node: String::new(), cause }
    }
}

/// A sentence for each workload with a pod that is not well.
pub fn sentences(unwell: &[Unwell]) -> Vec<String> {
    let mut by_workload: BTreeMap<&str, Vec<&Blocker>> = BTreeMap::new();
    for Unwell { workload, cause, .. } in unwell {
        by_workload.entry(workload).or_default().extend(cause);
    }
    by_workload.into_iter().filter_map(|(workload, causes)| sentence(workload, &causes)).collect()
}

fn sentence(workload: &str, causes: &[&Blocker]) -> Option<String> {
    let (Blocker { what, why, cure }, more) = causes.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        1 => ", and another pod of it".to_owned(),
        count => format!(", and {count} more pods of it"),
    };
    Some(format!("{workload} is not well{more}: {what} ({why}): {cure}"))
}

/// The pods that may only be starting, in a line.
pub fn starting(unwell: &[Unwell]) -> Option<String> {
    let names: Vec<&str> = unwell.iter().filter(|it| it.cause.is_none()).map(|it| it.pod.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
#[path = "unwell_tests.rs"]
mod tests;
