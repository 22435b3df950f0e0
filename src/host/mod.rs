//! Everything that touches this machine: files, addresses, sockets, processes. Nothing here speaks to the API.

pub mod addresses;
pub mod files;
pub mod processes;
pub mod sockets;
pub mod static_pods;
pub mod steering;
