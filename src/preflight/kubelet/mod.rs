//! Checks of kubelet and the container runtime: do they run, and will they start static pods.

pub mod wanted;

use std::path::Path;

use super::facts::Facts;
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::host::cri;
use crate::host::systemd::{Service, Standing};
use crate::kubelet::{Health, Kubelet, Runtime, StaticPodFolder};
use wanted::Wanted;

/// The runtime's condition for running containers. `NetworkReady` is not checked: the CNI plugin
/// may come with the cluster.
const READY: &str = "RuntimeReady";
/// What containerd says where its CRI plugin is turned off, as Docker's package leaves it.
const NO_CRI: &str = "unknown service runtime.v1";
const KUBELET: &str = "kubelet";
const CONTAINERD: &str = "containerd";
const CRIO: &str = "crio";
/// Why checks of kubelet are unknown.
pub const UNSEEN: &str = "kubelet's process cannot be seen from here";

pub fn health(_: &Subject<'_>, facts: &Facts) -> Outcome {
    match &facts.health {
        Health::Healthy => up("it is healthy".into(), facts.service(KUBELET)),
        Health::Off => Outcome::Unknown("its health endpoint is turned off (healthzPort: 0)".into()),
        Health::Sick(why) => Outcome::fail(
            "kubelet is not healthy",
            because(why, facts.service(KUBELET)),
            "look into its log (journalctl -u kubelet) for the first error",
        ),
        Health::Silent(_) if facts.kubelet.as_ref().is_some_and(waits_for_certificate) => {
            Outcome::Unknown("it waits for a certificate, see kubelet-certificates".into())
        }
        Health::Silent(why) if facts.kubelet_listens => {
            Outcome::Unknown(format!("a process listens on kubelet's port 10250, but {why}"))
        }
        Health::Silent(why) => silent(facts.kubelet.as_ref(), facts.service(KUBELET), why),
    }
}

/// A service that works now. Whether it works after the next boot, too, is known where systemd runs
/// it.
fn up(detail: String, service: Option<&Service>) -> Outcome {
    let forgotten = service.filter(|service| service.runs() && !service.starts_at_boot);
    Outcome::from_warnings(forgotten.map(not_enabled).into_iter().collect(), detail)
}

fn not_enabled(service: &Service) -> Problem {
    let name = &service.name;
    Problem::new(
        format!("{name} runs now, but systemd does not start it at the next boot"),
        format!("{name}.service is not enabled, and no other unit wants it"),
        format!("systemctl enable {name}"),
    )
}

/// How it is known that a service does not work, and what systemd says of it.
fn because(why: &str, service: Option<&Service>) -> String {
    match service.and_then(Service::trouble) {
        Some(trouble) => format!("{why}; {trouble}"),
        None => why.to_owned(),
    }
}

fn silent(kubelet: Option<&Kubelet>, service: Option<&Service>, why: &str) -> Outcome {
    let why = because(why, service);
    let standing = service.map(|service| &service.standing);
    match (kubelet, standing) {
        (_, Some(Standing::Failed(_) | Standing::Restarted(_))) => Outcome::fail(
            "kubelet is not running: it ends soon after each start",
            why,
            "correct what its log names (journalctl -u kubelet); systemd then starts it again, or run systemctl restart kubelet",
        ),
        (Some(kubelet), _) => Outcome::fail(
            "kubelet has started but does not answer",
            format!("its process is {}, and {why}", kubelet.process.pid),
            "look into its log (journalctl -u kubelet) if it stays so for half a minute",
        ),
        (None, _) => Outcome::fail("kubelet is not running", why, start(KUBELET, service)),
    }
}

/// What starts a service that does not run, now and at each boot.
fn start(name: &str, service: Option<&Service>) -> String {
    let (purpose, is_forgotten) = (purpose(name), service.is_some_and(|service| !service.starts_at_boot));
    match service.map(|service| &service.standing) {
        Some(Standing::Missing) => {
            format!("install {name} with its unit, and start it (systemctl enable --now {name})")
        }
        Some(Standing::Masked) => format!("systemctl unmask {name}; systemctl enable --now {name}"),
        Some(Standing::Broken(_)) => format!("correct its unit (systemctl status {name}), and start it"),
        Some(Standing::Failed(_) | Standing::Restarted(_)) => {
            format!("correct what its log names (journalctl -u {name}), then run systemctl restart {name}")
        }
        _ if is_forgotten => {
            format!("start it, now and at each boot (systemctl enable --now {name}): {purpose}")
        }
        _ => format!("start it (systemctl start {name}): {purpose}"),
    }
}

fn purpose(name: &str) -> &'static str {
    match name {
        KUBELET => "kubelet starts the pods of the control plane",
        _ => "kubelet's containerRuntimeEndpoint names its socket",
    }
}

pub fn static_pods(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let Some(kubelet) = &facts.kubelet else { return Outcome::Unknown(UNSEEN.into()) };
    let folder = subject.options.pod_manifest_path.display();
    let wanted = Wanted { flag: "pod-manifest-path", field: "staticPodPath", value: folder.to_string() };
    match &kubelet.watched {
        StaticPodFolder::Ours => Outcome::Pass(format!("it watches {folder}")),
        StaticPodFolder::Unknown(why) => {
            Outcome::Unknown(format!("kubelet's configuration cannot be read: {why}"))
        }
        StaticPodFolder::Nothing => Outcome::fail(
            "kubelet watches no folder for static pods",
            format!("{} is not set", wanted.place(kubelet)),
            wanted.cure(kubelet),
        ),
        StaticPodFolder::Other(path) => Outcome::fail(
            format!("kubelet watches another folder than {folder}"),
            format!("{} is {path}", wanted.place(kubelet)),
            format!("give --pod-manifest-path={path}, or {}", wanted.cure(kubelet)),
        ),
    }
}

pub fn certificates(_: &Subject<'_>, facts: &Facts) -> Outcome {
    let Some(kubelet) = &facts.kubelet else { return Outcome::Unknown(UNSEEN.into()) };
    let rotation =
        Wanted { flag: "rotate-certificates", field: "rotateCertificates", value: "true".to_owned() };
    match (&kubelet.config, kubelet.flag("bootstrap-kubeconfig")) {
        (_, None) => Outcome::Pass("it has a kubeconfig and needs no bootstrap token".into()),
        (Err(why), _) => Outcome::Unknown(format!("kubelet's configuration cannot be read: {why}")),
        _ if waits_for_certificate(kubelet) => Outcome::fail(
            "kubelet will start no static pod",
            "it has a bootstrap kubeconfig and rotateCertificates is off, so it waits for a certificate from the API \
             before it starts the pods of that API",
            rotation.cure(kubelet),
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
        && !kubelet.has_credentials()
}

pub fn runtime(_: &Subject<'_>, facts: &Facts) -> Outcome {
    match &facts.runtime {
        Runtime::Unseen(why) => unseen_runtime(facts, why),
        Runtime::Silent { socket, why } if why.contains(NO_CRI) => Outcome::fail(
            format!("the container runtime at {} does not offer CRI", socket.display()),
            why,
            "take cri out of disabled_plugins in /etc/containerd/config.toml, then run systemctl restart containerd",
        ),
        Runtime::Silent { socket, why } => silent_runtime(socket, why, facts),
        Runtime::Answers { version, conditions, .. } => {
            let unready = conditions.iter().find(|condition| condition.name == READY && !condition.holds);
            match unready {
                None => up(version.clone(), runtime_service(facts)),
                Some(condition) => Outcome::fail(
                    format!("{version} is not ready to run containers"),
                    format!("it reports {} {}", condition.reason, condition.message),
                    format!(
                        "look into its log (journalctl -u {})",
                        runtime_name(facts).unwrap_or(CONTAINERD)
                    ),
                ),
            }
        }
    }
}

/// A socket that is not there may be out of sight, or its runtime may not run: systemd knows.
fn unseen_runtime(facts: &Facts, why: &str) -> Outcome {
    match runtime_service(facts).filter(|service| service.trouble().is_some()) {
        Some(service) if facts.is_root => silent_runtime(Path::new(socket_of(service)), why, facts),
        _ => Outcome::Unknown(why.to_owned()),
    }
}

/// The usual socket of a runtime.
fn socket_of(service: &Service) -> &'static str {
    cri::SOCKETS.into_iter().find(|socket| socket.contains(&service.name)).unwrap_or(cri::SOCKETS[0])
}

fn silent_runtime(socket: &Path, why: &str, facts: &Facts) -> Outcome {
    let service = runtime_service(facts);
    let name = service.map_or(runtime_name(facts).unwrap_or(CONTAINERD), |service| &service.name);
    Outcome::fail(
        format!("the container runtime does not answer at {}", socket.display()),
        because(why, service),
        start(name, service),
    )
}

/// The service of the runtime that kubelet uses. If that is not known: of those that the machine
/// has, one that starts at boot, else the first.
fn runtime_service(facts: &Facts) -> Option<&Service> {
    let named = runtime_name(facts);
    let is_meant = |name: &&str| named.is_none_or(|named| named == *name);
    let services = [CONTAINERD, CRIO].into_iter().filter(is_meant).filter_map(|name| facts.service(name));
    let there = services.filter(|service| service.standing != Standing::Missing);
    there.min_by_key(|service| !service.starts_at_boot)
}

/// The name of the runtime's service, by the socket that kubelet uses or by the runtime's own word.
fn runtime_name(facts: &Facts) -> Option<&'static str> {
    let told = match &facts.runtime {
        Runtime::Silent { socket, .. } => socket.to_string_lossy().into_owned(),
        Runtime::Answers { version, .. } => version.replace('-', ""),
        Runtime::Unseen(_) => return None,
    };
    [CONTAINERD, CRIO].into_iter().find(|name| told.contains(name))
}
