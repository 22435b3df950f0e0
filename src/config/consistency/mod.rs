//! Holds a configuration against itself, and against what the components that read it take, before
//! anything is written.
//!
//! Each value is valid by itself when it comes here. What it must agree with is asked here, and
//! nowhere else: addresses with ranges, ranges with each other, ports with ports, flags with fields
//! and limits. A finding names the value that the user wrote, not the default that it disagrees
//! with.

mod addresses;
mod flags;
mod leases;
mod node_ranges;
mod ports;
mod ranges;

use ipnet::IpNet;

use super::mistakes::{Given, Mistakes};
use super::resolve::{Argument, Ranges};
use super::settings::Settings;
use super::{ClusterConfig, Component};

/// A configuration with the places of its values.
pub(super) struct Input<'i> {
    pub settings: &'i Settings,
    pub ranges: &'i Ranges,
    pub arguments: &'i [Argument],
    pub config: &'i ClusterConfig,
}

/// Every disagreement becomes a finding.
pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    ranges::check(input, mistakes);
    node_ranges::check(input, mistakes);
    addresses::check(input, mistakes);
    ports::check(input, mistakes);
    flags::check(input, mistakes);
    leases::check(input, mistakes);
}

impl Input<'_> {
    /// The flag of a component, if the user sets it.
    fn argument(&self, part: Component, name: &str) -> Option<&Argument> {
        self.arguments.iter().find(|argument| argument.part == part && argument.name == name)
    }

    /// Minor version of Kubernetes 1.
    fn minor(&self) -> u32 {
        let minor = self.config.kubernetes_version.split('.').nth(1);
        minor.and_then(|minor| minor.parse().ok()).unwrap_or(*super::defaults::KUBERNETES_MINORS.end())
    }
}

/// Whether a range is the default, which the user did not write.
fn by_default(range: &Given<IpNet>) -> bool {
    range.at.ends_with("(default)")
}

/// The value of a flag that takes one.
fn only(argument: &Argument) -> Option<&str> {
    match argument.values.as_slice() {
        [value] => Some(value),
        _ => None,
    }
}
