//! Address ranges with a meaning of their own (RFC 6890). Neither pods nor Services nor machines
//! can have addresses from them.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range with a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// The range.
    pub range: IpNet,
    /// What its addresses are, for messages: "… is loopback".
    pub meaning: &'static str,
}

const fn v4(address: [u8; 4], length: u8, meaning: &'static str) -> Special {
    let [a, b, c, d] = address;
    let range = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length));
    Special { range, meaning }
}

const fn v6(bits: u128, length: u8, meaning: &'static str) -> Special {
    let range = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), length));
    Special { range, meaning }
}

/// 240.0.0.0/4 is not here: clouds give it to pods.
const SPECIAL: [Special; 10] = [
    v4([0, 0, 0, 0], 8, "unspecified: it stands for a machine that has no address yet"),
    v4([127, 0, 0, 0], 8, "loopback, which never leaves a machine"),
    v4([169, 254, 0, 0], 16, "link-local, which no router forwards"),
    v4([224, 0, 0, 0], 4, "multicast, which addresses groups of machines"),
    v4([255, 255, 255, 255], 32, "broadcast, which addresses all machines"),
    v6(0, 128, "unspecified: it stands for a machine that has no address yet"),
    v6(1, 128, "loopback, which never leaves a machine"),
    v6(0xffff_0000_0000, 96, "IPv4 written as IPv6, which Kubernetes takes for IPv4"),
    v6(0xfe80 << 112, 10, "link-local, which no router forwards"),
    v6(0xff00 << 112, 8, "multicast, which addresses groups of machines"),
];

/// The special range that shares an address with `range`, if one does.
pub fn special(range: &IpNet) -> Option<Special> {
    SPECIAL.into_iter().find(|special| overlap(&special.range, range))
}

/// The special range that `address` is in, if it is in one.
pub fn special_address(address: IpAddr) -> Option<Special> {
    special(&IpNet::from(address))
}

/// Whether two ranges share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_ranges_are_found_and_ranges_of_pods_are_not() {
        for (range, meaning) in [
            ("0.0.0.0/0", "unspecified"),
            ("127.0.0.0/24", "loopback"),
            ("126.0.0.0/7", "loopback"),
            ("169.254.0.0/16", "link-local"),
            ("230.0.0.0/24", "multicast"),
            ("255.255.255.0/24", "broadcast"),
            ("::/64", "unspecified"),
            ("::1/128", "loopback"),
            ("::ffff:10.2.0.0/112", "IPv4 written as IPv6"),
            ("fe80::/64", "link-local"),
            ("ff02::/16", "multicast"),
        ] {
            let found = special(&range.parse().unwrap()).expect(range);
            assert!(found.meaning.starts_with(meaning), "{range}: {}", found.meaning);
        }
        for range in
            ["10.0.0.0/8", "100.64.0.0/10", "192.0.2.0/24", "240.0.0.0/8", "fd00::/8", "2001:db8::/32"]
        {
            assert_eq!(special(&range.parse().unwrap()), None, "{range}");
        }
    }
}
