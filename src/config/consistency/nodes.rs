//! The list of machines against the rest of the configuration.

use super::input::{Input, only};
use super::node_ranges::{size_for, usual};
use crate::config::{Etcd, Networking};
use crate::nodes::{self, Cluster};
use crate::values::mistakes::Mistakes;

pub(super) fn check(input: &Input<'_>, mistakes: &mut Mistakes) {
    let Some(at) = input.settings.nodes.at.as_deref().filter(|_| !input.listed.is_empty()) else { return };
    let size = |range| {
        let given = size_for(input, range).and_then(only).and_then(|size| size.parse().ok());
        given.unwrap_or_else(|| usual(range))
    };
    let pods = input.ranges.pods.iter().filter(|_| input.ranges.whole);
    let cluster = Cluster {
        at,
        controllers: input.settings.control_plane.controllers.as_ref(),
        workers: input.settings.control_plane.workers.as_ref(),
        has_one_member: input.config.etcd == Etcd::StaticPod,
        has_assigned_ranges: input.config.networking == Networking::Flannel,
        pods: pods.map(|range| (range, size(range))).collect(),
    };
    nodes::check_with(input.listed, &cluster, mistakes);
}
