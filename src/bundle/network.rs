//! The pods of one machine: a bridge, with addresses from the range that the list has for it. The
//! plugins are those of the distribution. Routes between machines are the user's.

use ipnet::IpNet;
use serde_json::json;

/// Runtimes take the first file by name.
pub const FILE: &str = "/etc/cni/net.d/10-bootkube.conflist";

/// The network. What leaves the machine gets the machine's address, since no router outside knows
/// the pods' own.
pub fn list(ranges: &[IpNet]) -> String {
    let subnets: Vec<_> = ranges.iter().map(|range| json!([{"subnet": range}])).collect();
    let all = |range: &IpNet| if range.addr().is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    let routes: Vec<_> = ranges.iter().map(|range| json!({"dst": all(range)})).collect();
    let list = json!({
        "cniVersion": "0.4.0",
        "name": "bootkube",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {"type": "host-local", "ranges": subnets, "routes": routes},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    format!("{list:#}\n")
}
