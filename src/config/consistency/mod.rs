//! Holds a configuration against itself, and against what the components that read it take, before
//! anything is written.
//!
//! Each value is valid by itself when it comes here. What it must agree with is asked here, and
//! nowhere else: addresses with ranges, ranges with each other, ports with ports, flags with fields
//! and limits, volumes with those that pods have already. A finding names the value that the user
//! wrote, not the default that it disagrees with.

mod addresses;
mod flags;
mod input;
mod leases;
mod node_ranges;
mod nodes;
mod ports;
mod programs;
mod ranges;
mod vital;
mod volumes;

pub(super) use input::Input;

use crate::values::mistakes::Mistakes;

/// Every disagreement becomes a finding.
pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    ranges::check(input, mistakes);
    node_ranges::check(input, mistakes);
    nodes::check(input, mistakes);
    addresses::check(input, mistakes);
    ports::check(input, mistakes);
    flags::check(input, mistakes);
    leases::check(input, mistakes);
    volumes::check(input, mistakes);
}
