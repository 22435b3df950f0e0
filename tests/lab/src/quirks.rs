//! What is peculiar to the hosts that labs run on, and what a lab does about it. A user's machine
//! needs none of this. Everything that depends on the host is detected.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

const CAP_SYS_RESOURCE: u32 = 24;

/// Flags of kube-proxy in a lab, without their dashes: the limits it would set belong to the host's
/// own network namespace.
pub fn kube_proxy_args() -> [(&'static str, &'static str); 3] {
    [
        ("conntrack-max-per-core", "0"),
        ("conntrack-tcp-timeout-close-wait", "0s"),
        ("conntrack-tcp-timeout-established", "0s"),
    ]
}

/// What kubelet's configuration needs beyond that of a user's machine.
pub(crate) fn kubelet_config() -> Value {
    let mut config = json!({
        // The host's disk may be nearly full, and images that are deleted cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "100Mi"},
    });
    if has_separate_hierarchies() {
        config["failCgroupV1"] = json!(false);
    }
    config
}

/// containerd sets a pod's OOM score below its own, which not every root may.
pub(crate) fn must_restrict_oom_score() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    !has_capability(&status, CAP_SYS_RESOURCE)
}

fn has_separate_hierarchies() -> bool {
    !Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn has_capability(status: &str, capability: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    bits.is_some_and(|bits| bits & (1 << capability) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_bits() {
        let without = "Name:\tx\nCapEff:\t000001fffeffffff\n";
        assert!(!has_capability(without, CAP_SYS_RESOURCE));
        assert!(has_capability(without, 21));
        assert!(!has_capability("", 21));
    }
}
