//! TCP sockets of this machine, asked of the kernel (sock_diag): the listeners on a port, and the
//! socket that accepted a connection. Works in any process of the host's network namespace; needs
//! no privilege.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr as NetlinkAddress};

use super::addresses;

/// A socket that takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// The kernel's number for it: two listeners never have the same one, and a process that opens
    /// it anew gets a new one.
    pub inode: u32,
    /// What it is bound to.
    pub address: IpAddr,
    /// The user whose process opened it.
    pub uid: u32,
}

/// Length of the queue of a socket that listens only to attach a steering program. The kernel reports
/// the lengths of queues, so any process can tell such a socket from a listener. No program is known
/// to ask for this length.
pub(in crate::host) const ATTACHING: i32 = 113;

/// The listeners on `port`, by inode, without sockets that only attach a steering program.
pub fn listeners(port: u16) -> io::Result<Vec<Listener>> {
    sockets(port, |header| header.send_queue != ATTACHING as u32)
}

/// Every socket that listens on `port`, by inode.
#[cfg(test)]
pub(in crate::host) fn all(port: u16) -> io::Result<Vec<Listener>> {
    sockets(port, |_| true)
}

fn sockets(port: u16, is_meant: impl Fn(&InetResponseHeader) -> bool) -> io::Result<Vec<Listener>> {
    let of = |header: InetResponseHeader| Listener {
        inode: header.inode,
        address: header.socket_id.source_address,
        uid: header.uid,
    };
    let mut found: Vec<_> =
        dump(port, 0, &StateFlags::LISTEN)?.into_iter().filter(is_meant).map(of).collect();
    found.sort();
    Ok(found)
}

/// Addresses that `port` is listened on, one for each listener.
pub fn on_port(port: u16) -> io::Result<Vec<IpAddr>> {
    Ok(listeners(port)?.into_iter().map(|listener| listener.address).collect())
}

/// Addresses of this machine at which each listener on `port` is reached, in the order of
/// [`addresses::local`]. One address for each, so that no listener gets a question twice.
pub fn endpoints(port: u16) -> io::Result<Vec<SocketAddr>> {
    let reached = reached(&on_port(port)?, addresses::local()?);
    Ok(reached.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Those of `local` that have a listener of their own, and for each wildcard the first that leads
/// to it.
fn reached(bound: &[IpAddr], local: Vec<IpAddr>) -> Vec<IpAddr> {
    let [v4, v6] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    // The wildcard of IPv6 takes connections of IPv4, too, where IPv4 has none of its own.
    let wildcard = |address: &IpAddr| if address.is_ipv4() && bound.contains(&v4) { v4 } else { v6 };
    let mut led_to = BTreeSet::new();
    let mut is_first = |address: &IpAddr| {
        let wildcard = wildcard(address);
        bound.contains(&wildcard) && led_to.insert(wildcard)
    };
    local.into_iter().filter(|address| bound.contains(address) || is_first(address)).collect()
}

/// Inode of the socket of this machine that has accepted the connection from `peer` to `port`.
pub fn accepted(port: u16, peer: SocketAddr) -> io::Result<Option<u32>> {
    let is_it = |header: &InetResponseHeader| {
        header.inode != 0 && header.socket_id.destination_address.to_canonical() == peer.ip().to_canonical()
    };
    let found = dump(port, peer.port(), &StateFlags::ESTABLISHED)?;
    Ok(found.into_iter().find(is_it).map(|header| header.inode))
}

fn dump(port: u16, peer_port: u16, states: &StateFlags) -> io::Result<Vec<InetResponseHeader>> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&NetlinkAddress::new(0, 0))?;
    let mut found = Vec::new();
    for (family, any) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        let socket_id = SocketId { source_port: port, destination_port: peer_port, ..any };
        let extensions = ExtensionFlags::empty();
        let request =
            InetRequest { family, protocol: IPPROTO_TCP, extensions, states: states.clone(), socket_id };
        send(&socket, request)?;
        receive(&socket, &mut found)?;
    }
    Ok(found)
}

fn send(socket: &Socket, request: InetRequest) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map(drop)
}

/// Reads to the end of a dump.
fn receive(socket: &Socket, found: &mut Vec<InetResponseHeader>) -> io::Result<()> {
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).map_err(io::Error::other)?;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    found.push(response.header);
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            let length = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(length..).filter(|_| length > 0).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn listeners_are_found_with_their_addresses() {
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
    fn each_listener_is_reached_at_one_address() {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let local = || ips(&["10.0.0.5", "172.17.0.1", "fd00::5", "127.0.0.1", "::1"]);
        let reached = |bound: &[&str]| reached(&ips(bound), local());
        assert_eq!(reached(&["::"]), ips(&["10.0.0.5"]));
        assert_eq!(reached(&["::", "::"]), ips(&["10.0.0.5"]), "two that share a port");
        assert_eq!(reached(&["0.0.0.0", "10.0.0.5"]), ips(&["10.0.0.5", "172.17.0.1"]));
        assert_eq!(reached(&["127.0.0.1", "fd00::5"]), ips(&["fd00::5", "127.0.0.1"]));
        assert_eq!(reached(&["0.0.0.0", "::"]), ips(&["10.0.0.5", "fd00::5"]), "one of each family");
        assert_eq!(super::reached(&ips(&["0.0.0.0"]), ips(&["fd00::5", "::1"])), ips(&[]));
        assert_eq!(reached(&[]), ips(&[]));
    }

    #[test]
    fn a_wildcard_of_both_families_is_found_once() {
        let any = TcpListener::bind("[::]:0").unwrap();
        let found = on_port(any.local_addr().unwrap().port()).unwrap();
        assert_eq!(found, [any.local_addr().unwrap().ip()]);
    }

    #[test]
    fn a_connection_is_found_when_it_was_accepted() {
        let any = TcpListener::bind("[::]:0").unwrap();
        let port = any.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let peer = client.local_addr().unwrap();
        assert_eq!(accepted(port, peer).unwrap(), None);
        let _server = any.accept().unwrap();
        let inode = accepted(port, peer).unwrap();
        assert!(inode.is_some_and(|inode| inode != listeners(port).unwrap()[0].inode));
    }
}
