//! What keeps the required pods of a cluster from being Ready, by what the API reports. Pure.
//!
//! While a cluster starts, components report much that passes by itself. Such a report counts only
//! if it lasts, and not at all if the command is about to apply what is missing.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, Probe};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use time::{Duration, OffsetDateTime};

use super::blocker::Blocker;
use super::containers::{ended, exits, quote, sandbox_cure};
use super::evidence::Cluster;
use super::subject::Workload;
use super::trouble::{self, LASTING, Trouble, age};
use super::underway::Underway;
use super::unscheduled;
use crate::cluster::pods::{condition, is_mirror, is_ready_pod};
use crate::host::log;

/// Reasons of a waiting container that concern its image.
const OF_IMAGES: [&str; 5] =
    ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"];
/// Those of them that no further attempt changes.
const FOR_GOOD: [&str; 2] = ["ErrImageNeverPull", "InvalidImageName"];
/// Reasons of a waiting container that kubelet cannot create.
const OF_CONFIG: [&str; 4] =
    ["CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError"];
/// Reasons of a container that waits for its pod.
const OF_PODS: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// Events that say why a pod has no container yet.
const OF_START: [&str; 4] =
    ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady"];
/// Those of them that concern volumes.
const OF_VOLUMES: [&str; 2] = ["FailedMount", "FailedAttachVolume"];
/// What kubelet says of an image that cannot be pulled, and what ends that.
const PULLS: [(&[&str], &str); 3] = [
    (
        &["unauthorized", "authorization failed", "access denied", "403 Forbidden"],
        "let kubelet log in to its registry (imagePullSecrets), or correct its name in the manifest",
    ),
    (&["not found", "manifest unknown"], "push it to its registry, or correct its name in the manifest"),
    (&["x509", "tls:"], "let the container runtime trust its registry (/etc/containerd/certs.d)"),
];
/// A program may need this long to start, so its probe may fail.
const STARTING: Duration = Duration::seconds(30);
/// A node needs this long to become Ready after it registered, and so do the pods of its network.
const SETTLING: Duration = Duration::seconds(20);
/// Older reports of probes do not count.
const RECENT: Duration = Duration::minutes(1);

/// The first thing that is in the way of the required workloads, in their order.
pub fn blocker(cluster: &Cluster, underway: &Underway) -> Option<Blocker> {
    let look = Look { cluster, underway };
    cluster.required.iter().find_map(|workload| look.of_workload(workload))
}

/// What is in the way of one pod.
pub fn cause(pod: &Pod, cluster: &Cluster, underway: &Underway) -> Option<Blocker> {
    Look { cluster, underway }.of_pod(pod)
}

/// Why no pod of a workload can be made.
pub fn refused(workload: &Workload, cluster: &Cluster, underway: &Underway) -> Option<Blocker> {
    Look { cluster, underway }.refused(workload)
}

/// What is decided on.
struct Look<'a> {
    cluster: &'a Cluster,
    underway: &'a Underway,
}

impl Look<'_> {
    fn of_workload(&self, workload: &Workload) -> Option<Blocker> {
        let is_it = |namespace: Option<String>, name: &str| {
            namespace.as_ref() == Some(&workload.namespace) && name.starts_with(&workload.name)
        };
        let sets = self.cluster.daemon_sets.iter().filter(|set| is_it(set.namespace(), &set.name_any()));
        let pods = self.cluster.pods.iter().filter(|pod| is_it(pod.namespace(), &pod.name_any()));
        let mut unready = pods.filter(|pod| is_to_come_up(pod));
        sets.filter(|set| !self.underway.marks_node && self.is_old(&set.metadata, LASTING))
            .find_map(unscheduled::no_node)
            .or_else(|| unready.find_map(|pod| self.of_pod(pod)))
            .or_else(|| self.refused(workload))
    }

    /// Whether an object has existed for at least so long.
    fn is_old(&self, metadata: &ObjectMeta, least: Duration) -> bool {
        age(metadata, self.cluster.now).is_none_or(|age| age >= least)
    }

    fn of_pod(&self, pod: &Pod) -> Option<Blocker> {
        let is_placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        if !is_placed {
            return self.unscheduled(pod);
        }
        let crash = || Some(crash(pod, crashed(pod).into_iter().find(Crashed::is_repeated)?, self.cluster));
        let waits = || statuses(pod).find_map(|status| self.waits(pod, status));
        crash().or_else(waits).or_else(|| self.not_started(pod)).or_else(|| self.unwell(pod))
    }

    /// Until this machine's node has its labels, the scheduler cannot know where the pod may run.
    fn unscheduled(&self, pod: &Pod) -> Option<Blocker> {
        let refused = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "False")?;
        let said = refused.message.as_deref()?;
        let least =
            if unscheduled::is_for_a_ready_node(said, &self.cluster.unready) { SETTLING } else { LASTING };
        let is_late = !self.underway.marks_node && self.is_old(&pod.metadata, least);
        is_late.then(|| unscheduled::blocker(pod, said, &self.cluster.unready))
    }

    fn waits(&self, pod: &Pod, status: &ContainerStatus) -> Option<Blocker> {
        let waiting = status.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        let said = waiting.message.clone().unwrap_or_else(|| reason.to_owned());
        let (name, container) = (pod.name_any(), &status.name);
        if !FOR_GOOD.contains(&reason) && !self.lasts(pod, &said) {
            return None;
        }
        if OF_IMAGES.contains(&reason) {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
            return Some(Blocker::new(
                format!("image {} is not on node {node}", status.image),
                format!("container {container} of {name} needs it, and kubelet says {reason}: {said}"),
                image_cure(reason, &said),
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

    /// Whether what kubelet says of a container has lasted, and the command does not mend it.
    fn lasts(&self, pod: &Pod, said: &str) -> bool {
        let failed = Trouble::about(&pod.name_any(), &["Failed"], self.cluster);
        let has_lasted =
            failed.map_or_else(|| self.is_old(&pod.metadata, LASTING), |failed| failed.has_lasted());
        has_lasted && !self.is_brought(pod.namespace(), said)
    }

    fn is_brought(&self, namespace: Option<String>, said: &str) -> bool {
        self.underway.brings_what_is_named(&namespace.unwrap_or_default(), said)
    }

    /// A pod for which kubelet has not created any container yet.
    fn not_started(&self, pod: &Pod) -> Option<Blocker> {
        let trouble = Trouble::about(&pod.name_any(), &OF_START, self.cluster)?;
        let said = trouble.said();
        if !is_being_created(pod) || !trouble.goes_on() || self.is_brought(pod.namespace(), &said) {
            return None;
        }
        if let Some(image) = sandbox_image(&said) {
            return Some(Blocker::new(
                format!("image {image} is not on the machine of pod {}", pod.name_any()),
                format!("the container runtime makes the sandbox of every pod from it; kubelet says {said}"),
                sandbox_cure(image),
            ));
        }
        let reason = trouble.event.reason.clone().unwrap_or_default();
        let of_network = || ["cni", "network"].iter().any(|word| said.to_ascii_lowercase().contains(word));
        let blocker = |cure: String| {
            let what = format!("pod {} cannot be started", pod.name_any());
            Blocker::new(what, format!("kubelet says {reason}: {said}"), cure)
        };
        if OF_VOLUMES.contains(&&*reason) {
            return Some(blocker("create what it names, or correct the volumes in its manifest".into()));
        }
        match (of_network(), self.underway.network()) {
            (false, _) => Some(blocker(
                "correct what it names; the log of the container runtime on its node says more (journalctl -u containerd)"
                    .into(),
            )),
            (true, None) => Some(blocker(
                "add a pod network to manifests/, or find out why the present one does not come up".into(),
            )),
            (true, Some(network)) => self.is_old(&pod.metadata, SETTLING).then(|| {
                blocker(format!("see why the pods of {network} do not come up, which bring the pod network"))
            }),
        }
    }

    /// A container that runs, but whose probe fails for longer than programs take to start. Kubelet
    /// dates the start and the failure, so these times can be compared.
    fn unwell(&self, pod: &Pod) -> Option<Blocker> {
        let trouble = Trouble::about(&pod.name_any(), &["Unhealthy"], self.cluster)?;
        let failed = trouble::last(trouble.event).filter(|_| trouble.silence() < RECENT)?;
        let status = statuses(pod).find(|status| is_late(pod, status, failed))?;
        Some(Blocker::new(
            format!("container {} of {} runs, but its probe fails", status.name, pod.name_any()),
            trouble.said(),
            format!(
                "its log may say why (kubectl -n {} logs {}); if the program works, correct the probe in its manifest",
                pod.namespace().unwrap_or_default(),
                pod.name_any()
            ),
        ))
    }

    /// Pods that their controller is not allowed to create.
    fn refused(&self, workload: &Workload) -> Option<Blocker> {
        let trouble = Trouble::among(&workload.name, &["FailedCreate"], self.cluster)?;
        let said = trouble.said();
        if !trouble.goes_on() || self.is_brought(Some(workload.namespace.clone()), &said) {
            return None;
        }
        Some(Blocker::new(
            format!("no pod of {}/{} can be created", workload.namespace, workload.name),
            said,
            "correct its manifest, or the policy or quota that refuses it",
        ))
    }
}

/// Whether `pod` is still to become Ready. A pod that has ended stays so; its controller makes
/// another one, for example after the shutdown of its machine.
pub fn is_to_come_up(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let has_ended = ["Failed", "Succeeded"].contains(&phase) || pod.metadata.deletion_timestamp.is_some();
    !has_ended && !is_mirror(pod) && is_ready_pod(pod).is_err()
}

/// What makes an image available, by what keeps it away.
fn image_cure(reason: &str, said: &str) -> String {
    const IMPORT: &str = "import it there (ctr -n k8s.io images import)";
    match reason {
        "InvalidImageName" => "correct its name in the manifest".to_owned(),
        "ErrImageNeverPull" => format!("{IMPORT}, or take imagePullPolicy: Never away"),
        _ => {
            let known = PULLS.iter().find(|(words, _)| words.iter().any(|word| said.contains(word)));
            let cure = known.map_or("let the node reach its registry", |(_, cure)| cure);
            format!("{IMPORT}; or {cure}")
        }
    }
}

/// Whether kubelet has not created any container of `pod` yet.
fn is_being_created(pod: &Pod) -> bool {
    statuses(pod).all(|status| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.is_some_and(|waiting| OF_PODS.contains(&waiting.reason.as_deref().unwrap_or_default()))
    })
}

/// The image of sandboxes, in containerd's words that it cannot be got.
fn sandbox_image(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("failed to get sandbox image ")?;
    let image = rest.trim_start_matches(['\\', '"']);
    image.split(['\\', '"']).next().filter(|image| !image.is_empty())
}

/// Whether the probe of a container still `failed` when the program had had its time to start.
fn is_late(pod: &Pod, status: &ContainerStatus, failed: OffsetDateTime) -> bool {
    let running = status.state.as_ref().and_then(|state| state.running.as_ref());
    let started = running.and_then(|running| trouble::moment(running.started_at.as_ref()?));
    !status.ready && started.is_some_and(|started| failed - started > allowance(pod, &status.name))
}

/// How long the manifest lets the slowest of a pod's programs start.
pub fn longest_allowance(pod: &Pod) -> Duration {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(|container| allowance(pod, &container.name)).max().unwrap_or(Duration::ZERO)
}

/// How long the manifest lets the program of a container start.
fn allowance(pod: &Pod, container: &str) -> Duration {
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let container = containers.find(|own| own.name == container);
    let of = |probe: fn(&Container) -> Option<&Probe>, time: fn(&Probe) -> i32| {
        Duration::seconds(container.and_then(probe).map_or(0, time).into())
    };
    let delay = |probe: &Probe| probe.initial_delay_seconds.unwrap_or(0);
    let startup = of(
        |own| own.startup_probe.as_ref(),
        |probe| probe.failure_threshold.unwrap_or(3) * probe.period_seconds.unwrap_or(10),
    );
    STARTING.max(startup + of(|own| own.startup_probe.as_ref(), delay))
        + of(|own| own.readiness_probe.as_ref(), delay)
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
    reason: Option<String>,
    restarts: i32,
    message: Option<String>,
}

impl Crashed {
    /// Whether it ended more than once: the first time may have been for want of something that was
    /// only starting.
    fn is_repeated(&self) -> bool {
        self.restarts > 0
    }
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
            reason: ended.reason.clone(),
            restarts: status.restart_count,
            message: ended.message.clone(),
        })
    };
    statuses(pod).filter_map(of).collect()
}

fn crash(pod: &Pod, crashed: Crashed, cluster: &Cluster) -> Blocker {
    let Crashed { container, exit_code, reason, restarts, message } = crashed;
    let name = pod.name_any();
    let seen = cluster.lines.get(&(name.clone(), container.clone())).cloned();
    let lines = seen.unwrap_or_else(|| log::telling(message.iter().flat_map(|message| message.lines())));
    let namespace = pod.namespace().unwrap_or_default();
    let whole = format!("; the whole log: kubectl -n {namespace} logs {name} -c {container} --previous");
    let how = format!(
        "it exited with {}, and was started again {restarts} times",
        ended(exit_code, reason.as_deref())
    );
    exits(&name, &container, &how, &quote(&lines), &whole)
}
