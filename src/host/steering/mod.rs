//! Steers new connections to one of several listeners on a port.
//!
//! Processes of one user may share a port (SO_REUSEPORT). The kernel then picks a listener for each
//! connection at random, unless the group has a program that selects one. [`steer`] attaches such a
//! program in a fraction of a millisecond: a socket of this process joins the group, attaches the
//! program, and leaves. The program stays as long as the group has listeners. A process of the
//! listeners' user needs no privilege in the host's network namespace; any other needs CAP_CHOWN.
//!
//! The index of a listener is its place in the order in which they came, *until one closes*: then
//! the kernel moves the last one into its place. So an index says nothing about age. To find out
//! which listener has an index, bootkube connects to it (see [`crate::handover`]).

mod attach;
mod program;

use std::io;
use std::net::IpAddr;

pub use program::{ASKING, Aim};

/// Steers new connections to the listeners that `user` has at `address` and `port`, as `aim` says.
///
/// # Errors
/// The kernel refuses, or the listeners belong to another user.
pub fn steer(address: IpAddr, port: u16, user: u32, aim: Aim) -> io::Result<()> {
    attach::attach(address, port, user, &program::build(address, aim))
}

/// Checks that the kernel steers, with two listeners of this process on a free port.
///
/// # Errors
/// It does not.
pub fn check() -> io::Result<()> {
    attach::check()
}
