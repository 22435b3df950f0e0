//! Why the API of this machine does not serve, by its own answer. Pure.

use super::blocker::Blocker;
use super::evidence::ApiState;
use crate::cluster::connect::Readyz;
use crate::patience::Late;

/// With this the TLS library begins its message about a certificate that does not verify.
const DISTRUST: &str = "invalid peer certificate";
/// The apiserver's own check of its etcd.
const ETCD: &str = "etcd";

/// Why the API of this machine does not serve, if a process listens there.
pub fn blocker(api: &ApiState) -> Option<Blocker> {
    let (endpoint, answer) = api.answer.as_ref()?;
    match answer {
        Readyz::Ready => None,
        Readyz::NotReady { status: 401 | 403, lines } => Some(Blocker::new(
            format!("the apiserver at {endpoint} refuses the administrator's credentials"),
            lines.join("; "),
            "use the asset directory that this cluster was rendered into: this one is of another cluster, or has another client CA",
        )),
        Readyz::NotReady { lines, .. } => Some(unready(endpoint, lines)),
        Readyz::Unreachable(why) if why.contains(DISTRUST) => Some(distrusted(endpoint, why)),
        Readyz::Silent(late) if api.is_apiserver => Some(slow(endpoint, *late)),
        Readyz::Silent(late) => Some(unknown(endpoint, api.port, &late.to_string())),
        Readyz::Unreachable(why) => Some(unknown(endpoint, api.port, why)),
    }
}

/// Whether the answer stays as it is however long one waits. One that begins to listen is not ready
/// for some seconds.
pub fn is_for_good(api: &ApiState) -> bool {
    match &api.answer {
        Some((_, Readyz::NotReady { status, .. })) => [401, 403].contains(status),
        Some((_, Readyz::Unreachable(why))) => why.contains(DISTRUST),
        _ => false,
    }
}

fn slow(endpoint: &str, late: Late) -> Blocker {
    Blocker::new(
        format!("the apiserver at {endpoint} is slow to answer"),
        format!("it has accepted the connection, and there is {late}"),
        "wait: it is starting, or this machine has too little processor time for it (top); if it stays so, look into its log (crictl logs, or /var/log/pods)",
    )
}

fn unknown(endpoint: &str, port: u16, why: &str) -> Blocker {
    Blocker::new(
        format!("the process that listens at {endpoint} does not answer"),
        why,
        format!("see which process it is: ss -ltnp 'sport = :{port}'"),
    )
}

fn unready(endpoint: &str, lines: &[String]) -> Blocker {
    let cure = match lines.iter().any(|line| line.starts_with(ETCD)) {
        true => {
            "make sure that etcd is healthy and has a leader: it answers the apiserver too late or not at all"
        }
        false => "look into the apiserver's log (crictl logs, or /var/log/pods) if it stays so for a minute",
    };
    Blocker::new(
        format!("the apiserver at {endpoint} is not ready"),
        format!("/readyz reports: {}", lines.join("; ")),
        cure,
    )
}

fn distrusted(endpoint: &str, why: &str) -> Blocker {
    let (what, cure) = match () {
        () if why.contains("NotValidForName") || why.contains("not valid for name") => (
            format!("the certificate of the apiserver at {endpoint} does not name the host of the API's URL"),
            "name the host in apiServerAltNames and render again, or correct the server in auth/kubeconfig; then run the same command again",
        ),
        () if why.contains("xpired") => (
            format!("the certificate of the apiserver at {endpoint} has expired"),
            "correct this machine's clock, or run bootkube render, which renews it, and then the same command again",
        ),
        () => (
            format!("the apiserver at {endpoint} does not belong to this cluster"),
            "end the process that listens there, or use the asset directory that its cluster was rendered into",
        ),
    };
    Blocker::new(what, why, cure)
}

/// Why kubelets do not reach the API although it serves on this machine: they connect to its URL.
pub fn away_from_its_url(api: &ApiState) -> Option<Blocker> {
    let why = match api.at_url.as_ref()? {
        Readyz::Ready | Readyz::NotReady { .. } => return None,
        Readyz::Silent(late) => &late.to_string(),
        Readyz::Unreachable(why) => why,
    };
    Some(Blocker::new(
        format!("the API does not answer at {}", api.url),
        format!("{why}; at this machine's own address it answers"),
        "point that name or load balancer at this machine: kubelets look for the API there",
    ))
}
