//! From what was seen to what is in the way: the deepest cause first. Pure.
//!
//! Without a runtime there is no kubelet, without kubelet no static pod, without etcd no apiserver, and without an apiserver nothing
//! that the cluster could tell. What only might be in the way, such as a name that a certificate lacks, comes last.

use super::seen::{Look, Seen, StaticPod};
use super::{Blocker, Verdict, api, containers, pods, requests};
use crate::cluster::connect::Readyz;
use crate::preflight::{Check, Outcome};

/// Checks of what everything else stands on.
const GROUND: [&str; 5] =
    ["container-runtime", "kubelet", "kubelet-certificates", "kubelet-static-pods", "ports"];
/// Checks of what the apiserver stands on.
const STORE: [&str; 2] = ["etcd", "certificate-validity"];
/// Checks of what may explain the rest.
const REST: [&str; 5] = ["server-names", "certificate-authorities", "certificate-keys", "clock", "space"];
/// The check of the name that kubelets look for.
const NAME: &str = "api-address";

/// What is in the way.
pub fn decide(seen: &Seen) -> Verdict {
    let checks = |names: &[&str]| names.iter().find_map(|name| failed(seen, name));
    let blocker = checks(&GROUND)
        .or_else(|| static_pod(seen, |pod| pod.stays))
        .or_else(|| checks(&STORE))
        .or_else(|| static_pod(seen, |pod| !pod.stays))
        .or_else(|| api::blocker(&seen.api))
        .or_else(|| seen.stuck.clone())
        .or_else(|| unregistered(seen))
        .or_else(|| pods::blocker(seen.cluster.as_ref()?, seen.now))
        .or_else(|| checks(&REST));
    match blocker {
        Some(blocker) => Verdict::Blocked(blocker),
        None => Verdict::Unexplained { unseen: unseen(seen) },
    }
}

/// The first problem that the check called `name` found.
fn failed(seen: &Seen, name: &str) -> Option<Blocker> {
    let Look::Seen(checks) = &seen.checks else { return None };
    match &checks.iter().find(|check| check.name == name)?.outcome {
        Outcome::Fail(problems) => problems.first().cloned(),
        Outcome::Pass(_) | Outcome::Unknown(_) | Outcome::Ignored(_) => None,
    }
}

fn static_pod(seen: &Seen, is_meant: impl Fn(&StaticPod) -> bool) -> Option<Blocker> {
    let Look::Seen(pods) = &seen.static_pods else { return None };
    let serves = matches!(seen.api.answer, Some((_, Readyz::Ready)));
    pods.iter().filter(|pod| is_meant(pod)).find_map(|pod| containers::blocker(pod, serves, seen.now))
}

/// Why this machine's node is not there although its API is.
fn unregistered(seen: &Seen) -> Option<Blocker> {
    let cluster = seen.cluster.as_ref().filter(|cluster| !cluster.has_node)?;
    failed(seen, NAME)
        .or_else(|| api::away_from_its_url(&seen.api))
        .or_else(|| requests::blocker(&cluster.requests, seen.now))
}

/// What was not to be seen, of what could have explained something.
fn unseen(seen: &Seen) -> Vec<String> {
    let checks = match &seen.checks {
        Look::Seen(checks) => checks.iter().filter_map(unknown).collect(),
        Look::Unknown(why) => vec![why.clone()],
    };
    let pods = match &seen.static_pods {
        Look::Seen(_) => None,
        Look::Unknown(why) => Some(format!("static pods: {why}")),
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
