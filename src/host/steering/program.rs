//! The program: classic BPF that reads the addresses of a new connection and returns the index of a
//! listener. Pure.
//!
//! For an index beyond the group, the kernel picks a listener itself; if there is only one, that
//! one.

use std::net::{IpAddr, Ipv4Addr};

/// bootkube asks the listeners from this address, see [`Aim::asked`]. It is a loopback address, so
/// no packet from another machine has it.
pub const ASKING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 99);

/// The index of the listener for each kind of connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// Gets every other connection.
    pub serving: u32,
    /// Gets connections from [`ASKING`].
    pub asked: u32,
    /// Gets connections to `::1`. An apiserver that starts first connects to itself there, and
    /// exits if another apiserver refuses it. Other clients at `::1` cannot be told from it.
    pub starting: u32,
}

/// One instruction: code, jumps if true and if false, operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// Loads 32 bits.
const LOAD: u16 = 0x20;
/// Jumps depending on whether the loaded word equals the operand.
const JUMP_IF_EQUAL: u16 = 0x15;
/// Returns the operand.
const RETURN: u16 = 0x06;
/// Offset at which the kernel gives the Ethernet type.
const PROTOCOL: u32 = 0xffff_f000;
/// Offset of the network header.
const NETWORK: u32 = 0xfff0_0000;
const ETHERTYPE_IPV6: u32 = 0x86dd;
const IPV4_SOURCE: u32 = NETWORK + 12;
const IPV4_DESTINATION: u32 = NETWORK + 16;
const IPV6_DESTINATION: u32 = NETWORK + 24;

/// The program for listeners at `address`.
pub fn build(address: IpAddr, aim: Aim) -> Vec<Instruction> {
    let v4 = ipv4(address, aim);
    let skip = u8::try_from(v4.len()).expect("invariant: a handful of instructions");
    let mut program = vec![load(PROTOCOL), jump(ETHERTYPE_IPV6, skip, 0)];
    program.extend(v4);
    program.extend(ipv6(aim));
    program
}

fn ipv4(address: IpAddr, aim: Aim) -> Vec<Instruction> {
    let mut program = vec![load(IPV4_SOURCE), jump(ASKING.to_bits(), 0, 1), give(aim.asked)];
    if address.is_ipv4() {
        // Without IPv6 an apiserver connects to itself here.
        program.extend([
            load(IPV4_DESTINATION),
            jump(Ipv4Addr::LOCALHOST.to_bits(), 0, 1),
            give(aim.starting),
        ]);
    }
    program.push(give(aim.serving));
    program
}

fn ipv6(aim: Aim) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (word, expected) in [0, 0, 0, 1].into_iter().enumerate() {
        let past = 2 * (3 - word as u8) + 1; // skips the other words, to the last instruction
        program.extend([load(IPV6_DESTINATION + 4 * word as u32), jump(expected, 0, past)]);
    }
    program.extend([give(aim.starting), give(aim.serving)]);
    program
}

fn load(k: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k }
}

fn jump(k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code: JUMP_IF_EQUAL, jt, jf, k }
}

fn give(k: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;

    /// The result of a program for a connection from `source` to `destination`.
    fn run(program: &[Instruction], source: IpAddr, destination: IpAddr) -> u32 {
        let word = |address: IpAddr, at: usize| match address {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(address) => u32::from_be_bytes(address.octets()[at..at + 4].try_into().unwrap()),
        };
        let (mut loaded, mut at) = (0, 0);
        for _ in 0..program.len() {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            match (code, k) {
                (RETURN, _) => return k,
                (JUMP_IF_EQUAL, _) => at += usize::from(if loaded == k { jt } else { jf }),
                (LOAD, PROTOCOL) => loaded = if source.is_ipv6() { ETHERTYPE_IPV6 } else { 0x0800 },
                (LOAD, IPV4_SOURCE) if source.is_ipv4() => loaded = word(source, 0),
                (LOAD, IPV4_DESTINATION) if source.is_ipv4() => loaded = word(destination, 0),
                (LOAD, k) => loaded = word(destination, (k - IPV6_DESTINATION) as usize),
                other => panic!("{other:?}"),
            }
        }
        panic!("a program that does not end");
    }

    fn expected(address: IpAddr, aim: Aim, source: IpAddr, destination: IpAddr) -> u32 {
        let own =
            if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
        match () {
            () if source == IpAddr::V4(ASKING) => aim.asked,
            () if destination == own => aim.starting,
            () => aim.serving,
        }
    }

    fn v4() -> impl Strategy<Value = IpAddr> {
        let known = [Ipv4Addr::LOCALHOST, ASKING, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(10, 0, 0, 5)];
        prop_oneof![prop::sample::select(known.to_vec()), any::<Ipv4Addr>()].prop_map(IpAddr::V4)
    }

    fn v6() -> impl Strategy<Value = IpAddr> {
        let known =
            ["::1", "::", "fd00::1", "::1:0:0:1", "1::1", "0:0:1::1"].map(|text| text.parse().unwrap());
        prop_oneof![prop::sample::select(known.to_vec()), any::<Ipv6Addr>()].prop_map(IpAddr::V6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn the_intended_listener_gets_every_connection(
            (is_dual, source, destination) in prop_oneof![
                (any::<bool>(), v4(), v4()),
                (Just(true), v6(), v6()), // a listener on IPv4 alone gets only IPv4
            ],
            (serving, asked, starting) in (0..5_u32, 0..5_u32, 0..5_u32),
        ) {
            let address = if is_dual { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            let aim = Aim { serving, asked, starting };
            let program = build(address, aim);
            prop_assert_eq!(run(&program, source, destination), expected(address, aim, source, destination));
        }
    }
}
