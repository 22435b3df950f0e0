//! Connections to a name, which may have several addresses.
//!
//! An address behind which no machine is any more answers nothing. Tried one after the other, it
//! would use up the time of the addresses that come after it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::net::{TcpStream, ToSocketAddrs, lookup_host};

use crate::patience::{ACCEPT, within};

/// The next address is tried beside the others after this time, or as soon as one has failed. As in
/// RFC 8305.
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection to the address of `name` that accepts one first.
pub async fn dial(name: impl ToSocketAddrs) -> io::Result<TcpStream> {
    first_of(&lookup_host(name).await?.collect::<Vec<_>>()).await
}

/// The address of `host` to connect to, where it has several.
pub async fn live_address(host: &str, port: u16) -> Option<SocketAddr> {
    let find = async {
        let known = lookup_host((host, port)).await.ok()?.collect::<Vec<_>>();
        match known.as_slice() {
            [] | [_] => None,
            several => first_of(several).await.ok()?.peer_addr().ok(),
        }
    };
    within(ACCEPT, find).await.ok()?
}

async fn first_of(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let (mut untried, mut tried) = (addresses.iter(), FuturesUnordered::new());
    loop {
        tried.extend(untried.next().map(|address| TcpStream::connect(*address)));
        tokio::select! {
            Some(answer) = tried.next() => match answer {
                Ok(stream) => return Ok(stream),
                Err(why) => error = why,
            },
            () = tokio::time::sleep(HEAD_START), if untried.len() > 0 => {}
            else => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use socket2::{Domain, Socket, Type};
    use tokio::net::TcpListener;

    use super::*;

    /// A listener with a full queue: the kernel drops what arrives, like the packets to a machine
    /// that is off.
    async fn dead() -> (Socket, TcpStream, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.2:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let queued = TcpStream::connect(address).await.unwrap();
        (socket, queued, address)
    }

    #[tokio::test]
    async fn an_address_behind_which_nothing_answers_does_not_hide_the_next_one() {
        let (_socket, _queued, dead) = dead().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let begun = Instant::now();
        let stream = first_of(&[dead, dead, live]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next_at_once() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let begun = Instant::now();
        first_of(&[free, listener.local_addr().unwrap()]).await.unwrap();
        assert!(begun.elapsed() < HEAD_START, "{:?}", begun.elapsed());
        assert_eq!(first_of(&[free]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first_of(&[]).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
