//! The list of checks. Each is a pure function of what the assets need and what the machine has.

use std::str::FromStr;

use super::facts::Facts;
use super::ignored::{ALL, Ignored};
use super::outcome::{Check, Outcome};
use super::subject::Subject;
use super::{
    certificates, credentials, etcd, images, kernel, kubelet, leftovers, living_cluster, machine, network,
    pod_network, ports, settings, swap,
};

/// A check by its name.
pub(super) struct CheckSpec {
    /// Its name, also in `--ignore-preflight`.
    pub name: &'static str,
    /// What it makes sure of, for the documentation.
    pub about: &'static str,
    pub decide: fn(&Subject<'_>, &Facts) -> Outcome,
}

/// The first check: what the others find depends on it.
const ROOT: &str = "root";

/// Every check, in the order of the report: those that others depend on come first.
#[rustfmt::skip]
pub(super) const CHECKS: [CheckSpec; 29] = [
    CheckSpec { name: ROOT, about: "bootkube runs as root", decide: machine::root },
    CheckSpec { name: "clock", about: "no file of the machine is from the future", decide: machine::clock },
    CheckSpec { name: "space", about: "there is room for manifests, keys and etcd's data", decide: machine::space },
    CheckSpec { name: living_cluster::NAME, about: "the assets have what a cluster that runs here cannot change", decide: living_cluster::living_cluster },
    CheckSpec { name: "swap", about: "swap is off and stays off, or kubelet takes it", decide: swap::swap },
    CheckSpec { name: "kubelet", about: "kubelet runs and is healthy", decide: kubelet::health },
    CheckSpec { name: "kubelet-static-pods", about: "kubelet takes static pods from the folder that start writes to", decide: kubelet::static_pods },
    CheckSpec { name: "kubelet-certificates", about: "kubelet starts static pods before it has a certificate", decide: kubelet::certificates },
    CheckSpec { name: "kubelet-settings", about: "kubelet has the cluster's DNS, domain, CA and driver of control groups", decide: settings::settings },
    CheckSpec { name: "kubelet-credentials", about: "kubelet's token or certificate, and its CA of the API, are this cluster's", decide: credentials::credentials },
    CheckSpec { name: "container-runtime", about: "the container runtime answers and is ready", decide: kubelet::runtime },
    CheckSpec { name: "images", about: "images are on the machine or can be pulled", decide: images::images },
    CheckSpec { name: "ports", about: "the ports of the control plane are free, or held by this cluster", decide: ports::ports },
    CheckSpec { name: "etcd", about: "etcd answers and accepts the rendered certificates", decide: etcd::etcd },
    CheckSpec { name: "api-address", about: "the host of the API's URL has an address", decide: network::api_address },
    CheckSpec { name: "networks", about: "pods and services have networks that this machine is not in", decide: network::networks },
    CheckSpec { name: "pod-network", about: "nothing is left of another cluster's pod network", decide: pod_network::pod_network },
    CheckSpec { name: "forwarding", about: "the kernel forwards packets between pods and machines", decide: kernel::forwarding },
    CheckSpec { name: "bridge-netfilter", about: "packets between pods on one bridge pass the rules of Services", decide: kernel::bridge_netfilter },
    CheckSpec { name: "certificate-validity", about: "every certificate is valid now", decide: certificates::validity },
    CheckSpec { name: "certificate-keys", about: "every certificate belongs to its key", decide: certificates::keys },
    CheckSpec { name: "certificate-authorities", about: "every certificate is signed by the CA that it is verified with", decide: certificates::authorities },
    CheckSpec { name: "server-names", about: "the apiserver's certificate names the hosts it is asked by", decide: certificates::server_names },
    CheckSpec { name: "static-pods", about: "no other static pod is in the way", decide: leftovers::static_pods },
    CheckSpec { name: "bootstrap-secrets", about: "/etc/kubernetes/bootstrap-secrets is free or ours", decide: leftovers::bootstrap_secrets },
    CheckSpec { name: "etcd-keys", about: "/etc/kubernetes/etcd is free or ours", decide: leftovers::etcd_keys },
    CheckSpec { name: "control-plane-keys", about: "/etc/kubernetes/control-plane is free or ours", decide: leftovers::control_plane_keys },
    CheckSpec { name: "etcd-data", about: "the data folder of etcd is free or this cluster's", decide: leftovers::etcd_data },
    CheckSpec { name: "kubeadm", about: "kubeadm has not made this machine a controller", decide: leftovers::kubeadm },
];

/// Runs every check on the same facts.
pub(super) fn decide(subject: &Subject<'_>, facts: &Facts) -> Vec<Check> {
    let judge = |name, decide: fn(&Subject<'_>, &Facts) -> Outcome| {
        subject.options.ignored.apply(name, decide(subject, facts))
    };
    let living = judge(living_cluster::NAME, living_cluster::living_cluster);
    let check = |CheckSpec { name, about, decide }: &CheckSpec| {
        let outcome = living_cluster::superseded(name, &living).unwrap_or_else(|| judge(name, *decide));
        Check { name, about, outcome }
    };
    CHECKS.iter().map(check).collect()
}

/// The checks for a user who may not read the assets: without those, nothing but the user can be
/// checked.
pub(super) fn without_assets() -> Vec<Check> {
    let check = |CheckSpec { name, about, .. }: &CheckSpec| {
        let outcome = match *name {
            ROOT => machine::not_root(),
            _ => Outcome::Unknown(format!("this user may not read the assets, see {ROOT}")),
        };
        Check { name, about, outcome }
    };
    CHECKS.iter().map(check).collect()
}

/// One name, as `--ignore-preflight` takes it.
impl FromStr for Ignored {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        if name == ALL || CHECKS.iter().any(|check| check.name == name) {
            return Ok(Self::named(name));
        }
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).chain([ALL]).collect();
        Err(format!("there is no such check; the checks are {}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn checks_are_ignored_by_name_or_all_together() {
        let fail = || Outcome::fail("a", "b", "c");
        let is_ignored = |names: &[&str], name| {
            let ignored: Ignored = names.iter().map(|name| name.parse::<Ignored>().unwrap()).collect();
            matches!(ignored.apply(name, fail()), Outcome::Ignored(_))
        };
        assert!(is_ignored(&["Clock", "root"], "clock") && is_ignored(&["all"], "etcd"));
        assert!(!is_ignored(&["clock"], "etcd"));
        let error = "nothing".parse::<Ignored>().unwrap_err();
        assert!(error.contains("kubelet-static-pods") && error.contains("all"), "{error}");
    }

    #[test]
    fn every_check_has_a_name_of_its_own_that_fits_its_column() {
        let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
        assert!(CHECKS.iter().all(|check| !check.about.is_empty() && check.name.len() <= 23));
    }
}
