//! What keeps a static pod from running, by what the container runtime knows of it. Pure, and needs
//! no API.

use time::{Duration, OffsetDateTime};

use super::blocker::Blocker;
use super::evidence::{Container, End, Life, Observed, StaticPod};

/// Kubelet starts a pod from a file, and its containers, within a few seconds on a fast machine.
const PROMPT: Duration = Duration::seconds(8);
/// Between two looks, which must agree after the grace period of a pod.
const LOOK: Duration = Duration::seconds(2);
/// A container that has run this long is past the cause of its last exit.
const STEADY: Duration = Duration::seconds(20);
/// The runtime's word for a container that the kernel ended for want of memory.
const OUT_OF_MEMORY: &str = "OOMKilled";
/// What a program says when the disk is full.
const FULL: &str = "no space left on device";

/// What is wrong with `pod`. `serves` is whether the API is ready, so that an earlier exit no
/// longer matters. The machine takes `slowness` times as long as a fast one.
pub fn blocker(pod: &StaticPod, serves: bool, now: OffsetDateTime, slowness: f64) -> Option<Blocker> {
    let is_old = |since: OffsetDateTime| now - since > PROMPT * slowness;
    match pod.started {
        None if pod.lingers => {
            pod.placed.filter(|placed| now - *placed > pod.grace - LOOK).map(|_| still_runs_earlier(pod))
        }
        None => pod.placed.filter(|placed| is_old(*placed)).map(|_| match &pod.lacks {
            Some(image) => no_sandbox_image(pod, image),
            None => not_started(pod),
        }),
        Some(started) => {
            pod.containers.iter().find_map(|container| trouble(pod, container, serves, is_old(started), now))
        }
    }
}

fn not_started(pod: &StaticPod) -> Blocker {
    let folder = pod.file.parent().unwrap_or(&pod.file).display();
    Blocker::new(
        format!("kubelet has not started the static pod {}", pod.name),
        format!("{} exists, but the container runtime has no pod for it", pod.file.display()),
        format!(
            "make sure that kubelet runs with staticPodPath: {folder}, and look into its log (journalctl -u kubelet)"
        ),
    )
}

/// Without its image the runtime makes no sandbox, and so starts no pod at all.
fn no_sandbox_image(pod: &StaticPod, image: &str) -> Blocker {
    Blocker::new(
        format!("image {image} is not on this machine"),
        format!(
            "the container runtime makes the sandbox of every pod from it, that of the static pod {} too, and has not pulled it",
            pod.name
        ),
        sandbox_cure(image),
    )
}

/// What makes the image of sandboxes available.
pub fn sandbox_cure(image: &str) -> String {
    format!(
        "import it (ctr -n k8s.io images import), let the machine reach its registry (crictl pull {image} shows the error), or name \
         another one in the runtime's configuration"
    )
}

/// Kubelet ends pods only after each of its sources has answered once, the API among them, and it
/// runs one pod of a name.
fn still_runs_earlier(pod: &StaticPod) -> Blocker {
    Blocker::new(
        format!("kubelet still runs an earlier version of the static pod {}", pod.name),
        format!(
            "{} has changed since; a kubelet that has not reached the API yet ends no pod, so it cannot start the new one",
            pod.file.display()
        ),
        "restart kubelet (systemctl restart kubelet): it then starts the pod of the present file",
    )
}

fn trouble(
    pod: &StaticPod,
    container: &Container,
    serves: bool,
    is_late: bool,
    now: OffsetDateTime,
) -> Option<Blocker> {
    match &container.life {
        Life::Missing if container.has_image == Some(false) => Some(no_image(pod, container)),
        Life::Missing if is_late => Some(not_created(pod, container)),
        Life::Missing => None,
        Life::Ended(end) if end.exit_code != 0 => Some(crash(&pod.name, &container.name, end)),
        Life::Ended(_) => None,
        Life::Running(since) => {
            let is_steady = now - *since > STEADY;
            // The first exit may have been for want of something that was only starting.
            let end = container.before.as_ref().filter(|end| end.exit_code != 0 && end.attempt > 0)?;
            (!serves && !is_steady).then(|| crash(&pod.name, &container.name, end))
        }
    }
}

fn no_image(pod: &StaticPod, container: &Container) -> Blocker {
    let image = &container.image;
    Blocker::new(
        format!("image {image} is not on this machine"),
        format!("the static pod {} needs it, and kubelet has not pulled it from its registry", pod.name),
        format!(
            "import it (ctr -n k8s.io images import), or let the machine reach its registry: crictl pull {image} shows the error"
        ),
    )
}

fn not_created(pod: &StaticPod, container: &Container) -> Blocker {
    Blocker::new(
        format!("kubelet does not create container {} of the static pod {}", container.name, pod.name),
        "the runtime has the pod and the image, but no such container",
        "look into kubelet's log (journalctl -u kubelet): usually the pod mounts a file or folder that the host lacks",
    )
}

/// A container whose program exited.
fn crash(pod: &str, container: &str, end: &End) -> Blocker {
    let End { exit_code, reason, attempt, lines, log } = end;
    let said = match lines {
        Observed::Seen(lines) => quote(lines),
        Observed::Unknown(why) => format!("its log cannot be read: {why}"),
    };
    let whole = log.as_ref().map(|log| format!("; the whole log: {}", log.display())).unwrap_or_default();
    let how = format!("it exited with {} at attempt {}", ended(*exit_code, Some(reason)), attempt + 1);
    exits(pod, container, &how, &said, &whole)
}

/// An exit code, and the runtime's reason if that says more.
pub fn ended(exit_code: i32, reason: Option<&str>) -> String {
    match reason {
        None | Some("" | "Error" | "Completed") => exit_code.to_string(),
        Some(reason) => format!("{exit_code} ({reason})"),
    }
}

/// That `container` of `pod` does not stay up: how it exited, what it logged, and where the whole
/// log is. A full disk is a cause of its own.
pub fn exits(pod: &str, container: &str, how: &str, said: &str, whole: &str) -> Blocker {
    if said.to_ascii_lowercase().contains(FULL) {
        return Blocker::new(
            format!("container {container} of {pod} fails because the disk is full"),
            said,
            "make room (df -h); kubelet then starts it again by itself",
        );
    }
    if how.contains(OUT_OF_MEMORY) {
        return Blocker::new(
            format!("container {container} of {pod} needs more memory than it may have"),
            format!("{how}; {said}"),
            "raise limits.memory in its manifest; without such a limit the machine has too little memory (free -m)",
        );
    }
    Blocker::new(
        format!("container {container} of {pod} does not stay up"),
        format!("{how}; {said}"),
        format!("correct what its last lines name, in its manifest or on the machine{whole}"),
    )
}

/// The last lines of a log, in one.
pub fn quote(lines: &[String]) -> String {
    match lines {
        [] => "it logged nothing".to_owned(),
        lines => format!("its last lines: {}", lines.join(" | ")),
    }
}
