//! Everything that touches this machine: files, addresses, listeners. Nothing here speaks to the API.

pub mod addresses;
pub mod cri;
pub mod files;
pub mod listeners;
pub mod processes;
pub mod routes;
pub mod static_pods;
