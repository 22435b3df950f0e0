//! Kubelet and the container runtime: do they run, and will they start our static pods.

pub mod observe;

use super::report::Outcome;
use super::seen::{Health, Kubelet, Runtime, Seen, Watched};
use super::subject::Subject;

/// The runtime's word that it can run containers. That it has no network yet is no failure: its CNI plugin may come with the cluster.
const READY: &str = "RuntimeReady";
const UNSEEN: &str = "kubelet's process cannot be seen from here";

pub fn health(_: &Subject<'_>, seen: &Seen) -> Outcome {
    match &seen.health {
        Health::Healthy => Outcome::Pass("it is healthy".into()),
        Health::Off => Outcome::Unknown("it was told not to answer for its health (healthzPort: 0)".into()),
        Health::Sick(why) => Outcome::fail(
            "kubelet is not healthy",
            why,
            "look into its log (journalctl -u kubelet) for the first error",
        ),
        Health::Silent(_) if seen.kubelet.as_ref().is_some_and(waits_for_certificate) => {
            Outcome::Unknown("it waits for a certificate, see kubelet-certificates".into())
        }
        Health::Silent(why) if seen.kubelet_listens => {
            Outcome::Unknown(format!("somebody listens on kubelet's port 10250, but {why}"))
        }
        Health::Silent(why) => silent(seen.kubelet.as_ref(), why),
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
            "start it (systemctl start kubelet): it is what starts the control plane",
        ),
    }
}

pub fn static_pods(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    let Some(kubelet) = &seen.kubelet else { return Outcome::Unknown(UNSEEN.into()) };
    let folder = subject.options.pod_manifest_path.display();
    let cure = || format!("set staticPodPath: {folder} in kubelet's configuration and restart it");
    match &kubelet.watched {
        Watched::Ours => Outcome::Pass(format!("it watches {folder}")),
        Watched::Unknown(why) => Outcome::Unknown(format!("kubelet's configuration cannot be read: {why}")),
        Watched::Nothing => Outcome::fail(
            "kubelet takes static pods from no folder",
            "its configuration has no staticPodPath",
            cure(),
        ),
        Watched::Other(path) => Outcome::fail(
            format!("kubelet watches another folder than {folder}"),
            format!("its configuration says {path}"),
            format!("give --pod-manifest-path={path}, or {}", cure()),
        ),
    }
}

pub fn certificates(_: &Subject<'_>, seen: &Seen) -> Outcome {
    let Some(kubelet) = &seen.kubelet else { return Outcome::Unknown(UNSEEN.into()) };
    match (&kubelet.config, kubelet.flag("bootstrap-kubeconfig")) {
        (_, None) => Outcome::Pass("it has a kubeconfig and needs no bootstrap token".into()),
        (Err(why), _) => Outcome::Unknown(format!("kubelet's configuration cannot be read: {why}")),
        _ if waits_for_certificate(kubelet) => Outcome::fail(
            "kubelet will start no static pod",
            "it has a bootstrap kubeconfig without rotateCertificates, so it first waits for a certificate from an API that it \
             would have to start",
            "set rotateCertificates: true in kubelet's configuration and restart it",
        ),
        _ => Outcome::Pass("it starts static pods while it waits for its certificate".into()),
    }
}

/// Whether kubelet waits for the API before it starts anything.
fn waits_for_certificate(kubelet: &Kubelet) -> bool {
    let rotates = kubelet.is_on("rotate-certificates", "rotateCertificates");
    kubelet.flag("bootstrap-kubeconfig").is_some()
        && kubelet.config.is_ok()
        && !rotates
        && !kubelet.has_credentials
}

pub fn runtime(_: &Subject<'_>, seen: &Seen) -> Outcome {
    match &seen.runtime {
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
                    format!("it says {} {}", condition.reason, condition.message),
                    "look into its log (journalctl -u containerd)",
                ),
            }
        }
    }
}
