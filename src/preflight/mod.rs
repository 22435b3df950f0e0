//! Looks at a machine before it is touched: named checks, all of them, in one go.
//!
//! ```text
//! Layout ─► Subject   what will be wanted of the machine, pure
//! machine ─► Seen     what there is, looked at once and at the same time
//! (Subject, Seen) ─ each of CHECKS, pure ─► Outcome
//! ```
//!
//! A check passes, fails, or cannot be seen from where it runs: bootkube's container usually has nothing of the machine but
//! /etc/kubernetes and its network. What cannot be seen is told and stops nothing. Nothing is changed here: no file, no image, no
//! connection that leaves a trace beyond a log.

mod certificates;
mod etcd;
mod images;
mod kubelet;
mod leftovers;
mod machine;
mod network;
mod observe;
mod plain;
mod ports;
mod report;
mod seen;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

pub(crate) use kubelet::observe::runtime_place;
pub use report::{Check, Failed, Ignored, Outcome, Problem, notes, to_json, to_text};
use seen::{Runtime, Seen};
use subject::Subject;
pub(crate) use subject::full_reference;

use crate::assets::load::Layout;
use crate::cluster::kubeconfig;

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The asset directory that the layout was read from.
    pub asset_dir: PathBuf,
    /// Kubelet's folder of static pods.
    pub pod_manifest_path: PathBuf,
    /// Checks that stop nothing.
    pub ignored: Ignored,
    /// Files in kubelet's folder that an earlier run is known to have placed: whatever they hold, they are not foreign.
    pub placed: BTreeSet<PathBuf>,
    /// Digest of the CA of the etcd that an earlier run started here: data of it is this cluster's, whatever became of its keys.
    pub etcd_authority: Option<String>,
    /// The present moment.
    pub now: OffsetDateTime,
    /// How long services that do not answer are given to start.
    pub patience: Duration,
}

/// A named look at the machine.
pub(crate) struct Record {
    /// What it is called, also to be ignored.
    pub name: &'static str,
    /// What it makes sure of, for the documentation.
    pub about: &'static str,
    decide: fn(&Subject<'_>, &Seen) -> Outcome,
}

/// Every check, in the order of the report: what the others depend on first.
#[rustfmt::skip]
pub(crate) const CHECKS: [Record; 21] = [
    Record { name: "root", about: "bootkube runs as root", decide: machine::root },
    Record { name: "clock", about: "no file of the machine is from the future", decide: machine::clock },
    Record { name: "space", about: "there is room for manifests, keys and etcd's data", decide: machine::space },
    Record { name: "kubelet", about: "kubelet runs and is healthy", decide: kubelet::health },
    Record { name: "kubelet-static-pods", about: "kubelet takes static pods from the folder that start writes to", decide: kubelet::static_pods },
    Record { name: "kubelet-certificates", about: "kubelet starts static pods before it has a certificate (rotateCertificates)", decide: kubelet::certificates },
    Record { name: "container-runtime", about: "the container runtime answers and is ready", decide: kubelet::runtime },
    Record { name: "images", about: "images are on the machine or can be pulled", decide: images::images },
    Record { name: "ports", about: "the ports of the control plane are free, or held by this cluster", decide: ports::ports },
    Record { name: "etcd", about: "etcd answers and accepts the rendered certificates", decide: etcd::etcd },
    Record { name: "api-address", about: "the host of the API's URL has an address", decide: network::api_address },
    Record { name: "networks", about: "pods and services have networks that this machine is not in", decide: network::networks },
    Record { name: "certificate-validity", about: "every certificate is valid now", decide: certificates::validity },
    Record { name: "certificate-keys", about: "every certificate belongs to its key", decide: certificates::keys },
    Record { name: "certificate-authorities", about: "every certificate is signed by the CA that it is verified with", decide: certificates::authorities },
    Record { name: "server-names", about: "the apiserver's certificate names the hosts it is asked by", decide: certificates::server_names },
    Record { name: "static-pods", about: "no other static pod is in the way", decide: leftovers::static_pods },
    Record { name: "bootstrap-secrets", about: "/etc/kubernetes/bootstrap-secrets is free or ours", decide: leftovers::bootstrap_secrets },
    Record { name: "etcd-keys", about: "/etc/kubernetes/etcd is free or ours", decide: leftovers::etcd_keys },
    Record { name: "etcd-data", about: "the data folder of etcd is free or this cluster's", decide: leftovers::etcd_data },
    Record { name: "kubeadm", about: "kubeadm has not made this machine a controller", decide: leftovers::kubeadm },
];

/// Between two looks at a machine that is still starting.
const PROBE: Duration = Duration::from_millis(250);

/// Looks at the machine and says what came of every check. One that was switched on a moment ago is looked at again while its services
/// start, as long as [`Options::patience`] lasts; `waiting` is told what for.
///
/// # Errors
/// The administrator's kubeconfig cannot be read: nothing can be checked against it.
pub async fn run(
    layout: &Layout,
    options: &Options,
    mut waiting: impl FnMut(&str),
) -> Result<Vec<Check>, kubeconfig::Error> {
    let subject = Subject::of(layout, options)?;
    let begun = Instant::now();
    loop {
        let seen = observe::observe(&subject).await;
        let checks = decide(&subject, &seen);
        match checks.iter().find_map(|check| settling(check, &seen)) {
            Some(what) if begun.elapsed() < options.patience => waiting(what),
            _ => return Ok(checks),
        }
        tokio::time::sleep(PROBE).await;
    }
}

fn decide(subject: &Subject<'_>, seen: &Seen) -> Vec<Check> {
    let check = |Record { name, about, decide }: &Record| {
        let outcome = subject.options.ignored.apply(name, decide(subject, seen));
        Check { name, about, outcome }
    };
    CHECKS.iter().map(check).collect()
}

/// What is wrong with a service that may only be starting.
fn settling<'a>(check: &'a Check, seen: &Seen) -> Option<&'a str> {
    let Outcome::Fail(problems) = &check.outcome else { return None };
    let may_settle = match check.name {
        "kubelet" => true,
        "container-runtime" => !matches!(seen.runtime, Runtime::Unseen(_)),
        "etcd" => seen.etcd.iter().all(|member| !member.answer.is_for_good()),
        _ => false,
    };
    problems.first().filter(|_| may_settle).map(|problem| problem.what.as_str())
}
