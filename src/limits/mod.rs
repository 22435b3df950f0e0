//! What Kubernetes, etcd and CoreDNS take: limits of values, ports, flags, and address ranges that
//! no machine can have. Tables with their sources, and the few functions that read them.
//!
//! A component that is given more than it takes ends, or runs and never does its work. `config`
//! holds a configuration against these tables before anything is written.

pub mod files;
pub mod flags;
pub mod networks;
pub mod ports;
pub mod programs;
pub mod table;
pub mod takes;
pub mod vital;
pub mod volumes;
