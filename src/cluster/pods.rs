//! Pods: is this one ready, and if not, why not.
//!
//! The answer names what a user can act on: the label or taint that keeps it off every node, the
//! image that cannot be pulled, the message of a container that exited. A mirror pod is kubelet's
//! report of a static pod, and never evidence for a workload.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

/// The annotation that kubelet gives to the mirror of a static pod.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Whether `pod` mirrors a static pod.
pub fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR))
}

/// Whether the object with `uid` owns `pod`.
pub fn is_pod_of(uid: &str, pod: &Pod) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    !is_mirror(pod) && owners.any(|owner| owner.uid == uid)
}

/// Whether `pod` is Ready and not terminating; if not, why.
pub fn is_ready_pod(pod: &Pod) -> Result<(), String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Err("is terminating".into());
    }
    match condition(pod, "Ready") {
        Some(ready) if ready.status == "True" => Ok(()),
        _ => Err(why_not(pod)),
    }
}

/// Whether `pod` is running and not terminating, ready or not; if not, why.
pub fn is_started_pod(pod: &Pod) -> Result<(), String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Err("is terminating".into());
    }
    match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
        Some("Running") => Ok(()),
        _ => Err(why_not(pod)),
    }
}

fn why_not(pod: &Pod) -> String {
    if let Some(reason) = unscheduled(pod) {
        return reason;
    }
    let status = pod.status.as_ref();
    let init = status.iter().flat_map(|s| s.init_container_statuses.iter().flatten());
    let main = status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let container = init.filter_map(init_trouble).next().or_else(|| main.filter_map(trouble).next());
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let said = status.and_then(|status| status.message.as_deref().or(status.reason.as_deref()));
    match (container, condition(pod, "Ready").and_then(|ready| ready.message.as_deref())) {
        (Some(trouble), _) => trouble,
        (None, _) if phase == "Failed" => format!("failed: {}", said.unwrap_or("no reason given")),
        (None, Some(message)) => message.to_owned(),
        (None, None) => "waits for kubelet to start it".into(),
    }
}

/// Why the pod has no node, in the scheduler's words, which name the label or taint.
fn unscheduled(pod: &Pod) -> Option<String> {
    if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
        return None;
    }
    let refused = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "False");
    Some(match refused.and_then(|condition| condition.message.as_deref()) {
        Some(message) => format!("is not scheduled: {message}"),
        None => "is not scheduled yet".into(),
    })
}

/// The condition of this type, if it is set.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Why an init container blocks the others. One that succeeded, or is a running sidecar, does not.
fn init_trouble(status: &ContainerStatus) -> Option<String> {
    let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    match ended {
        Some(ended) if ended.exit_code == 0 => None,
        _ if status.started == Some(true) => None,
        _ => trouble(status),
    }
}

fn trouble(status: &ContainerStatus) -> Option<String> {
    if status.ready {
        return None;
    }
    let name = &status.name;
    let state = status.state.as_ref();
    if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
        return Some(format!(
            "container {name} exited with {}{}",
            ended.exit_code,
            last_words(ended.message.as_deref())
        ));
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return Some(format!("container {name} runs, its probe has not passed"));
    }
    let waiting = state.and_then(|state| state.waiting.as_ref())?;
    let reason = waiting.reason.as_deref().unwrap_or("waiting");
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let words = match before {
        Some(ended) => format!(": exited with {}{}", ended.exit_code, last_words(ended.message.as_deref())),
        None => waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default(),
    };
    Some(format!("container {name} {reason}{words}"))
}

/// The last line of a termination message, where programs say why they exited.
fn last_words(message: Option<&str>) -> String {
    let line = message.and_then(|message| message.lines().rfind(|line| !line.trim().is_empty()));
    line.map(|line| format!(": {}", line.trim())).unwrap_or_default()
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
