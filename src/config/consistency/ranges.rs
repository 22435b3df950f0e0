//! Ranges of pods and Services: they have no special meaning, do not overlap, are of the same
//! families, and have a size that Kubernetes takes.

use ipnet::IpNet;

use super::input::{Input, by_default};
use crate::config::Component;
use crate::limits::{networks, table};
use crate::values::mistakes::{Given, Mistakes};

/// Offset of the DNS Service's address in a service range.
const DNS_OFFSET: u32 = 10;

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    let (pods, services) = (&input.ranges.pods, &input.ranges.services);
    let before = mistakes.findings.len();
    for range in pods.iter().chain(services) {
        is_of_a_cluster(range, mistakes);
    }
    refuse_overlaps(pods, services, mistakes);
    for range in services {
        holds_dns(range, mistakes);
        fits_allocator(input, range, mistakes);
    }
    if mistakes.findings.len() == before && input.ranges.whole {
        refuse_unlike_families(pods, services, mistakes);
    }
}

/// A range that shares an address with loopback, multicast and the like belongs to no cluster.
fn is_of_a_cluster(range: &Given<IpNet>, mistakes: &mut Mistakes) {
    let Some(special) = networks::special(&range.value) else { return };
    let problem = format!("shares addresses with {}, which is {}", special.range, special.meaning);
    let cure = match range.value {
        IpNet::V4(_) => "choose a range from 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
        IpNet::V6(_) => "choose a range from fd00::/8",
    };
    mistakes.refuse(&range.at, &range.value.to_string(), problem, cure);
}

/// Compares every pair of ranges, of both lists.
fn refuse_overlaps(pods: &[Given<IpNet>], services: &[Given<IpNet>], mistakes: &mut Mistakes) {
    let all: Vec<&Given<IpNet>> = pods.iter().chain(services).collect();
    for (index, range) in all.iter().enumerate() {
        for earlier in &all[..index] {
            if networks::overlap(&range.value, &earlier.value) {
                // The user did not write the default: name the value that the user wrote.
                let (mistaken, other) =
                    if by_default(range) { (*earlier, *range) } else { (*range, *earlier) };
                let problem = format!("overlaps {} of {}", other.value, other.at);
                let cure = "choose ranges that share no address, nor any with the machines' networks";
                mistakes.refuse(&mistaken.at, &mistaken.value.to_string(), problem, cure);
            }
        }
    }
}

/// The tenth address must exist and, in IPv4, must not be the last one, which is never assigned.
fn holds_dns(range: &Given<IpNet>, mistakes: &mut Mistakes) {
    let bits = bits(&range.value);
    if bits < 31 && (1_u32 << bits) <= DNS_OFFSET + 1 {
        let smallest = range.value.max_prefix_len() - 4;
        mistakes.refuse(
            &range.at,
            &range.value.to_string(),
            "is too small for cluster DNS, which takes its tenth address",
            format!("use /{smallest} or a larger range; /24 leaves room for 250 Services"),
        );
    }
}

/// The apiserver allocates the addresses of Services.
fn fits_allocator(input: &Input<'_>, range: &Given<IpNet>, mistakes: &mut Mistakes) {
    let length = range.value.prefix_len();
    let longest = table::SERVICES_IPV6.number;
    if range.value.addr().is_ipv6() && length < longest {
        mistakes.refuse(
            &range.at,
            &range.value.to_string(),
            format!(
                "is larger than kube-apiserver allocates from: of IPv6 it takes /{longest} and smaller ranges"
            ),
            format!("use {}, which is enough for any number of Services", within(&range.value, 112)),
        );
    } else if keeps_bitmap(input) && bits(&range.value) > table::SERVICES_BITMAP.number {
        let shortest = range.value.max_prefix_len() - table::SERVICES_BITMAP.number;
        mistakes.refuse(
            &range.at,
            &range.value.to_string(),
            format!("is larger than kube-apiserver takes while {}=false keeps its bitmap", table::NO_BITMAP),
            format!("use /{shortest} or a smaller range, or leave the feature gate alone"),
        );
    }
}

/// Whether the apiserver also keeps its allocations in the bitmap of earlier versions.
fn keeps_bitmap(input: &Input<'_>) -> bool {
    let off = format!("{}=false", table::NO_BITMAP);
    let gates = input.argument(Component::Apiserver, "feature-gates");
    let mut words = gates.iter().flat_map(|gates| gates.values.iter().flat_map(|value| value.split(',')));
    input.minor() <= table::LAST_WITH_BITMAP && words.any(|word| word.trim() == off)
}

/// The first part of `range` that has prefix length `length`.
fn within(range: &IpNet, length: u8) -> String {
    format!("{}/{length}", range.network())
}

fn bits(range: &IpNet) -> u8 {
    range.max_prefix_len() - range.prefix_len()
}

/// Pods and Services must have the same address families in the same order.
fn refuse_unlike_families(pods: &[Given<IpNet>], services: &[Given<IpNet>], mistakes: &mut Mistakes) {
    let families = |ranges: &[Given<IpNet>]| ranges.iter().map(family).collect::<Vec<_>>();
    let (of_pods, of_services) = (families(pods), families(services));
    if of_pods == of_services {
        return;
    }
    let wanted = of_pods.join(" then ");
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

fn family(range: &Given<IpNet>) -> &'static str {
    if range.value.addr().is_ipv4() { "IPv4" } else { "IPv6" }
}
