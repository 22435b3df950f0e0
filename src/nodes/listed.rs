//! A machine of the list with the places of its values, each of which is valid by itself.

use std::net::IpAddr;

use ipnet::IpNet;

use super::label::label;
use super::written::Written;
use super::{Node, Role, Taint};
use crate::values::mistakes::{Checked, Given, Mistakes, fault};
use crate::values::scalar;
use crate::values::spelling::{self, is_dns_name};

/// kubelet labels its Node with the name (`kubernetes.io/hostname`), and a label's value has this
/// many characters at most.
const LONGEST: usize = 63;

/// A machine. A value that was refused is left out.
pub struct Listed {
    /// Where it is: `nodes[0]`, `line 3`.
    pub at: String,
    pub name: Option<Given<String>>,
    pub role: Option<Given<Role>>,
    pub addresses: Vec<Given<IpAddr>>,
    pub pod_cidrs: Vec<Given<IpNet>>,
    labels: Vec<Given<(String, String)>>,
    pub taints: Vec<Given<Taint>>,
}

impl Listed {
    /// Reads every value by itself.
    pub fn read(written: &Written, mistakes: &mut Mistakes) -> Self {
        let Written { at, name, role, addresses, pod_cidrs, labels, taints } = written;
        let listed = Self {
            at: at.clone(),
            name: required(at, name.as_ref(), "has no name", "write the name of its Node", mistakes)
                .and_then(|name| checked(name, node_name, mistakes)),
            role: required(at, role.as_ref(), "has no role", "write controller or worker", mistakes)
                .and_then(|role| checked(role, scalar::word, mistakes)),
            addresses: mistakes.check_all(addresses, address),
            pod_cidrs: mistakes.check_all(pod_cidrs, range),
            labels: mistakes.check_all(labels, label),
            taints: mistakes.check_all(taints, Taint::read),
        };
        if addresses.is_empty() && listed.is_controller() {
            let cure = "write the address at which the other machines reach it";
            mistakes.refuse(at, "", "is a controller without an address", cure);
        }
        listed.refuse_second_of_a_family(mistakes);
        listed.refuse_repetitions(mistakes);
        listed
    }

    /// Whether it is to carry the control plane.
    pub fn is_controller(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.value == Role::Controller)
    }

    /// Its name, or its place where it has none.
    pub fn shown(&self) -> &str {
        self.name.as_ref().map_or(&self.at, |name| &name.value)
    }

    /// The machine. It is whole only if nothing was refused.
    pub fn node(&self) -> Node {
        Node {
            name: self.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
            role: self.role.as_ref().map_or(Role::Worker, |role| role.value),
            addresses: self.addresses.iter().map(|address| address.value).collect(),
            pod_cidrs: self.pod_cidrs.iter().map(|range| range.value).collect(),
            labels: self.labels.iter().map(|label| label.value.clone()).collect(),
            taints: self.taints.iter().map(|taint| taint.value.clone()).collect(),
        }
    }

    /// kubelet takes one address of each family, and pods have one range of each.
    fn refuse_second_of_a_family(&self, mistakes: &mut Mistakes) {
        let addresses =
            self.addresses.iter().map(|address| (&address.at, address.value, address.value.to_string()));
        refuse_second(addresses.collect(), "address", mistakes);
        let ranges =
            self.pod_cidrs.iter().map(|range| (&range.at, range.value.addr(), range.value.to_string()));
        refuse_second(ranges.collect(), "pod range", mistakes);
    }

    fn refuse_repetitions(&self, mistakes: &mut Mistakes) {
        for (index, label) in self.labels.iter().enumerate() {
            let key = &label.value.0;
            if self.labels[..index].iter().any(|earlier| earlier.value.0 == *key) {
                mistakes.refuse(
                    &label.at,
                    key,
                    "is a label that this machine has already",
                    "keep one of them",
                );
            }
        }
        for (index, taint) in self.taints.iter().enumerate() {
            let is_same = |earlier: &Given<Taint>| {
                earlier.value.key == taint.value.key && earlier.value.effect == taint.value.effect
            };
            if self.taints[..index].iter().any(is_same) {
                let problem = "has key and effect of a taint that this machine has already";
                mistakes.refuse(&taint.at, &taint.value.text(), problem, "keep one of them");
            }
        }
    }
}

fn required<'g>(
    at: &str,
    given: Option<&'g Given<String>>,
    problem: &str,
    cure: &str,
    mistakes: &mut Mistakes,
) -> Option<&'g Given<String>> {
    if given.is_none() {
        mistakes.refuse(at, "", problem, cure);
    }
    given
}

fn checked<T>(
    given: &Given<String>,
    parse: impl FnOnce(&str) -> Checked<T>,
    mistakes: &mut Mistakes,
) -> Option<Given<T>> {
    Some(Given::new(&given.at, mistakes.check(given, parse)?))
}

/// Each item: its place, an address of its family, its text.
fn refuse_second(items: Vec<(&String, IpAddr, String)>, what: &str, mistakes: &mut Mistakes) {
    for (index, (at, address, text)) in items.iter().enumerate() {
        if items[..index].iter().any(|(_, earlier, _)| earlier.is_ipv4() == address.is_ipv4()) {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let problem = format!("is a second {what} of {family}");
            mistakes.refuse(at, text, problem, "keep one; a dual-stack machine has one of each family");
        }
    }
}

fn node_name(text: &str) -> Checked<String> {
    if text.parse::<IpAddr>().is_ok() {
        return fault(
            "is an address, not a name",
            "write the machine's host name, and the address as its address",
        );
    }
    if text.len() > LONGEST {
        return fault(
            format!("has {} characters, and kubelet's label of it may have {LONGEST}", text.len()),
            "shorten it; the first part of a host name will do",
        );
    }
    if !is_dns_name(text) {
        let rule = "use lower-case letters, digits, dashes and dots, with a letter or digit at both ends";
        return Err(spelling::host_fault(text, "is not a name that a Node can have", rule, str::to_owned));
    }
    Ok(text.into())
}

fn address(text: &str) -> Checked<IpAddr> {
    text.parse().or_else(|_| {
        let corrected = spelling::corrected(text).filter(|host| host.parse::<IpAddr>().is_ok());
        let rule = "write one such as 192.0.2.10 or fd00::10";
        match corrected {
            Some(_) => Err(spelling::host_fault(text, "is not an address", rule, str::to_owned)),
            None => fault("is not an address", rule),
        }
    })
}

/// A range without host bits: one machine's range is not silently taken for its neighbour's.
fn range(text: &str) -> Checked<IpNet> {
    let range = scalar::cidr(text)?;
    match range.trunc() {
        first if first == range => Ok(range),
        first => fault("is an address within a range", format!("write the range, {first}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a machine of these words.
    fn findings(line: &str) -> Vec<String> {
        let mut mistakes = Mistakes::default();
        for written in super::super::lines::read(line, &mut mistakes) {
            Listed::read(&written, &mut mistakes);
        }
        mistakes.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_value_is_valid_by_itself() {
        let long = "a".repeat(64);
        for (line, place, problem, cure) in [
            ("Node_1 worker", "line 1: name: Node_1", "has the capital letter `N`", "write node-1"),
            ("n1. worker", "line 1: name: n1.", "ends in a dot", "write n1"),
            ("192.0.2.1 worker", "line 1: name: 192.0.2.1", "is an address", "host name"),
            (&format!("{long} worker"), "line 1: name", "has 64 characters", "shorten it"),
            ("n1", "line 1", "has no role", "write controller or worker"),
            ("n1 master 192.0.2.1", "line 1: role: master", "is not known", "use one of controller, worker"),
            ("n1 192.0.2.1", "line 1: role: 192.0.2.1", "is not known", "use one of controller"),
            ("n1 controller", "line 1", "a controller without an address", "write the address"),
            ("n1 worker 192.0.2.01", "line 1: addresses", "leading zero", "write 192.0.2.1"),
            ("n1 worker 192.0.2.1/24", "line 1: addresses", "has a `/` (/24)", "write 192.0.2.1"),
            ("n1 worker n1.example.com", "line 1: addresses", "is not an address", "such as 192.0.2.10"),
            (
                "n1 worker 192.0.2.1,192.0.2.2",
                "line 1: addresses: 192.0.2.2",
                "second address of IPv4",
                "keep one",
            ),
            ("n1 worker podCIDRs=10.2.1.0", "line 1: podCIDRs", "has no prefix length", "write 10.2.1.0/16"),
            (
                "n1 worker podCIDRs=10.2.1.1/24",
                "line 1: podCIDRs",
                "an address within a range",
                "10.2.1.0/24",
            ),
            (
                "n1 worker podCIDRs=10.2.1.0/24,10.2.2.0/24",
                "podCIDRs: 10.2.2.0/24",
                "second pod range",
                "keep one",
            ),
            ("n1 worker label=a=1 label=a=2", "line 1: label: a", "has already", "keep one"),
            (
                "n1 worker taint=a=1:NoExecute,a:NoExecute",
                "line 1: taint: a:NoExecute",
                "has already",
                "keep one",
            ),
            ("n1 worker taint=a", "line 1: taint: a", "has no effect", "write a:NoSchedule"),
        ] {
            let found = findings(line);
            let [one] = &found[..] else { panic!("{line}: {found:?}") };
            assert!(one.contains(place) && one.contains(problem) && one.contains(cure), "{line}: {one}");
        }
        for line in [
            "n1 worker",
            "n1.example.com worker 192.0.2.1,fd00::1 podCIDRs=10.2.1.0/24,fd00:2:0:1::/64",
            "n1 controller fd00::1 label=a=1,b=1 taint=a:NoExecute,a:NoSchedule",
        ] {
            assert_eq!(findings(line), [] as [&str; 0], "{line}");
        }
    }

    #[test]
    fn every_mistake_of_a_machine_is_found_at_once() {
        assert_eq!(findings("N1 boss x podCIDRs=y label=- taint=z").len(), 6);
    }
}
