//! Address ranges of pods and Services: one or two families, large enough, without overlap.

use ipnet::IpNet;

use super::super::mistakes::{Given, List, Mistakes};
use super::super::scalar;
use super::super::settings::Settings;
use super::super::{Component, defaults};

/// Offset of the DNS Service's address in a service range.
const DNS_OFFSET: u32 = 10;

pub(super) struct Networks {
    pub pods: Vec<IpNet>,
    pub services: Vec<IpNet>,
}

/// Both lists, checked one by one and against each other.
pub(super) fn read(settings: &Settings, controllers: u16, mistakes: &mut Mistakes) -> Networks {
    let before = mistakes.findings.len();
    let pods = list(settings.pod_cidrs.as_ref(), "podCIDRs", defaults::POD_CIDR, mistakes);
    let services = list(settings.service_cidrs.as_ref(), "serviceCIDRs", defaults::SERVICE_CIDR, mistakes);
    refuse_overlaps(&pods, &services, mistakes);
    for cidr in &services {
        holds_dns(cidr, mistakes);
    }
    if !has_mask_of_its_own(settings) {
        for cidr in &pods {
            holds_nodes(cidr, controllers, mistakes);
        }
    }
    if mistakes.findings.len() == before {
        refuse_unlike_families(&pods, &services, mistakes);
    }
    let values = |cidrs: Vec<Given<IpNet>>| cidrs.into_iter().map(|cidr| cidr.value).collect();
    Networks { pods: values(pods), services: values(services) }
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

/// Compares every pair of ranges, of both lists.
fn refuse_overlaps(pods: &[Given<IpNet>], services: &[Given<IpNet>], mistakes: &mut Mistakes) {
    let all: Vec<&Given<IpNet>> = pods.iter().chain(services).collect();
    for (index, cidr) in all.iter().enumerate() {
        for earlier in &all[..index] {
            let (a, b) = (&cidr.value, &earlier.value);
            if a.contains(b) || b.contains(a) {
                // The user did not write the default: name the value that the user wrote.
                let default = cidr.at.ends_with("(default)");
                let (mistaken, other) = if default { (*earlier, *cidr) } else { (*cidr, *earlier) };
                let problem = format!("overlaps {} of {}", other.value, other.at);
                let cure = "choose ranges that share no address, nor any with the machines' networks";
                mistakes.refuse(&mistaken.at, &mistaken.value.to_string(), problem, cure);
            }
        }
    }
}

/// The tenth address must exist and, in IPv4, must not be the last one, which is never assigned.
fn holds_dns(cidr: &Given<IpNet>, mistakes: &mut Mistakes) {
    let bits = u32::from(cidr.value.max_prefix_len() - cidr.value.prefix_len());
    if bits < 31 && (1_u32 << bits) <= DNS_OFFSET + 1 {
        let smallest = cidr.value.max_prefix_len() - 4;
        mistakes.refuse(
            &cidr.at,
            &cidr.value.to_string(),
            "is too small for cluster DNS, which takes its tenth address",
            format!("use /{smallest} or a larger range; /24 leaves room for 250 Services"),
        );
    }
}

/// Every node gets a /24 or /64 of its own, and the controller manager divides IPv6 ranges no
/// larger than /48.
fn holds_nodes(cidr: &Given<IpNet>, controllers: u16, mistakes: &mut Mistakes) {
    let node = if cidr.value.addr().is_ipv4() { 24 } else { 64 };
    let spare = node as i32 - i32::from(cidr.value.prefix_len());
    let nodes = u32::try_from(spare).map_or(0, |spare| 1_u64.checked_shl(spare).unwrap_or(u64::MAX));
    if nodes < u64::from(controllers) {
        let needed = node - u32::from(controllers.max(1)).next_power_of_two().ilog2();
        mistakes.refuse(
            &cidr.at,
            &cidr.value.to_string(),
            format!("holds a /{node} for {nodes} of {controllers} controllers, and every node needs one"),
            format!("use /{needed} or a larger range"),
        );
    }
    if node == 64 && spare > 16 {
        mistakes.refuse(
            &cidr.at,
            &cidr.value.to_string(),
            "is larger than the controller manager can divide into nodes' ranges",
            "use /48 or a smaller range",
        );
    }
}

/// Whether the user sets the size of the nodes' ranges. Then the user has to know how many fit.
fn has_mask_of_its_own(settings: &Settings) -> bool {
    let component = settings.components.get(&Component::ControllerManager);
    component.is_some_and(|component| {
        component.extra_args.iter().any(|(flag, _)| flag.starts_with("node-cidr-mask-size"))
    })
}

/// Pods and Services must have the same address families in the same order.
fn refuse_unlike_families(pods: &[Given<IpNet>], services: &[Given<IpNet>], mistakes: &mut Mistakes) {
    let families = |cidrs: &[Given<IpNet>]| cidrs.iter().map(family).collect::<Vec<_>>();
    let (of_pods, of_services) = (families(pods), families(services));
    if of_pods == of_services {
        return;
    }
    let wanted = of_pods.join(" then ");
    let by_default = |cidr: &Given<IpNet>| cidr.at.ends_with("(default)");
    let (mistaken, wanted) = match services.first() {
        Some(service) if by_default(service) => (pods.first(), of_services.join(" then ")),
        first => (first, wanted),
    };
    let Some(mistaken) = mistaken else { return };
    let at = mistaken.at.split('[').next().unwrap_or_default();
    let problem = format!("pods have {} and Services {}", of_pods.join(" then "), of_services.join(" then "));
    let cure = format!("give both the same families in the same order, here {wanted}, or change the other");
    mistakes.refuse(at, "", problem, cure);
}

fn family(cidr: &Given<IpNet>) -> &'static str {
    if cidr.value.addr().is_ipv4() { "IPv4" } else { "IPv6" }
}
