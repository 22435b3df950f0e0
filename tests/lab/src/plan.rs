//! Names and addresses of a lab, derived from its folder, so that two labs never ask for the same.
//! Pure.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cache::hex;

/// What a lab is called where the host could see it, and the network its machines are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    id: String,
    net: (u8, u8),
}

impl Plan {
    /// The plan of the lab in this folder, which is an absolute path.
    pub fn of(folder: &Path) -> Self {
        let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        Self { id: hex(&digest[..6]), net: (64 + digest[6] % 64, digest[7]) }
    }

    /// Twelve hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The switch: default gateway of the machines, and the place outside of them.
    pub fn gateway(&self) -> Ipv4Addr {
        self.host(1)
    }

    /// Address of the machine with this number, counted from 1.
    pub fn machine(&self, number: u8) -> Ipv4Addr {
        self.host(10 + number)
    }

    /// The switch's other address.
    pub fn gateway6(&self) -> Ipv6Addr {
        self.host6(1)
    }

    /// The machine's other address.
    pub fn machine6(&self, number: u8) -> Ipv6Addr {
        self.host6(10 + u16::from(number))
    }

    /// Where the pods of a machine get their addresses.
    pub fn pods(&self, number: u8) -> String {
        format!("10.2.{}.0/24", number - 1)
    }

    /// Where they get their IPv6 addresses.
    pub fn pods6(&self, number: u8) -> String {
        format!("fd00:2:0:{:x}::/64", number - 1)
    }

    fn host6(&self, last: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0x10, self.net.0.into(), self.net.1.into(), 0, 0, 0, last)
    }

    fn host(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net.0, self.net.1, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_always_has_the_same_plan_and_another_folder_another_one() {
        let plan = Plan::of(Path::new("/somewhere/lab"));
        assert_eq!(plan, Plan::of(Path::new("/somewhere/lab")));
        assert_ne!(plan.id(), Plan::of(Path::new("/elsewhere/lab")).id());
    }

    #[test]
    fn machines_stay_clear_of_the_pod_and_service_networks() {
        for folder in 0..500 {
            let plan = Plan::of(Path::new(&format!("/lab/{folder}")));
            assert!(plan.machine(1).octets()[1] >= 64, "10.2 and 10.3 belong to the cluster");
            assert_ne!(plan.gateway(), plan.machine(1));
        }
        assert_eq!(Plan::of(Path::new("/lab")).pods(3), "10.2.2.0/24");
    }
}
