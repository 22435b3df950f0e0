//! What the API of this machine says against itself. Pure.

use super::Blocker;
use super::seen::Api;
use crate::cluster::connect::Readyz;

/// Begins what the TLS library says of a certificate it refuses.
const DISTRUST: &str = "invalid peer certificate";
/// The check of an apiserver that asks its etcd.
const ETCD: &str = "etcd";

/// Why the API of this machine does not serve, if somebody listens there.
pub fn blocker(api: &Api) -> Option<Blocker> {
    let (endpoint, answer) = api.answer.as_ref()?;
    match answer {
        Readyz::Ready => None,
        Readyz::NotReady { status: 401 | 403, lines } => Some(Blocker::new(
            format!("the apiserver at {endpoint} does not know the administrator"),
            lines.join("; "),
            "the asset directory is that of another cluster, or its client CA is another: give the one this cluster was rendered into",
        )),
        Readyz::NotReady { lines, .. } => Some(unready(endpoint, lines)),
        Readyz::Unreachable(why) if why.contains(DISTRUST) => Some(distrusted(endpoint, why)),
        Readyz::Unreachable(why) => Some(Blocker::new(
            format!("whoever listens at {endpoint} does not answer"),
            why,
            format!("see who it is: ss -ltnp 'sport = :{}'", api.port),
        )),
    }
}

fn unready(endpoint: &str, lines: &[String]) -> Blocker {
    let cure = match lines.iter().any(|line| line.starts_with(ETCD)) {
        true => "see that etcd is healthy and has a leader: it answers the apiserver too late or not at all",
        false => {
            "wait a little; if it stays so, look into the apiserver's log (crictl logs, or /var/log/pods)"
        }
    };
    Blocker::new(
        format!("the apiserver at {endpoint} is not ready"),
        format!("it says {}", lines.join("; ")),
        cure,
    )
}

fn distrusted(endpoint: &str, why: &str) -> Blocker {
    let (what, cure) = match () {
        () if why.contains("NotValidForName") || why.contains("not valid for name") => (
            format!("the certificate of the apiserver at {endpoint} is not for the host of the API's URL"),
            "name the host in apiServerAltNames and render again, or correct the server in auth/kubeconfig",
        ),
        () if why.contains("xpired") => (
            format!("the certificate of the apiserver at {endpoint} is out of date"),
            "run bootkube render again, which renews it, or correct this machine's clock",
        ),
        () => (
            format!("the apiserver at {endpoint} is not one of this cluster"),
            "end whoever listens there, or give the asset directory that its cluster was rendered into",
        ),
    };
    Blocker::new(what, why, cure)
}

/// Why kubelets do not find the API although it serves here. They ask at its URL.
pub fn away_from_its_url(api: &Api) -> Option<Blocker> {
    let why = match api.at_url.as_ref()? {
        Readyz::Ready | Readyz::NotReady { .. } => return None,
        Readyz::Unreachable(why) => why,
    };
    Some(Blocker::new(
        format!("the API does not answer at {}", api.url),
        format!("{why}; on this machine it does"),
        "let that name or load balancer lead to this machine: kubelets look for the API there",
    ))
}
