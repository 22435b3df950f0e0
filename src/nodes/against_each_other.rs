//! The machines of a list against each other: no two are one, and no two have the same pods.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::listed::Listed;
use crate::values::mistakes::Mistakes;

/// Every disagreement becomes a finding at the later machine.
pub fn check(listed: &[Listed], mistakes: &mut Mistakes) {
    refuse_same_names(listed, mistakes);
    refuse_same_addresses(listed, mistakes);
    refuse_overlaps(listed, mistakes);
}

fn refuse_same_names(listed: &[Listed], mistakes: &mut Mistakes) {
    let mut seen = BTreeMap::new();
    for name in listed.iter().filter_map(|node| node.name.as_ref()) {
        if let Some(earlier) = seen.insert(&name.value, &name.at) {
            let problem = format!("is the name of {earlier}, too");
            mistakes.refuse(&name.at, &name.value, problem, "give each machine a name of its own");
        }
    }
}

fn refuse_same_addresses(listed: &[Listed], mistakes: &mut Mistakes) {
    let mut seen = BTreeMap::new();
    for (node, address) in
        listed.iter().flat_map(|node| node.addresses.iter().map(move |address| (node, address)))
    {
        if let Some(earlier) = seen.insert(address.value, node.shown()) {
            let problem = format!("is an address of {earlier}, too");
            let cure = "give each machine an address of its own";
            mistakes.refuse(&address.at, &address.value.to_string(), problem, cure);
        }
    }
}

/// A range either lies within another or shares nothing with it, so after sorting an overlap is
/// one with a range before it that has not ended.
fn refuse_overlaps(listed: &[Listed], mistakes: &mut Mistakes) {
    let mut ranges: Vec<_> =
        listed.iter().flat_map(|node| node.pod_cidrs.iter().map(move |range| (range, node))).collect();
    ranges.sort_by_key(|(range, _)| (range.value.network(), range.value.prefix_len()));
    let mut last: Option<(&IpNet, &Listed)> = None;
    for (range, node) in ranges {
        match last {
            Some((earlier, owner)) if IpNet::contains(earlier, &range.value) => {
                let problem = format!("overlaps {earlier} of {}", owner.shown());
                let cure = "give each machine a range of its own";
                mistakes.refuse(&range.at, &range.value.to_string(), problem, cure);
            }
            _ => last = Some((&range.value, node)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(lines: &str) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        let written = super::super::lines::read(lines, &mut mistakes);
        let listed: Vec<Listed> = written.iter().map(|one| Listed::read(one, &mut mistakes)).collect();
        check(&listed, &mut mistakes);
        mistakes.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_two_machines_are_one() {
        for (lines, wanted) in [
            ("a worker\na worker", "line 2: name: a: is the name of line 1: name, too; give each"),
            (
                "a worker 10.0.0.1\nb worker 10.0.0.1",
                "line 2: addresses: 10.0.0.1: is an address of a, too; give",
            ),
            (
                "a worker fd00::1\nb worker fd00:0::1",
                "line 2: addresses: fd00::1: is an address of a, too; give",
            ),
            (
                "a worker podCIDRs=10.2.0.0/24\nb worker podCIDRs=10.2.0.0/24",
                "line 2: podCIDRs: 10.2.0.0/24: overlaps",
            ),
            (
                "a worker podCIDRs=10.2.0.0/23\nb worker podCIDRs=10.2.1.0/24",
                "10.2.1.0/24: overlaps 10.2.0.0/23 of a",
            ),
            (
                "b worker podCIDRs=10.2.1.0/24\na worker podCIDRs=10.2.0.0/23",
                "10.2.1.0/24: overlaps 10.2.0.0/23 of a",
            ),
            (
                "a worker podCIDRs=fd00:2::/63\nb worker podCIDRs=fd00:2:0:1::/64",
                "fd00:2:0:1::/64: overlaps fd00:2::/63 of a",
            ),
        ] {
            let found = findings(lines);
            let [one] = &found[..] else { panic!("{lines}: {found:?}") };
            assert!(one.contains(wanted), "{lines}: {one}");
        }
        let fine = "a worker 10.0.0.1 podCIDRs=10.2.0.0/24\nb worker 10.0.0.2 podCIDRs=10.2.1.0/24";
        assert_eq!(findings(fine), [] as [&str; 0]);
    }

    #[test]
    fn each_overlap_is_found_however_many_machines_lie_between() {
        let lines = "a worker podCIDRs=10.2.0.0/22\nb worker podCIDRs=10.2.0.0/24\n\
                     c worker podCIDRs=10.2.9.0/24\nd worker podCIDRs=10.2.3.0/24";
        assert_eq!(findings(lines).len(), 2);
    }
}
