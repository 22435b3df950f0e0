//! Everything that touches this machine: files, addresses, sockets, processes. Nothing here speaks
//! to the API.

pub mod addresses;
pub mod blocking;
pub mod command;
pub mod containerd;
pub mod cri;
pub mod crio;
pub mod files;
pub mod identity;
pub mod kernel;
pub mod lock;
pub mod lock_file;
pub mod log;
pub mod plain;
pub mod processes;
pub mod programs;
pub mod rooted;
pub mod routes;
pub mod signals;
pub mod sockets;
pub mod static_pods;
pub mod steering;
pub mod swap;
pub mod systemd;
