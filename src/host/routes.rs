//! Where this machine sends packets, from /proc: networks and the interfaces that lead to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fs, io};

use ipnet::IpNet;

const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

/// A network that packets are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its destination.
    pub network: IpNet,
    /// Whether another machine passes the packets on. If not, the network begins at the interface.
    pub has_gateway: bool,
    /// Through which interface.
    pub interface: String,
}

/// The routes of this machine, without the default ones and those within the machine.
pub fn routes() -> io::Result<Vec<Route>> {
    let mut routes = parse(&fs::read_to_string("/proc/net/route")?, 1, v4);
    match fs::read_to_string("/proc/net/ipv6_route") {
        Ok(table) => routes.extend(parse(&table, 0, v6)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {} // IPv6 is disabled
        Err(error) => return Err(error),
    }
    Ok(routes)
}

fn parse(table: &str, heading: usize, line: fn(&[&str]) -> Option<Route>) -> Vec<Route> {
    let lines = table.lines().skip(heading);
    let routes = lines.filter_map(|text| line(&text.split_whitespace().collect::<Vec<_>>()));
    routes.filter(|route| route.network.prefix_len() > 0 && route.interface != "lo").collect()
}

/// `eth0 0002000A 00000000 0001 0 0 0 00FFFFFF …`: words are in the byte order of the machine.
fn v4(fields: &[&str]) -> Option<Route> {
    let word = |i: usize| u32::from_str_radix(fields.get(i)?, 16).ok();
    let address = |i: usize| Some(Ipv4Addr::from(word(i)?.to_ne_bytes()));
    let network = IpNet::with_netmask(address(1)?.into(), IpAddr::V4(address(7)?)).ok()?;
    route(network, word(3)?, fields.first()?)
}

/// `fd00… 40 0000… 00 0000… 00000400 00000001 00000000 00000001 eth0`.
fn v6(fields: &[&str]) -> Option<Route> {
    let address = Ipv6Addr::from(u128::from_str_radix(fields.first()?, 16).ok()?);
    let prefix = u8::from_str_radix(fields.get(1)?, 16).ok()?;
    let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
    route(IpNet::new(address.into(), prefix).ok()?, flags, fields.get(9)?)
}

fn route(network: IpNet, flags: u32, interface: &str) -> Option<Route> {
    let counts = flags & UP != 0 && flags & REJECT == 0;
    let has_gateway = flags & GATEWAY != 0;
    counts.then(|| Route { network, has_gateway, interface: interface.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn networks_gateways_and_interfaces_are_read_without_the_default() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
            eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\n\
            eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n\
            tun0\t0000020A\t0100000A\t0003\t0\t0\t0\t0000FFFF\n\
            *\t0000030A\t00000000\t0201\t0\t0\t0\t0000FFFF\n";
        let found = parse(table, 1, v4);
        let route = |network: &str, has_gateway, interface: &str| Route {
            network: network.parse().unwrap(),
            has_gateway,
            interface: interface.to_owned(),
        };
        assert_eq!(found, [route("10.0.0.0/24", false, "eth0"), route("10.2.0.0/16", true, "tun0")]);
    }

    #[test]
    fn ipv6_is_read() {
        let zero = "0".repeat(32);
        let line = format!(
            "fd000002000000000000000000000000 30 {zero} 00 {zero} 00000400 00000001 00000000 00000001 eth0\n"
        );
        assert_eq!(parse(&line, 0, v6)[0].network, "fd00:2::/48".parse().unwrap());
    }

    #[test]
    fn the_machine_at_hand_can_be_read() {
        routes().unwrap();
    }
}
