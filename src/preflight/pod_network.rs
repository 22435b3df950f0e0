//! Check for what another cluster's pod network left: configurations that the runtime would take instead of
//! flannel's, and interfaces with addresses of other pods.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::facts::{ApiListener, Facts};
use super::leftovers::has_begun;
use super::outcome::{Outcome, Problem};
use super::subject::Subject;

pub fn pod_network(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    if !subject.has_flannel() {
        return Outcome::Pass("the cluster's pod network is not flannel, and is not checked".into());
    }
    let ranges = subject.networks().into_iter().filter(|(whose, _)| *whose == "pods").map(|(_, range)| range);
    let mut problems = of_interfaces(&facts.pod_network.interfaces, &ranges.collect::<Vec<_>>());
    // A running cluster may have plugins of its own, which write files beside flannel's.
    let is_new = facts.api != ApiListener::Ours && !has_begun(subject, facts);
    let others = match (&facts.pod_network.configurations, subject.network_configuration()) {
        (Ok(found), Some(ours)) if is_new => of_files(found, &ours),
        (Err(why), _) if problems.is_empty() => return Outcome::Unknown(why.clone()),
        _ => (Vec::new(), Vec::new()),
    };
    problems.extend(others.0);
    match problems.is_empty() {
        true => Outcome::from_warnings(others.1, "nothing is left of another one"),
        false => Outcome::Fail(problems),
    }
}

/// The runtime takes the first file. A later one only serves until flannel's is there.
fn of_files(found: &[PathBuf], ours: &str) -> (Vec<Problem>, Vec<Problem>) {
    let problem = |file: &PathBuf, why: &str| {
        let file = file.display();
        Problem::new(
            format!("{file} configures another pod network than this cluster's"),
            why,
            format!("if nothing needs it, move it away: mv -n {file} /root/"),
        )
    };
    let first = format!("the runtime takes the first file of that folder, and flannel's is {ours}");
    let later = format!("the runtime takes it for pods that start before flannel has written {ours}");
    let others = found.iter().filter(|file| file.as_path() != Path::new(ours));
    let (before, after): (Vec<_>, Vec<_>) = others.partition(|file| file.as_path() < Path::new(ours));
    let of = |files: Vec<&PathBuf>, why: &str| files.into_iter().map(|file| problem(file, why)).collect();
    (of(before, &first), of(after, &later))
}

/// The bridge plugin refuses a bridge with another address, and so no pod starts.
fn of_interfaces(interfaces: &[(String, IpAddr)], ranges: &[IpNet]) -> Vec<Problem> {
    let is_foreign = |(_, address): &&(String, IpAddr)| !ranges.iter().any(|range| range.contains(address));
    let listed: Vec<String> = ranges.iter().map(ToString::to_string).collect();
    let problem = |(name, address): &(String, IpAddr)| {
        Problem::new(
            format!("interface {name} is of another cluster's pod network"),
            format!("it has {address}, and this cluster's pods are in {}", listed.join(", ")),
            format!("if that cluster is gone, remove it: ip link delete {name}"),
        )
    };
    interfaces.iter().filter(is_foreign).map(problem).collect()
}
