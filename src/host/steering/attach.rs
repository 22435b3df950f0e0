//! The only file that calls the kernel through libc, because no safe interface has
//! SO_ATTACH_REUSEPORT_CBPF.
#![allow(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Uid;
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use super::program::{Aim, Instruction, build};
use crate::host::sockets;

/// How long the kernel may take to put an established connection into the queue of a listener. It
/// takes microseconds, or as long as a busy machine has other things to do.
const QUEUEING: Duration = Duration::from_secs(10);

/// Attaches `program` to the listeners of `user` at `address` and `port`.
pub fn attach(address: IpAddr, port: u16, user: u32, program: &[Instruction]) -> io::Result<()> {
    let socket = shared(address)?;
    deafen(&socket, address)?;
    if user != rustix::process::geteuid().as_raw() {
        rustix::fs::fchown(&socket, Some(Uid::from_raw(user)), None)?; // a group has one user
    }
    socket.bind(&SocketAddr::new(address, port).into())?;
    socket.listen(sockets::ATTACHING)?;
    let filters: Vec<_> = program.iter().map(filter).collect();
    set_program(&socket, &filters)
}

/// A socket that can share its port.
fn shared(address: IpAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    Ok(socket)
}

/// Connections that arrive while this socket is in the group are dropped, because they do not have
/// the highest hop limit. The client sends them again, to another listener. (A filter would drop
/// them too, but Linux 6.18 wants CAP_NET_ADMIN for one.)
fn deafen(socket: &Socket, address: IpAddr) -> io::Result<()> {
    const MOST_HOPS: libc::c_int = 255;
    set_option(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &MOST_HOPS)?;
    match address.is_ipv6() {
        true => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT, &MOST_HOPS),
        false => Ok(()),
    }
}

fn filter(instruction: &Instruction) -> libc::sock_filter {
    let Instruction { code, jt, jf, k } = *instruction;
    libc::sock_filter { code, jt, jf, k }
}

fn set_program(socket: &Socket, filters: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(filters.len()).map_err(io::Error::other)?;
    // The kernel copies the `len` filters before the call returns, and `filters` lives longer.
    let program = libc::sock_fprog { len: length, filter: filters.as_ptr().cast_mut() };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, &program)
}

fn set_option<T>(socket: &Socket, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the kernel reads no more bytes than `value` has.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes two listeners, and checks that each gets the connection that is steered to it.
pub fn check() -> io::Result<()> {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let one = listen(any, 0)?;
    let port = one.local_addr()?.port();
    let listeners = [one, listen(any, port)?];
    for serving in 0..listeners.len() {
        let index = serving as u32;
        let aim = Aim { serving: index, asked: index, starting: index };
        attach(any, port, rustix::process::geteuid().as_raw(), &build(any, aim))?;
        let client = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), QUEUEING)?;
        match taker(&listeners, client.local_addr()?, QUEUEING)? {
            Some(taker) if taker == serving => {}
            Some(_) => return Err(io::Error::other("the kernel gave the connection to another listener")),
            None => return Err(io::Error::new(io::ErrorKind::TimedOut, "no listener got the connection")),
        }
    }
    Ok(())
}

/// The index among `listeners` of the one that has the connection from `client`. `None` if after
/// `patience` none has it: the client's `connect` may return before the connection is in a queue.
fn taker(listeners: &[TcpListener], client: SocketAddr, patience: Duration) -> io::Result<Option<usize>> {
    let end = Instant::now() + patience;
    loop {
        for (index, listener) in listeners.iter().enumerate() {
            if has(listener, client)? {
                return Ok(Some(index));
            }
        }
        let rest = end.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(None);
        }
        wait_readable(listeners, rest)?;
    }
}

/// Whether a connection from `client` is in the queue of `listener`. Those of other processes,
/// which may connect too, are closed.
fn has(listener: &TcpListener, client: SocketAddr) -> io::Result<bool> {
    let plain = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    loop {
        match listener.accept() {
            Ok((_, from)) if plain(from) == plain(client) => return Ok(true),
            Ok(_) => {}
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(false),
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                _ => return Err(error),
            },
        }
    }
}

/// Waits until one of `listeners` has a connection, `timeout` has passed, or a signal arrives.
fn wait_readable(listeners: &[TcpListener], timeout: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    let mut queues: Vec<_> = listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)).collect();
    match poll(&mut queues, Some(&timeout)) {
        Err(error) if error != Errno::INTR => Err(error.into()),
        _ => Ok(()),
    }
}

/// A listener whose `accept` does not wait.
fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let socket = shared(address)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(address, port).into())?;
    socket.listen(16)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv6Addr;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{ASKING, steer};
    use super::*;

    /// The index among `listeners` of the one that gets a connection from `source` to
    /// `destination`.
    fn reached(listeners: &[TcpListener], source: IpAddr, destination: IpAddr) -> usize {
        let port = listeners[0].local_addr().unwrap().port();
        let client = Socket::new(Domain::for_address((source, 0).into()), Type::STREAM, None).unwrap();
        client.bind(&SocketAddr::new(source, 0).into()).unwrap();
        client.connect(&SocketAddr::new(destination, port).into()).unwrap();
        let client = client.local_addr().unwrap().as_socket().unwrap();
        taker(listeners, client, QUEUEING).unwrap().expect("a listener gets the connection")
    }

    /// The user that runs the tests.
    const ROOT: u32 = 0;

    fn group(address: IpAddr, count: usize) -> Vec<TcpListener> {
        let first = listen(address, 0).unwrap();
        let port = first.local_addr().unwrap().port();
        let rest = (1..count).map(|_| listen(address, port).unwrap());
        std::iter::once(first).chain(rest).collect()
    }

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn the_kernel_gives_every_connection_to_the_intended_listener() {
        for count in 1..=3_u32 {
            for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()] {
                let listeners = group(address, count as usize);
                let port = listeners[0].local_addr().unwrap().port();
                for serving in 0..count {
                    let aim = Aim { serving, asked: (serving + 1) % count, starting: count - 1 };
                    steer(address, port, ROOT, aim).unwrap();
                    let local = if address.is_ipv4() { aim.starting } else { aim.serving };
                    assert_eq!(reached(&listeners, V4, V4), local as usize);
                    assert_eq!(reached(&listeners, ASKING.into(), V4), aim.asked as usize);
                    if address.is_ipv6() {
                        assert_eq!(reached(&listeners, V6, V6), aim.starting as usize);
                    }
                }
                assert_eq!(sockets::all(port).unwrap().len(), count as usize, "nothing of ours stays");
            }
        }
    }

    #[test]
    fn an_index_beyond_the_group_falls_back_to_a_listener_that_is_there() {
        let listeners = group(Ipv6Addr::UNSPECIFIED.into(), 1);
        let port = listeners[0].local_addr().unwrap().port();
        steer(Ipv6Addr::UNSPECIFIED.into(), port, ROOT, Aim { serving: 7, asked: 7, starting: 7 }).unwrap();
        assert_eq!(reached(&listeners, V4, V4), 0);
    }

    #[test]
    fn when_one_goes_the_last_takes_its_place() {
        let mut listeners = group(Ipv6Addr::UNSPECIFIED.into(), 3);
        let port = listeners[0].local_addr().unwrap().port();
        steer(Ipv6Addr::UNSPECIFIED.into(), port, ROOT, Aim { serving: 0, asked: 1, starting: 1 }).unwrap();
        drop(listeners.remove(0)); // [b, c], which are [c, b] in the kernel's group
        assert_eq!(reached(&listeners, V4, V4), 1);
        assert_eq!(reached(&listeners, ASKING.into(), V4), 0);
    }

    #[test]
    fn listeners_of_another_user_are_steered_as_well() {
        const NOBODY: u32 = 65534;
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let shared_by = |port| {
            let socket = shared(any).unwrap();
            rustix::fs::fchown(&socket, Some(Uid::from_raw(NOBODY)), None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.bind(&SocketAddr::new(any, port).into()).unwrap();
            socket.listen(16).unwrap();
            TcpListener::from(socket)
        };
        let first = shared_by(0);
        let port = first.local_addr().unwrap().port();
        let listeners = [first, shared_by(port)];
        let found = sockets::listeners(port).unwrap();
        assert!(found.iter().all(|listener| listener.uid == NOBODY), "{found:?}");
        for serving in 0..2 {
            let aim = Aim { serving, asked: serving, starting: serving };
            assert!(steer(any, port, ROOT, aim).is_err(), "of one user alone");
            steer(any, port, NOBODY, aim).unwrap();
            assert_eq!(reached(&listeners, V4, V4), serving as usize);
        }
    }

    #[test]
    fn a_port_of_another_kind_is_refused() {
        let alone = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = alone.local_addr().unwrap();
        assert!(
            steer(address.ip(), address.port(), ROOT, Aim { serving: 0, asked: 0, starting: 0 }).is_err()
        );
    }

    #[test]
    fn a_socket_that_only_attaches_takes_nothing() {
        for (any, local) in [
            (IpAddr::V4(Ipv4Addr::UNSPECIFIED), V4),
            (Ipv6Addr::UNSPECIFIED.into(), V4),
            (Ipv6Addr::UNSPECIFIED.into(), V6),
        ] {
            let socket = shared(any).unwrap();
            deafen(&socket, any).unwrap();
            socket.bind(&SocketAddr::new(any, 0).into()).unwrap();
            socket.listen(1).unwrap();
            let port = socket.local_addr().unwrap().as_socket().unwrap().port();
            let result =
                TcpStream::connect_timeout(&SocketAddr::new(local, port), Duration::from_millis(100));
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[test]
    fn a_connection_of_another_process_is_not_taken_for_ours() {
        let listeners = group(V4, 2);
        let address = listeners[0].local_addr().unwrap();
        steer(V4, address.port(), ROOT, Aim { serving: 1, asked: 1, starting: 1 }).unwrap();
        let _other = TcpStream::connect(address).unwrap();
        let ours = TcpStream::connect(address).unwrap().local_addr().unwrap();
        assert_eq!(taker(&listeners, ours, QUEUEING).unwrap(), Some(1));
        assert_eq!(taker(&listeners, ours, Duration::ZERO).unwrap(), None);
    }

    /// In a network whose packets take a millisecond `connect` returns before the connection is in
    /// a queue, as it may on a busy machine.
    const SLOW_NETWORK: &str =
        "ip link set lo up && tc qdisc add dev lo root tbf rate 400kbit burst 1540 latency 10s";
    const CHECKS: &str =
        "host::steering::attach::tests::two_hundred_checks_beside_busy_processors_have_no_false_answer";

    #[test]
    fn two_hundred_checks_on_a_slow_network_have_no_false_answer() {
        let program = std::env::current_exe().unwrap();
        let script = format!("{SLOW_NETWORK} && exec \"$0\" --exact {CHECKS}");
        let mut command = std::process::Command::new("unshare");
        let output = command.args(["--net", "sh", "-c", &script]).arg(program).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    }

    #[test]
    fn two_hundred_checks_beside_busy_processors_have_no_false_answer() {
        let is_over = AtomicBool::new(false);
        let busy = 2 * std::thread::available_parallelism().unwrap().get();
        let wrong: Vec<io::Error> = std::thread::scope(|scope| {
            for _ in 0..busy {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let wrong = (0..200).filter_map(|_| check().err()).collect();
            is_over.store(true, Ordering::Relaxed);
            wrong
        });
        assert!(wrong.is_empty(), "{} false answers: {wrong:?}", wrong.len());
    }

    /// The report counts the listeners of the API's port, and other processes steer there too.
    #[test]
    fn a_socket_that_only_attaches_is_no_listener() {
        let listeners = group(V4, 2);
        let port = listeners[0].local_addr().unwrap().port();
        let attaching = shared(V4).unwrap();
        attaching.bind(&SocketAddr::new(V4, port).into()).unwrap();
        attaching.listen(sockets::ATTACHING).unwrap();
        assert_eq!(sockets::all(port).unwrap().len(), 3);
        assert_eq!(sockets::listeners(port).unwrap().len(), 2);
        assert_eq!(sockets::on_port(port).unwrap(), [V4, V4]);
    }

    /// Fails if a look ever counts the socket by which another thread attaches programs.
    #[test]
    fn steering_changes_the_number_of_listeners_at_no_moment() {
        let listeners = group(V4, 2);
        let port = listeners[0].local_addr().unwrap().port();
        let is_over = AtomicBool::new(false);
        let counts: BTreeSet<usize> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    steer(V4, port, ROOT, Aim { serving: 1, asked: 0, starting: 0 }).unwrap();
                }
            });
            let counts = (0..2000).map(|_| sockets::on_port(port).unwrap().len()).collect();
            is_over.store(true, Ordering::Relaxed);
            counts
        });
        assert_eq!(counts, BTreeSet::from([2]));
    }

    #[test]
    fn this_kernel_steers() {
        check().unwrap();
    }
}
