//! The parts of the pod ranges that nodes get: their sizes, and how many there are.

use ipnet::IpNet;

use super::input::{Input, is_off, only};
use crate::config::resolve::Argument;
use crate::config::{Component, Networking};
use crate::limits::table;
use crate::values::mistakes::{Given, Mistakes};

const BOTH: &str = "node-cidr-mask-size";
const IPV4: &str = "node-cidr-mask-size-ipv4";
const IPV6: &str = "node-cidr-mask-size-ipv6";
/// A node has an address itself, and needs room for a pod.
const SMALLEST_BITS: u8 = 2;

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    let manager = |name| input.argument(Component::ControllerManager, name);
    // Without the flag the controller manager hands out none, too.
    let is_none = |argument: &&Argument| argument.values.is_empty() || is_off(only(argument));
    if let Some(argument) = manager("allocate-node-cidrs").filter(is_none) {
        if input.config.networking == Networking::Flannel {
            let problem = "leaves nodes without ranges, which flannel reads from them";
            mistakes.refuse(
                &argument.at,
                only(argument).unwrap_or("null"),
                problem,
                "remove it, or write `networking: none`",
            );
        }
        return;
    }
    if let Some(argument) = manager("allocate-node-cidrs").filter(|_| input.config.has_listed_pod_ranges()) {
        let problem = "would assign other ranges than those that the list of machines has";
        mistakes.refuse(&argument.at, only(argument).unwrap_or_default(), problem, "remove it");
    }
    let before = mistakes.findings.len();
    refuse_unfit(input, sizes(input), mistakes);
    if mistakes.findings.len() > before || !input.ranges.whole {
        return;
    }
    for range in &input.ranges.pods {
        match size_for(input, range).and_then(|argument| Some((argument, only(argument)?))) {
            Some((argument, text)) => set_size(input, range, argument, text, mistakes),
            None => usual_size(input, range, mistakes),
        }
    }
}

/// The flags that set a size, those that do not left out.
fn sizes<'i>(input: &'i Input<'_>) -> [Option<&'i Argument>; 3] {
    let is_set = |argument: &&Argument| !matches!(only(argument), None | Some("0"));
    [BOTH, IPV4, IPV6].map(|name| input.argument(Component::ControllerManager, name).filter(is_set))
}

/// The flag that sets the size of a node's part of `range`.
pub(super) fn size_for<'i>(input: &'i Input<'_>, range: &Given<IpNet>) -> Option<&'i Argument> {
    let [both, ipv4, ipv6] = sizes(input);
    both.or(if range.value.addr().is_ipv4() { ipv4 } else { ipv6 })
}

/// The prefix length of a node's part of `range` without such a flag.
pub(super) fn usual(range: &Given<IpNet>) -> u8 {
    if range.value.addr().is_ipv4() { table::NODE_IPV4 } else { table::NODE_IPV6 }.number
}

/// The controller manager ends if it is given the flag of another number of families.
fn refuse_unfit(input: &Input<'_>, sizes: [Option<&Argument>; 3], mistakes: &mut Mistakes) {
    let mut refuse = |argument: &Argument, problem: &str, cure: String| {
        mistakes.refuse(&argument.at, only(argument).unwrap_or_default(), problem, cure);
    };
    let [both, ipv4, ipv6] = sizes;
    let families: Vec<bool> = input.ranges.pods.iter().map(|range| range.value.addr().is_ipv4()).collect();
    match families.as_slice() {
        [_, _, ..] => {
            if let Some(both) = both {
                let size = only(both).unwrap_or("24");
                let cure = format!("write {IPV4}: \"{size}\", and {IPV6} if nodes are not to get a /64");
                refuse(
                    both,
                    "is for one address family, and podCIDRs has two: the controller manager would end",
                    cure,
                );
            }
        }
        [is_ipv4] => {
            let (of_other, own) = if *is_ipv4 { (ipv6, IPV4) } else { (ipv4, IPV6) };
            if let Some(other) = of_other {
                refuse(
                    other,
                    "is for a family that podCIDRs does not have",
                    format!("write {own}, or remove it"),
                );
            } else if let (Some(_), Some(own)) = (both, ipv4.or(ipv6)) {
                refuse(own, "excludes node-cidr-mask-size, which is set, too", "keep one of them".into());
            }
        }
        [] => {}
    }
}

/// A size that the user sets.
fn set_size(
    input: &Input<'_>,
    range: &Given<IpNet>,
    argument: &Argument,
    text: &str,
    mistakes: &mut Mistakes,
) {
    let (length, most) = (range.value.prefix_len(), range.value.max_prefix_len());
    let smallest = most - SMALLEST_BITS;
    let Some(size) = text.parse::<u8>().ok().filter(|size| (1..=most).contains(size)) else {
        let cure = format!("write a whole number in quotes, from {length} to {smallest}");
        return mistakes.refuse(&argument.at, text, "is not a prefix length", cure);
    };
    let controllers = u32::from(input.config.control_plane.controllers);
    let longest =
        largest_difference(range).map_or(smallest, |bits| smallest.min(length.saturating_add(bits)));
    let shortest = length + bits_for(controllers);
    let problem = match () {
        () if size < length => {
            format!("is larger than the whole range of pods, {} of {}", range.value, range.at)
        }
        () if size < shortest => {
            format!("divides {} of {} into fewer ranges than there are controllers", range.value, range.at)
        }
        () if size > smallest => "leaves a node no address for a pod".into(),
        () if size > longest => format!(
            "divides {} of {} into more ranges than the controller manager can count",
            range.value, range.at
        ),
        () => return,
    };
    let cure = match shortest <= longest {
        true => format!("write a size from {shortest} to {longest}"),
        false => "choose a larger range of pods".into(),
    };
    mistakes.refuse(&argument.at, text, problem, cure);
}

/// The size that nodes get otherwise.
fn usual_size(input: &Input<'_>, range: &Given<IpNet>, mistakes: &mut Mistakes) {
    let node = usual(range);
    let controllers = u32::from(input.config.control_plane.controllers);
    let length = range.value.prefix_len();
    let nodes = node.checked_sub(length).map_or(0, |bits| 1_u128 << bits);
    if nodes < u128::from(controllers) {
        let needed = node - bits_for(controllers);
        mistakes.refuse(
            &range.at,
            &range.value.to_string(),
            format!("is too small: each of {controllers} controllers needs a /{node}"),
            format!("use /{needed} or a larger range"),
        );
    }
    if largest_difference(range).is_some_and(|most| node.saturating_sub(length) > most) {
        let problem = "is larger than the controller manager can divide into nodes' ranges";
        mistakes.refuse(&range.at, &range.value.to_string(), problem, "use /48 or a smaller range");
    }
}

fn largest_difference(range: &Given<IpNet>) -> Option<u8> {
    range.value.addr().is_ipv6().then_some(table::NODE_IPV6_BITS.number)
}

/// Bits that number `nodes` ranges.
fn bits_for(nodes: u32) -> u8 {
    u8::try_from(nodes.max(1).next_power_of_two().ilog2()).unwrap_or(u8::MAX)
}
