//! Address ranges of pods and Services: one or two, of different families.

use ipnet::IpNet;

use super::super::defaults;
use super::super::settings::Settings;
use crate::values::mistakes::{Given, List, Mistakes};
use crate::values::scalar;

/// The ranges of a cluster, each with its place.
pub(in super::super) struct Ranges {
    pub pods: Vec<Given<IpNet>>,
    pub services: Vec<Given<IpNet>>,
    /// Whether nothing was wrong with any of them.
    pub whole: bool,
}

/// Both lists, each value by itself.
pub(super) fn read(settings: &Settings, mistakes: &mut Mistakes) -> Ranges {
    let before = mistakes.findings.len();
    let pods = list(settings.pod_cidrs.as_ref(), "podCIDRs", defaults::POD_CIDR, mistakes);
    let services = list(settings.service_cidrs.as_ref(), "serviceCIDRs", defaults::SERVICE_CIDR, mistakes);
    Ranges { pods, services, whole: mistakes.findings.len() == before }
}

/// One or two ranges, of different families, without host bits.
fn list(given: Option<&List>, field: &str, default: &str, mistakes: &mut Mistakes) -> Vec<Given<IpNet>> {
    let Some(list) = given else {
        return default
            .parse()
            .map(|cidr| Given::new(format!("{field} (default)"), cidr))
            .into_iter()
            .collect();
    };
    if list.value.is_empty() {
        mistakes.refuse(&list.at, "", "is an empty list", "name a CIDR, or leave the field out");
    }
    let mut cidrs = mistakes.check_all(&list.value, scalar::cidr);
    for cidr in &mut cidrs {
        let masked = cidr.value.trunc();
        if masked != cidr.value {
            mistakes.warn(&cidr.at, format!("{} is taken as {masked}", cidr.value));
            cidr.value = masked;
        }
    }
    if list.value.len() > 2 {
        let problem = format!("has {} CIDRs, Kubernetes takes one for each address family", list.value.len());
        mistakes.refuse(&list.at, "", problem, "keep one IPv4 CIDR, one IPv6 CIDR, or one of each");
    } else if let [first, second] = cidrs.as_slice()
        && family(first) == family(second)
    {
        let problem = format!("is a second {} CIDR", family(first));
        let cure = "keep one of them; dual stack is one IPv4 and one IPv6 CIDR";
        mistakes.refuse(&second.at, &second.value.to_string(), problem, cure);
    }
    cidrs
}

fn family(cidr: &Given<IpNet>) -> &'static str {
    if cidr.value.addr().is_ipv4() { "IPv4" } else { "IPv6" }
}
