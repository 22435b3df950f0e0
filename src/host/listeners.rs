//! Who listens on a TCP port of this machine, from /proc. Two apiservers can share a port; this tells them apart by address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fs, io};

/// State `LISTEN` in /proc/net/tcp.
const LISTEN: &str = "0A";

/// Addresses that `port` is listened on, one for each listener.
pub fn on_port(port: u16) -> io::Result<Vec<IpAddr>> {
    let mut found = parse(&fs::read_to_string("/proc/net/tcp")?, port);
    match fs::read_to_string("/proc/net/tcp6") {
        Ok(table) => found.extend(parse(&table, port)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {} // IPv6 is disabled
        Err(error) => return Err(error),
    }
    Ok(found)
}

fn parse(table: &str, port: u16) -> Vec<IpAddr> {
    table.lines().skip(1).filter_map(|line| listener(line, port)).collect()
}

/// The address of a line such as `0: 0100007F:192B 00000000:0000 0A …`, if it listens on `port`.
fn listener(line: &str, port: u16) -> Option<IpAddr> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, local_port) = fields.next()?.split_once(':')?;
    let state = fields.nth(1)?;
    let matches = state == LISTEN && u16::from_str_radix(local_port, 16) == Ok(port);
    if matches { parse_address(address) } else { None }
}

/// Four or sixteen bytes, as 32-bit words in the byte order of the machine.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |i: usize| u32::from_str_radix(text.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn real_listeners_are_found_with_their_addresses() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = one.local_addr().unwrap().port();
        let two = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let mut found = on_port(port).unwrap();
        found.sort();
        assert_eq!(found, ["127.0.0.1", "127.0.0.2"].map(|address| address.parse::<IpAddr>().unwrap()));
        drop(two);
        assert_eq!(on_port(port).unwrap(), [one.local_addr().unwrap().ip()]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_ipv6_wildcard_and_loopback_are_read() {
        let table = "  sl  local_address\n\
             0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A x\n\
             1: 00000000000000000000000001000000:192B 00000000000000000000000000000000:0000 0A x\n\
             2: 00000000000000000000000001000000:192B 00000000000000000000000000000000:0000 01 x\n";
        let found = parse(table, 6443);
        assert_eq!(found, ["::", "::1"].map(|address| address.parse::<IpAddr>().unwrap()));
    }
}
