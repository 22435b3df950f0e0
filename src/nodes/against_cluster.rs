//! The list against the rest of the configuration: how many controllers there are, and which
//! addresses their pods have.

use ipnet::IpNet;

use super::Effect;
use super::listed::Listed;
use crate::values::mistakes::{Given, Mistakes};

/// What the list must agree with.
pub struct Cluster<'a> {
    /// Where the list is.
    pub at: &'a str,
    /// `controlPlane.controllers`, if it is given.
    pub controllers: Option<&'a Given<u16>>,
    /// `controlPlane.workers`, if it is given.
    pub workers: Option<&'a Given<bool>>,
    /// Whether etcd is one member on the one controller.
    pub has_one_member: bool,
    /// Whether the controller manager assigns the ranges of pods, and the network reads them there.
    pub has_assigned_ranges: bool,
    /// The ranges of pods, each with the prefix length of a machine's part. Empty: one is wrong.
    pub pods: Vec<(&'a Given<IpNet>, u8)>,
}

/// Every disagreement becomes a finding.
pub fn check(listed: &[Listed], cluster: &Cluster<'_>, mistakes: &mut Mistakes) {
    let controllers = listed.iter().filter(|node| node.is_controller()).count();
    if listed.iter().all(|node| node.role.is_some()) {
        check_controllers(controllers, cluster, mistakes);
    }
    if controllers > 1 && cluster.has_one_member {
        let problem = format!(
            "names {controllers} controllers, and etcd.mode: staticPod is one member on one controller"
        );
        let cure =
            "keep one controller, or run etcd yourself on three or five machines and write `mode: external`";
        mistakes.refuse(cluster.at, "", problem, cure);
    }
    let worker = listed.iter().find(|node| node.role.is_some() && !node.is_controller());
    if let (Some(given), Some(worker)) = (cluster.workers.filter(|given| !given.value), worker) {
        let problem = format!("is not what the list says: {} is a worker", worker.shown());
        mistakes.refuse(&given.at, "false", problem, "leave it out");
    }
    listed.iter().filter(|node| node.is_controller()).for_each(|node| keeps_control_plane(node, mistakes));
    check_ranges(listed, cluster, mistakes);
}

/// The controller manager and the scheduler tolerate every taint that only keeps pods from being
/// scheduled.
fn keeps_control_plane(controller: &Listed, mistakes: &mut Mistakes) {
    for taint in controller.taints.iter().filter(|taint| taint.value.effect == Effect::NoExecute) {
        let problem = "keeps the controller manager and the scheduler off this controller";
        let text = format!("{}:NoExecute", taint.value.key);
        mistakes.refuse(&taint.at, &text, problem, "write NoSchedule, or leave it out");
    }
}

fn check_controllers(controllers: usize, cluster: &Cluster<'_>, mistakes: &mut Mistakes) {
    if controllers == 0 {
        let cure = "give one machine the role controller: `start` runs on it";
        mistakes.refuse(cluster.at, "", "names no controller", cure);
    }
    if let Some(given) = cluster.controllers.filter(|given| usize::from(given.value) != controllers) {
        let problem = format!("is another number than that of the list, which has {controllers}");
        mistakes.refuse(&given.at, &given.value.to_string(), problem, "leave it out, or complete the list");
    }
}

fn check_ranges(listed: &[Listed], cluster: &Cluster<'_>, mistakes: &mut Mistakes) {
    let Some(first) = listed.iter().flat_map(|node| &node.pod_cidrs).next() else { return };
    if cluster.has_assigned_ranges {
        let problem =
            "is for a network whose ranges are listed, and flannel's are assigned by the controller manager";
        let cure = "leave all podCIDRs of machines out, or write `networking: none`";
        mistakes.refuse(&first.at, &first.value.to_string(), problem, cure);
    }
    for node in listed.iter().filter(|_| !cluster.pods.is_empty()) {
        node.pod_cidrs.iter().for_each(|range| is_part(range, cluster, mistakes));
        has_all(node, cluster, mistakes);
    }
}

/// A machine's range is within the cluster's, and of the size that its machines get.
fn is_part(range: &Given<IpNet>, cluster: &Cluster<'_>, mistakes: &mut Mistakes) {
    let whole = cluster.pods.iter().find(|(pods, _)| is_same_family(&pods.value, &range.value));
    let (problem, cure) = match whole {
        None => (
            "is of a family of which the cluster has no range of pods".to_owned(),
            "leave it out, or add a range of that family to podCIDRs and serviceCIDRs".to_owned(),
        ),
        Some((_, size)) if range.value.prefix_len() != *size => (
            format!("is a /{}, and the pods of a machine have a /{size}", range.value.prefix_len()),
            format!("write a /{size}, or set {} of kube-controller-manager", mask_flag(&range.value)),
        ),
        Some((pods, _)) if !pods.value.contains(&range.value) => (
            format!("is not within {} of {}", pods.value, pods.at),
            "write a part of that range, or change podCIDRs".to_owned(),
        ),
        Some(_) => return,
    };
    mistakes.refuse(&range.at, &range.value.to_string(), problem, cure);
}

/// Where one machine has ranges, each has one of every family.
fn has_all(node: &Listed, cluster: &Cluster<'_>, mistakes: &mut Mistakes) {
    for (pods, size) in &cluster.pods {
        if !node.pod_cidrs.iter().any(|range| is_same_family(&pods.value, &range.value)) {
            let problem = format!("has no range of pods within {}, and other machines have one", pods.value);
            let cure = format!("add podCIDRs of a /{size} to it, or leave podCIDRs of all machines out");
            mistakes.refuse(&node.at, node.shown(), problem, cure);
        }
    }
}

/// The flag that sets the size. It is the one of its family with one family, too.
fn mask_flag(range: &IpNet) -> &'static str {
    if range.addr().is_ipv4() { "node-cidr-mask-size-ipv4" } else { "node-cidr-mask-size-ipv6" }
}

fn is_same_family(a: &IpNet, b: &IpNet) -> bool {
    a.addr().is_ipv4() == b.addr().is_ipv4()
}
