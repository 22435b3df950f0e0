//! Everything that touches this machine: files, addresses, listeners.

pub mod files;
