//! Which of several listeners on one port gets new connections.
//!
//! Processes of one user may share a port (SO_REUSEPORT); the kernel then deals connections out at
//! random, unless the group has a program that says which. [`steer`] gives it one, in a fraction of
//! a millisecond: a socket of ours joins the group, attaches the program, and leaves. Nothing of
//! ours stays but the program, which lives as long as the group has listeners. No privilege is
//! needed by the listeners' own user in the host's network namespace; another one needs CAP_CHOWN.
//!
//! The program counts listeners from 0 in the order in which they came, *as long as none has gone*:
//! when one closes, the kernel moves the last one into its place. So an index is no age; to find
//! out which listener it means, one has to ask it (see [`crate::handover`]).

mod attach;
mod program;

use std::io;
use std::net::IpAddr;

pub use program::{ASKING, Aim};

/// Sends new connections of the listeners that `user` has at `address` and `port` as `aim` says.
///
/// # Errors
/// If the kernel refuses, or the listeners belong to another user.
pub fn steer(address: IpAddr, port: u16, user: u32, aim: Aim) -> io::Result<()> {
    attach::attach(address, port, user, &program::build(address, aim))
}

/// Tries whether the kernel steers, with two listeners of our own on a free port.
///
/// # Errors
/// If it does not.
pub fn check() -> io::Result<()> {
    attach::check()
}
