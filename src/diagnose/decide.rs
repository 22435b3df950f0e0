//! From the evidence to what is in the way: the deepest cause first. Pure.
//!
//! kubelet needs the runtime, static pods need kubelet, the apiserver needs etcd, and the state of
//! the cluster needs the apiserver. What may be harmless, such as a name that a certificate lacks,
//! comes last. What the command itself is about to mend is not in the way.

use std::time::Duration;

use super::blocker::{Blocker, Verdict};
use super::evidence::{Evidence, Observed, StaticPod};
use super::slowness::slowness;
use super::underway::Underway;
use super::{api, containers, objects, pods, requests};
use crate::cluster::connect::Readyz;
use crate::preflight::{Check, Outcome};

/// The check that kubelet runs.
const KUBELET: &str = "kubelet";
/// Checks of what everything else depends on.
const GROUND: [&str; 5] =
    ["container-runtime", KUBELET, "kubelet-certificates", "kubelet-static-pods", "ports"];
/// Checks of what the apiserver depends on.
const STORE: [&str; 2] = ["etcd", "certificate-validity"];
/// Checks of what may explain the rest.
const REST: [&str; 7] = [
    "server-names",
    "certificate-authorities",
    "certificate-keys",
    "clock",
    "space",
    "forwarding",
    "bridge-netfilter",
];
/// The check that the name of the API resolves, as kubelets need.
const NAME: &str = "api-address";

/// The check that kubelet can show the API who it is.
const CREDENTIALS: &str = "kubelet-credentials";
/// How long a kubelet that reaches the API takes to register, and one that is restarted. Looks begin
/// after 5 s, and a cause is to be named within 15 s.
const REGISTERING: Duration = Duration::from_secs(5);
const RESTARTING: Duration = Duration::from_secs(30);

/// Services that another program may be restarting at this moment.
const RESTARTED: [&str; 2] = [KUBELET, "container-runtime"];
/// How long such a restart takes on a fast machine.
const RESTART: Duration = Duration::from_secs(4);
/// How long an apiserver that has just begun to listen takes to be ready on a fast machine.
const STARTING: Duration = Duration::from_secs(15);
/// How long its start may take where nothing else is wrong, on a slow machine too.
const HOOKS: Duration = Duration::from_secs(60);

/// What is in the way.
pub fn decide(evidence: &Evidence) -> Verdict {
    let checks = |names: &[&str]| names.iter().find_map(|name| failed(evidence, name));
    let deep = ground(evidence)
        .or_else(|| static_pod(evidence, |pod| pod.stays).map(at_once))
        .or_else(|| checks(&STORE).map(at_once))
        .or_else(|| static_pod(evidence, |pod| !pod.stays).map(at_once))
        .or_else(|| Some((api::blocker(&evidence.api)?, starting(evidence))));
    let found = deep.or_else(|| {
        refused(&evidence.underway)
            .or_else(|| unregistered(evidence))
            .map(at_once)
            .or_else(|| without_node(evidence))
            .or_else(|| pods::blocker(evidence.cluster.as_ref()?, &evidence.underway).map(at_once))
            .or_else(|| checks(&REST).map(at_once))
    });
    match found {
        Some((blocker, least)) => Verdict::Blocked { blocker, least },
        None => Verdict::Unexplained { unseen: unseen(evidence) },
    }
}

fn at_once(blocker: Blocker) -> (Blocker, Duration) {
    (blocker, Duration::ZERO)
}

/// What is wrong with that on which everything else depends. A kubelet that the command itself
/// restarts is not in the way.
fn ground(evidence: &Evidence) -> Option<(Blocker, Duration)> {
    let is_meant = |name: &&str| *name != KUBELET || !evidence.underway.restarts_kubelet();
    let restart = RESTART.mul_f64(slowness(evidence));
    let least = |name: &str| if RESTARTED.contains(&name) { restart } else { Duration::ZERO };
    GROUND.into_iter().filter(is_meant).find_map(|name| Some((failed(evidence, name)?, least(name))))
}

fn starting(evidence: &Evidence) -> Duration {
    match &evidence.api.answer {
        _ if api::is_for_good(&evidence.api) => Duration::ZERO,
        Some((_, Readyz::NotReady { lines, .. })) if are_hooks(lines) => HOOKS,
        _ => STARTING.mul_f64(slowness(evidence)),
    }
}

/// Whether an apiserver only has not done yet what it does at its start.
fn are_hooks(lines: &[String]) -> bool {
    !lines.is_empty() && lines.iter().all(|line| line.starts_with("poststarthook/"))
}

/// The first object that the API does not accept.
fn refused(underway: &Underway) -> Option<Blocker> {
    underway.refused.iter().find_map(|refusal| objects::blocker(refusal, underway))
}

/// The first problem that the check called `name` found.
fn failed(evidence: &Evidence, name: &str) -> Option<Blocker> {
    let Observed::Seen(checks) = &evidence.checks else { return None };
    match &checks.iter().find(|check| check.name == name)?.outcome {
        Outcome::Fail(problems) => problems.first().cloned(),
        Outcome::Pass(_) | Outcome::Warn(_) | Outcome::Unknown(_) | Outcome::Ignored(_) => None,
    }
}

fn static_pod(evidence: &Evidence, is_meant: impl Fn(&StaticPod) -> bool) -> Option<Blocker> {
    let Observed::Seen(pods) = &evidence.static_pods else { return None };
    let serves = matches!(evidence.api.answer, Some((_, Readyz::Ready)));
    let slowness = slowness(evidence);
    let mut pods = pods.iter().filter(|pod| is_meant(pod));
    pods.find_map(|pod| containers::blocker(pod, serves, evidence.now, slowness))
}

/// Why this machine has no node although its API is ready.
fn unregistered(evidence: &Evidence) -> Option<Blocker> {
    let cluster = evidence.cluster.as_ref().filter(|cluster| !cluster.has_node)?;
    failed(evidence, CREDENTIALS)
        .or_else(|| failed(evidence, NAME))
        .or_else(|| api::away_from_its_url(&evidence.api))
        .or_else(|| requests::blocker(cluster, &evidence.underway))
}

/// While no node has registered, no pod can run: nothing is said of pods and labels. A kubelet that
/// is only starting registers by itself.
fn without_node(evidence: &Evidence) -> Option<(Blocker, Duration)> {
    let cluster = evidence.cluster.as_ref().filter(|cluster| cluster.nodes == 0)?;
    let said = cluster.kubelet_said.as_ref().map(|line| format!("; the last error in its journal: {line}"));
    let blocker = Blocker::new(
        "no node has registered, and without one no pod can run",
        format!(
            "kubelet registers its Node only when it starts, and the API has none{}",
            said.unwrap_or_default()
        ),
        "run systemctl restart kubelet; if no node appears, its log says why (journalctl -u kubelet)",
    );
    let least = if evidence.underway.restarts_kubelet() { RESTARTING } else { REGISTERING };
    Some((blocker, least.mul_f64(slowness(evidence))))
}

/// What could not be observed, of what could explain the wait.
fn unseen(evidence: &Evidence) -> Vec<String> {
    let checks = match &evidence.checks {
        Observed::Seen(checks) => checks.iter().filter_map(unknown).collect(),
        Observed::Unknown(why) => vec![why.clone()],
    };
    let pods = match &evidence.static_pods {
        Observed::Seen(_) => None,
        Observed::Unknown(why) => Some(format!("static pods: {why}")),
    };
    checks.into_iter().chain(pods).collect()
}

fn unknown(check: &Check) -> Option<String> {
    let matters = GROUND.contains(&check.name) || STORE.contains(&check.name);
    match &check.outcome {
        Outcome::Unknown(why) if matters => Some(format!("{}: {why}", check.name)),
        _ => None,
    }
}
