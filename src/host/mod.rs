//! Everything that touches this machine: files, addresses, listeners. Nothing here speaks to the API.

pub mod addresses;
pub mod files;
pub mod listeners;
pub mod static_pods;
