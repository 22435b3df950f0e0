//! What keeps the required pods of a cluster from being Ready, by what the API reports. Pure.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::ResourceExt as _;
use time::{Duration, OffsetDateTime};

use super::blocker::Blocker;
use super::containers::{exits, quote, sandbox_cure};
use super::evidence::Cluster;
use super::subject::Workload;
use crate::cluster::pods::{condition, is_mirror, is_ready_pod};
use crate::host::log;

/// What the scheduler writes if labels are missing.
const SELECTOR: &str = "didn't match Pod's node affinity/selector";
/// Reasons of a waiting container that concern its image.
const OF_IMAGES: [&str; 5] =
    ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"];
/// Reasons of a waiting container that kubelet cannot create.
const OF_CONFIG: [&str; 4] =
    ["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"];
/// Events that say why a pod has no container yet.
const OF_START: [&str; 3] = ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"];
/// A program may need this long to start, so its probe may fail.
const STARTING: Duration = Duration::seconds(30);
/// Older events do not count.
const RECENT: Duration = Duration::minutes(1);

/// The first thing that is in the way of the required workloads, in their order.
pub fn blocker(cluster: &Cluster, now: OffsetDateTime) -> Option<Blocker> {
    cluster.required.iter().find_map(|workload| of_workload(workload, cluster, now))
}

fn of_workload(workload: &Workload, cluster: &Cluster, now: OffsetDateTime) -> Option<Blocker> {
    let is_it = |namespace: Option<String>, name: &str| {
        namespace.as_ref() == Some(&workload.namespace) && name.starts_with(&workload.name)
    };
    let sets = cluster.daemon_sets.iter().filter(|set| is_it(set.namespace(), &set.name_any()));
    let pods = || {
        let pods =
            cluster.pods.iter().filter(|pod| is_it(pod.namespace(), &pod.name_any()) && !is_mirror(pod));
        pods.filter(|pod| pod.metadata.deletion_timestamp.is_none() && is_ready_pod(pod).is_err())
    };
    let mut sets = sets.filter_map(no_node);
    sets.next()
        .or_else(|| pods().find_map(|pod| pod_blocker(pod, cluster, now)))
        .or_else(|| refused(workload, cluster, now))
}

/// A DaemonSet for which no node qualifies.
fn no_node(set: &DaemonSet) -> Option<Blocker> {
    let status = set.status.as_ref()?;
    let is_seen = status.observed_generation >= set.metadata.generation;
    let spec = set.spec.as_ref()?.template.spec.as_ref()?;
    (is_seen && status.desired_number_scheduled == 0).then(|| {
        let selector = labels(spec.node_selector.iter().flatten());
        unlabelled(&format!("DaemonSet {}", set.name_any()), &selector, "its controller finds no node for it")
    })
}

fn unlabelled(who: &str, selector: &str, said: &str) -> Blocker {
    Blocker::new(
        format!("no node has the labels that {who} asks for"),
        format!("it asks for {selector}; {said}"),
        "label this machine's node (kubectl label node NODE KEY=VALUE), or correct nodeSelector in its manifest",
    )
}

fn labels<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    if pairs.is_empty() { "certain nodes by affinity".to_owned() } else { pairs.join(", ") }
}

fn pod_blocker(pod: &Pod, cluster: &Cluster, now: OffsetDateTime) -> Option<Blocker> {
    let is_placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if !is_placed {
        return unscheduled(pod);
    }
    let crash = || crashed(pod).into_iter().next().map(|crashed| crash(pod, crashed, cluster));
    let waits = || statuses(pod).find_map(|status| waits(pod, status));
    crash().or_else(waits).or_else(|| not_started(pod, cluster, now)).or_else(|| unwell(pod, cluster, now))
}

fn unscheduled(pod: &Pod) -> Option<Blocker> {
    let refused = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "False")?;
    let said = refused.message.as_deref()?;
    let name = pod.name_any();
    if said.contains(SELECTOR) {
        let selector = pod.spec.iter().flat_map(|spec| spec.node_selector.iter().flatten());
        return Some(unlabelled(&format!("pod {name}"), &labels(selector), said));
    }
    Some(Blocker::new(
        format!("no node takes pod {name}"),
        format!("the scheduler says: {said}"),
        "make room on a node or take its taint away, or let the pod ask for less in its manifest",
    ))
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// A container that does not stay up.
pub struct Crashed {
    /// Its name.
    pub container: String,
    exit_code: i32,
    restarts: i32,
    message: Option<String>,
}

/// Containers of `pod` that ended badly and do not run now.
pub fn crashed(pod: &Pod) -> Vec<Crashed> {
    let of = |status: &ContainerStatus| {
        let state = status.state.as_ref()?;
        let last = || status.last_state.as_ref()?.terminated.as_ref();
        let ended = state.terminated.as_ref().or_else(|| state.waiting.as_ref().and_then(|_| last()))?;
        (ended.exit_code != 0).then(|| Crashed {
            container: status.name.clone(),
            exit_code: ended.exit_code,
            restarts: status.restart_count,
            message: ended.message.clone(),
        })
    };
    statuses(pod).filter_map(of).collect()
}

fn crash(pod: &Pod, crashed: Crashed, cluster: &Cluster) -> Blocker {
    let Crashed { container, exit_code, restarts, message } = crashed;
    let name = pod.name_any();
    let seen = cluster.lines.get(&(name.clone(), container.clone())).cloned();
    let lines = seen.unwrap_or_else(|| log::telling(message.iter().flat_map(|message| message.lines())));
    let namespace = pod.namespace().unwrap_or_default();
    let whole = format!("; the whole log: kubectl -n {namespace} logs {name} -c {container} --previous");
    let how = format!("it exited with {exit_code} and was started again {restarts} times");
    exits(&name, &container, &how, &quote(&lines), &whole)
}

fn waits(pod: &Pod, status: &ContainerStatus) -> Option<Blocker> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let said = waiting.message.clone().unwrap_or_else(|| reason.to_owned());
    let (name, container) = (pod.name_any(), &status.name);
    if OF_IMAGES.contains(&reason) {
        return Some(Blocker::new(
            format!("image {} is not on this machine", status.image),
            format!("container {container} of {name} needs it, and kubelet says {reason}: {said}"),
            "import it (ctr -n k8s.io images import), let the machine reach its registry, or correct its name in the manifest",
        ));
    }
    OF_CONFIG.contains(&reason).then(|| {
        Blocker::new(
            format!("container {container} of {name} cannot be created"),
            format!("kubelet says {reason}: {said}"),
            "create what it names, such as a Secret, or correct the manifest",
        )
    })
}

fn not_started(pod: &Pod, cluster: &Cluster, now: OffsetDateTime) -> Option<Blocker> {
    let event = last_event(&pod.name_any(), &OF_START, cluster, now)?;
    let said = event.message.clone().unwrap_or_default();
    if let Some(image) = sandbox_image(&said) {
        return Some(Blocker::new(
            format!("image {image} is not on the machine of pod {}", pod.name_any()),
            format!("the container runtime makes the sandbox of every pod from it; kubelet says {said}"),
            sandbox_cure(image),
        ));
    }
    let cure = match said.to_ascii_lowercase().contains("cni") {
        true => "add a pod network to manifests/, or find out why the present one does not come up",
        false => "create what it names, or correct the volumes in its manifest",
    };
    let reason = event.reason.clone().unwrap_or_default();
    Some(Blocker::new(
        format!("pod {} cannot be started", pod.name_any()),
        format!("kubelet says {reason}: {said}"),
        cure,
    ))
}

/// The image of sandboxes, in containerd's words that it cannot be got.
fn sandbox_image(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("failed to get sandbox image ")?;
    let image = rest.trim_start_matches(['\\', '"']);
    image.split(['\\', '"']).next().filter(|image| !image.is_empty())
}

/// A container that runs, but whose probe fails for longer than programs take to start.
fn unwell(pod: &Pod, cluster: &Cluster, now: OffsetDateTime) -> Option<Blocker> {
    let is_old = |status: &&ContainerStatus| {
        let running = status.state.as_ref().and_then(|state| state.running.as_ref());
        let since = running.and_then(|running| moment(running.started_at.as_ref()?));
        !status.ready && since.is_some_and(|since| now - since > STARTING)
    };
    let status = statuses(pod).find(is_old)?;
    let event = last_event(&pod.name_any(), &["Unhealthy"], cluster, now)?;
    Some(Blocker::new(
        format!("container {} of {} runs, but its probe fails", status.name, pod.name_any()),
        event.message.clone().unwrap_or_default(),
        format!(
            "look into its log: kubectl -n {} logs {}",
            pod.namespace().unwrap_or_default(),
            pod.name_any()
        ),
    ))
}

/// Pods that their controller is not allowed to create.
fn refused(workload: &Workload, cluster: &Cluster, now: OffsetDateTime) -> Option<Blocker> {
    let event = last_event(&workload.name, &["FailedCreate"], cluster, now)?;
    Some(Blocker::new(
        format!("no pod of {}/{} can be created", workload.namespace, workload.name),
        event.message.clone().unwrap_or_default(),
        "correct its manifest, or the policy or quota that refuses it",
    ))
}

/// The newest recent event about objects whose name begins with `name`.
fn last_event<'a>(
    name: &str,
    reasons: &[&str],
    cluster: &'a Cluster,
    now: OffsetDateTime,
) -> Option<&'a Event> {
    let is_it = |event: &&Event| {
        let about = event.involved_object.name.as_deref().unwrap_or_default();
        let reason = event.reason.as_deref().unwrap_or_default();
        about.starts_with(name) && reasons.contains(&reason)
    };
    let dated = cluster.events.iter().filter(is_it).filter_map(|event| Some((last_seen(event)?, event)));
    let recent = dated.filter(|(at, _)| now - *at < RECENT);
    recent.max_by_key(|(at, _)| *at).map(|(_, event)| event)
}

/// When an event was last reported.
fn last_seen(event: &Event) -> Option<OffsetDateTime> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let second = series.or(event.event_time.as_ref()).map(|time| time.0.as_second());
    let second = event.last_timestamp.as_ref().map(|time| time.0.as_second()).or(second)?;
    OffsetDateTime::from_unix_timestamp(second).ok()
}

/// A timestamp of the API.
pub fn moment(time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time.0.as_second()).ok()
}
