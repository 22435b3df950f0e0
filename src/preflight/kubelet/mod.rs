//! Checks of kubelet and the container runtime: do they run, and will they start static pods.

pub mod observe;

use super::facts::{Facts, Health, Kubelet, Runtime, StaticPodFolder};
use super::outcome::Outcome;
use super::subject::Subject;

/// The runtime's condition for running containers. `NetworkReady` is not checked: the CNI plugin may come
/// with the cluster.
const READY: &str = "RuntimeReady";
const UNSEEN: &str = "kubelet's process cannot be seen from here";

pub fn health(_: &Subject<'_>, facts: &Facts) -> Outcome {
    match &facts.health {
        Health::Healthy => Outcome::Pass("it is healthy".into()),
        Health::Off => Outcome::Unknown("its health endpoint is turned off (healthzPort: 0)".into()),
        Health::Sick(why) => Outcome::fail(
            "kubelet is not healthy",
            why,
            "look into its log (journalctl -u kubelet) for the first error",
        ),
        Health::Silent(_) if facts.kubelet.as_ref().is_some_and(waits_for_certificate) => {
            Outcome::Unknown("it waits for a certificate, see kubelet-certificates".into())
        }
        Health::Silent(why) if facts.kubelet_listens => {
            Outcome::Unknown(format!("a process listens on kubelet's port 10250, but {why}"))
        }
        Health::Silent(why) => silent(facts.kubelet.as_ref(), why),
    }
}

fn silent(kubelet: Option<&Kubelet>, why: &str) -> Outcome {
    match kubelet {
        Some(kubelet) => Outcome::fail(
            "kubelet has started but does not answer",
            format!("its process is {}, and {why}", kubelet.process.pid),
            "run this again in a few seconds; if it stays so, look into its log (journalctl -u kubelet)",
        ),
        None => Outcome::fail(
            "kubelet is not running",
            why,
            "start it (systemctl start kubelet): kubelet starts the pods of the control plane",
        ),
    }
}

pub fn static_pods(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let Some(kubelet) = &facts.kubelet else { return Outcome::Unknown(UNSEEN.into()) };
    let folder = subject.options.pod_manifest_path.display();
    let cure = || format!("set staticPodPath: {folder} in kubelet's configuration and restart it");
    match &kubelet.watched {
        StaticPodFolder::Ours => Outcome::Pass(format!("it watches {folder}")),
        StaticPodFolder::Unknown(why) => {
            Outcome::Unknown(format!("kubelet's configuration cannot be read: {why}"))
        }
        StaticPodFolder::Nothing => Outcome::fail(
            "kubelet watches no folder for static pods",
            "its configuration has no staticPodPath",
            cure(),
        ),
        StaticPodFolder::Other(path) => Outcome::fail(
            format!("kubelet watches another folder than {folder}"),
            format!("its configuration says {path}"),
            format!("give --pod-manifest-path={path}, or {}", cure()),
        ),
    }
}

pub fn certificates(_: &Subject<'_>, facts: &Facts) -> Outcome {
    let Some(kubelet) = &facts.kubelet else { return Outcome::Unknown(UNSEEN.into()) };
    match (&kubelet.config, kubelet.flag("bootstrap-kubeconfig")) {
        (_, None) => Outcome::Pass("it has a kubeconfig and needs no bootstrap token".into()),
        (Err(why), _) => Outcome::Unknown(format!("kubelet's configuration cannot be read: {why}")),
        _ if waits_for_certificate(kubelet) => Outcome::fail(
            "kubelet will start no static pod",
            "it has a bootstrap kubeconfig and rotateCertificates is off, so it waits for a certificate from the API \
             before it starts the pods of that API",
            "set rotateCertificates: true in kubelet's configuration and restart it",
        ),
        _ => Outcome::Pass("it starts static pods while it waits for its certificate".into()),
    }
}

/// Whether kubelet waits for the API before it starts any pod.
fn waits_for_certificate(kubelet: &Kubelet) -> bool {
    let rotates = kubelet.is_on("rotate-certificates", "rotateCertificates");
    kubelet.flag("bootstrap-kubeconfig").is_some()
        && kubelet.config.is_ok()
        && !rotates
        && !kubelet.has_credentials
}

pub fn runtime(_: &Subject<'_>, facts: &Facts) -> Outcome {
    match &facts.runtime {
        Runtime::Unseen(why) => Outcome::Unknown(why.clone()),
        Runtime::Silent { socket, why } => Outcome::fail(
            format!("the container runtime does not answer at {}", socket.display()),
            why,
            "start it (systemctl start containerd), and enable its CRI plugin; kubelet's containerRuntimeEndpoint names it",
        ),
        Runtime::Answers { version, conditions, .. } => {
            let unready = conditions.iter().find(|condition| condition.name == READY && !condition.holds);
            match unready {
                None => Outcome::Pass(version.clone()),
                Some(condition) => Outcome::fail(
                    format!("{version} is not ready to run containers"),
                    format!("it reports {} {}", condition.reason, condition.message),
                    "look into its log (journalctl -u containerd)",
                ),
            }
        }
    }
}
