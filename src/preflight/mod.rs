//! Checks a machine before `start` touches it: named checks, all of them, in one go.
//!
//! ```text
//! Layout ─► Subject     what the assets need of the machine, pure
//! machine ─► Facts      what is on the machine, observed once, everything at the same time
//! (Subject, Facts) ─ each of CHECKS, pure ─► Outcome
//! ```
//!
//! A check passes, fails, or is unknown from where it runs: bootkube's container usually sees only
//! /etc/kubernetes and the network of the machine. An unknown result is reported and stops nothing.
//!
//! Nothing is changed here: no file, no image, and no connection leaves more than a line in a log.

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod catalogue_tests;
#[cfg(test)]
mod causes_tests;
mod certificates;
mod checks;
mod credentials;
mod etcd;
mod facts;
mod ignored;
mod images;
mod kernel;
mod kubelet;
mod leftovers;
mod living_cluster;
mod machine;
mod network;
mod observe;
mod options;
mod outcome;
mod pod_network;
mod ports;
#[cfg(test)]
mod random_tests;
mod report;
mod settings;
mod subject;
mod swap;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use checks::decide;
use facts::Facts;
pub use ignored::Ignored;
pub use options::CheckOptions;
pub use outcome::{Check, Outcome, Problem};
pub use report::{Failed, notes, to_json, to_text, warnings};
use subject::Subject;
pub(crate) use subject::full_reference;

use crate::assets::load::Layout;
use crate::cluster::kubeconfig;
use crate::host::systemd;
use crate::kubelet::Runtime;
use crate::living::{ApiListener, Living};

/// Between two observations of a machine whose services are still starting.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Services that systemd is asked about.
const SERVICES: [&str; 3] = ["kubelet", "containerd", "crio"];

/// Every check, for a user who may not read the assets.
pub fn without_assets() -> Vec<Check> {
    checks::without_assets()
}

/// Runs every check and returns what each found.
///
/// On a machine that has just booted, kubelet, the runtime and etcd may still be starting. They are
/// observed again for as long as [`CheckOptions::patience`] lasts; `waiting` gets what is not up
/// yet.
///
/// # Errors
/// The administrator's kubeconfig cannot be read: there is nothing to check against.
pub async fn run(
    layout: &Layout,
    options: &CheckOptions,
    mut waiting: impl FnMut(&str),
) -> Result<Vec<Check>, kubeconfig::Error> {
    let subject = Subject::new(layout, options)?;
    let begun = Instant::now();
    loop {
        let mut facts = observe::observe(&subject).await;
        let checks = decide(&subject, &facts);
        match checks.iter().find_map(|check| still_starting(check, &facts)).or(unasked(options, &facts)) {
            Some(what) if begun.elapsed() < options.patience => waiting(what),
            _ => {
                facts.services = systemd::services(&SERVICES).await;
                return Ok(decide(&subject, &facts));
            }
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Why the cluster behind the API of this machine has not said yet what it keeps.
fn unasked<'a>(options: &CheckOptions, facts: &'a Facts) -> Option<&'a str> {
    match &facts.living {
        Living::Unasked(why) if options.asks_cluster && facts.api == ApiListener::Ours => Some(why),
        _ => None,
    }
}

/// What is wrong with a service that may only be starting.
fn still_starting<'a>(check: &'a Check, facts: &Facts) -> Option<&'a str> {
    let Outcome::Fail(problems) = &check.outcome else { return None };
    let may_settle = match check.name {
        "kubelet" => true,
        "container-runtime" => !matches!(facts.runtime, Runtime::Unseen(_)),
        "etcd" => facts.etcd.iter().all(|member| !member.answer.is_for_good()),
        _ => false,
    };
    problems.first().filter(|_| may_settle).map(|problem| problem.what.as_str())
}
