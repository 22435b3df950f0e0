//! The PKI from outside: openssl and Go verify every certificate, an earlier render is kept,
//! mistakes are named.

// clippy lifts this by itself only inside of #[test] functions.
#![allow(clippy::unwrap_used)]

mod agreement;
mod cases;
mod catalogue;
#[path = "../support/command.rs"]
mod command;
mod mutation;
#[path = "../support/random.rs"]
mod random;
mod reuse;
mod supplied;
mod support;
