//! One question to a DNS server, as a program in a pod asks it: over UDP, and again after a second.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::patience::within;

/// How resolvers number a question. The socket takes answers of the server alone, so any number does.
const ID: [u8; 2] = *b"bk";
/// A packet may be lost. Resolvers ask again after this time or later.
const AGAIN: Duration = Duration::from_secs(1);
/// In the head: ask other servers where needed; one question; no answers.
const HEAD: [u8; 10] = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const HEAD_LENGTH: usize = 12;
const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
/// What answers without EDNS take at most.
const LONGEST: usize = 512;
/// The two highest bits of a length say that the rest of a name stands elsewhere.
const POINTER: u8 = 0xc0;

/// The addresses of `name`, of the family of `like`, by the server at `server`.
///
/// # Errors
/// Why there is none, in a line.
pub async fn ask(server: IpAddr, name: &str, like: IpAddr, limit: Duration) -> Result<Vec<IpAddr>, String> {
    let kind = if like.is_ipv6() { AAAA } else { A };
    let question = question(name, kind);
    let answer = within(limit, exchange(SocketAddr::new(server, 53), &question)).await;
    let answer = answer.map_err(|late| late.to_string())?.map_err(|error| error.to_string())?;
    read(&answer, kind)
}

/// Asks until there is an answer.
async fn exchange(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let own: IpAddr =
        if server.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(server).await?;
    loop {
        socket.send(question).await?;
        let mut answer = vec![0; LONGEST];
        if let Ok(length) = within(AGAIN, socket.recv(&mut answer)).await {
            answer.truncate(length?);
            return Ok(answer);
        }
    }
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = [&ID[..], &HEAD[..]].concat();
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend([kind.to_be_bytes(), INTERNET.to_be_bytes()].concat());
    bytes
}

/// The addresses in an answer.
fn read(answer: &[u8], kind: u16) -> Result<Vec<IpAddr>, String> {
    let code = answer.get(3).map(|flags| flags & 0xf);
    match code {
        Some(0) => addresses(answer, kind).ok_or_else(|| "its answer cannot be read".to_owned()),
        Some(2) => Err("it answers that it failed (SERVFAIL)".to_owned()),
        Some(3) => Err("it knows no such name (NXDOMAIN)".to_owned()),
        Some(5) => Err("it refuses the question (REFUSED)".to_owned()),
        Some(code) => Err(format!("it answers with the code {code}")),
        None => Err("its answer cannot be read".to_owned()),
    }
}

fn addresses(answer: &[u8], kind: u16) -> Option<Vec<IpAddr>> {
    let number = |at: usize| Some(u16::from_be_bytes([*answer.get(at)?, *answer.get(at + 1)?]));
    let (questions, answers) = (number(4)?, number(6)?);
    let mut at = HEAD_LENGTH;
    for _ in 0..questions {
        at = after_name(answer, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        at = after_name(answer, at)?;
        let length = usize::from(number(at + 8)?);
        let data = answer.get(at + 10..at + 10 + length)?;
        if number(at)? == kind {
            found.extend(address(data));
        }
        at += 10 + length;
    }
    Some(found)
}

/// Where the name that begins at `at` has ended.
fn after_name(answer: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *answer.get(at)? {
            0 => return Some(at + 1),
            length if length & POINTER == POINTER => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

fn address(data: &[u8]) -> Option<IpAddr> {
    let of_four = || <[u8; 4]>::try_from(data).ok().map(IpAddr::from);
    of_four().or_else(|| <[u8; 16]>::try_from(data).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with the question, one alias and the address of that, as CoreDNS writes it.
    fn answer(code: u8, kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = question("kubernetes.default.svc.cluster.local", kind);
        bytes[2] = 0x85;
        bytes[3] = code;
        bytes[7] = 2;
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 5, 0, 2, 0xc0, 12]);
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 5, 0, u8::try_from(data.len()).unwrap()]);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn addresses_are_read_past_the_question_and_aliases() {
        let of = |kind, data: &[u8]| read(&answer(0, kind, data), kind).unwrap();
        assert_eq!(of(A, &[10, 3, 0, 1]), ["10.3.0.1".parse::<IpAddr>().unwrap()]);
        let six: Ipv6Addr = "fd00::1".parse().unwrap();
        assert_eq!(of(AAAA, &six.octets()), [IpAddr::from(six)]);
    }

    #[test]
    fn a_refusal_is_told_in_words() {
        assert!(read(&answer(3, A, &[10, 3, 0, 1]), A).unwrap_err().contains("NXDOMAIN"));
        assert!(read(&answer(2, A, &[10, 3, 0, 1]), A).unwrap_err().contains("SERVFAIL"));
    }

    #[test]
    fn no_bytes_are_an_answer_that_makes_it_fail() {
        let whole = answer(0, A, &[10, 3, 0, 1]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length], A).is_err(), "{length} bytes");
        }
        let mut odd = whole;
        for at in 0..odd.len() {
            let before = std::mem::replace(&mut odd[at], 0xff);
            read(&odd, A).ok();
            odd[at] = before;
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_known_at_once() {
        let loopback = Ipv4Addr::new(127, 255, 254, 253).into();
        let why = ask(loopback, "a.test", loopback, Duration::from_secs(60)).await.unwrap_err();
        assert!(why.contains("refused"), "{why}");
    }
}
