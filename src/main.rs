//! The bootkube command.

fn main() {}
