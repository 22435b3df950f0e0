//! What keeps a static pod from running, by what the runtime has of it. Pure: it needs no API.

use time::{Duration, OffsetDateTime};

use super::Blocker;
use super::seen::{Container, End, Life, Look, StaticPod};

/// Kubelet takes up a file, and makes a container, within a few seconds.
const PROMPT: Duration = Duration::seconds(8);
/// Of the ten seconds that a pod is given to end, those before the first of the two looks that have to agree.
const GRACE: Duration = Duration::seconds(8);
/// One that has run as long as that is not about to end for the old reason.
const STEADY: Duration = Duration::seconds(20);
/// Words of a program that finds no room.
const FULL: &str = "no space left on device";

/// What is wrong with `pod`; `serves` says whether it does what it is for, as far as that is known.
pub fn blocker(pod: &StaticPod, serves: bool, now: OffsetDateTime) -> Option<Blocker> {
    let is_old = |since: OffsetDateTime| now - since > PROMPT;
    match pod.started {
        None if pod.lingers => pod.placed.filter(|placed| now - *placed > GRACE).map(|_| not_let_go(pod)),
        None => pod.placed.filter(|placed| is_old(*placed)).map(|_| not_taken_up(pod)),
        Some(started) => {
            pod.containers.iter().find_map(|container| trouble(pod, container, serves, is_old(started), now))
        }
    }
}

fn not_taken_up(pod: &StaticPod) -> Blocker {
    let folder = pod.file.parent().unwrap_or(&pod.file).display();
    Blocker::new(
        format!("kubelet has not taken up the static pod {}", pod.name),
        format!("{} is there, and the container runtime has no pod of it", pod.file.display()),
        format!(
            "see that kubelet runs with staticPodPath: {folder}, and what its log says of it (journalctl -u kubelet)"
        ),
    )
}

/// Kubelet ends pods only when all of its sources have answered once, the API among them; and of one name it runs one pod.
fn not_let_go(pod: &StaticPod) -> Blocker {
    Blocker::new(
        format!("kubelet does not let go of an earlier static pod {}", pod.name),
        format!(
            "{} was changed since, but a kubelet that has not reached the API yet ends no pod, and starts no other of that name",
            pod.file.display()
        ),
        "restart kubelet (systemctl restart kubelet): then it starts the pod of the file that is there",
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
        Life::Missing if is_late => Some(not_made(pod, container)),
        Life::Missing => None,
        Life::Ended(end) if end.exit_code != 0 => Some(crash(&pod.name, &container.name, end)),
        Life::Ended(_) => None,
        Life::Running(since) => {
            let is_steady = now - *since > STEADY;
            let end = container.before.as_ref().filter(|end| end.exit_code != 0)?;
            (!serves && !is_steady).then(|| crash(&pod.name, &container.name, end))
        }
    }
}

fn no_image(pod: &StaticPod, container: &Container) -> Blocker {
    let image = &container.image;
    Blocker::new(
        format!("image {image} is not on this machine"),
        format!("the static pod {} is made from it, and kubelet has not got it from its registry", pod.name),
        format!(
            "import it (ctr -n k8s.io images import), or let the machine reach its registry: crictl pull {image} says why not"
        ),
    )
}

fn not_made(pod: &StaticPod, container: &Container) -> Blocker {
    Blocker::new(
        format!("kubelet does not make container {} of the static pod {}", container.name, pod.name),
        "the runtime has the pod and the image, but no such container",
        "look into kubelet's log (journalctl -u kubelet): usually a file or folder of the host is missing that the pod mounts",
    )
}

/// A program that ends. That it found no room is a reason with a name of its own.
fn crash(pod: &str, container: &str, end: &End) -> Blocker {
    let End { exit_code, reason, attempt, lines, log } = end;
    let said = match lines {
        Look::Seen(lines) => quote(lines),
        Look::Unknown(why) => format!("its log cannot be seen: {why}"),
    };
    let word = match reason.as_str() {
        "" | "Error" | "Completed" => String::new(),
        reason => format!(" ({reason})"),
    };
    let whole = log.as_ref().map(|log| format!("; the whole log: {}", log.display())).unwrap_or_default();
    let how = format!("it exited with {exit_code}{word} at attempt {}", attempt + 1);
    exits(pod, container, &how, &said, &whole)
}

/// That `container` of `pod` does not stay up: how it ended, what it said, and where all of that is.
pub fn exits(pod: &str, container: &str, how: &str, said: &str, whole: &str) -> Blocker {
    if said.to_ascii_lowercase().contains(FULL) {
        return Blocker::new(
            format!("container {container} of {pod} finds no room on the disk"),
            said,
            "make room (df -h); kubelet starts it again by itself",
        );
    }
    Blocker::new(
        format!("container {container} of {pod} does not stay up"),
        format!("{how}; {said}"),
        format!("correct what it says, in its manifest or around it{whole}"),
    )
}

/// Last lines of a program, as one.
pub fn quote(lines: &[String]) -> String {
    match lines {
        [] => "it said nothing".to_owned(),
        lines => format!("its last lines: {}", lines.join(" | ")),
    }
}
