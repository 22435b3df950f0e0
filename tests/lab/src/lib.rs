//! The lab: machines with Debian, systemd, kubelet, containerd, etcd and Kubernetes on one host,
//! without virtualisation.
//!
//! ```text
//! Debian's packages ─► base        Go modules ─ programs ─► image ─► store (a containerd root with every image)
//! Lab::up ─ network (switch) ─► machine: disk, boot.sh, systemd-nspawn ─► Machine: exec, ssh, start_kubelet, power_cut …
//! base, programs, images and store are kept in the cache, by digest
//! ```
//!
//! A lab ends at machines with containerd, and at a kubelet that joins with what it finds in /etc/kubernetes/kubeconfig;
//! [`Cluster`] makes a cluster on them, as a user would. What is peculiar to the host stays in `quirks`.

mod balance;
mod cache;
mod cgroup;
pub mod cluster;
mod command;
mod dump;
mod error;
mod families;
pub mod far;
mod files;
pub mod image;
mod kubeadm;
mod kubeconfig;
mod lab;
mod machine;
mod network;
mod plan;
pub mod probe;
mod process;
mod programs;
pub mod quirks;
mod state;
mod store;
mod user_data;

use std::path::{Path, PathBuf};

pub use balance::Balancer;
pub use cache::Cache;
pub use cluster::Cluster;
pub use error::{Error, Result};
pub use families::Families;
pub use kubeadm::Kubeadm;
pub use lab::{Guard, Lab};
pub use machine::{EtcdTls, Machine};
pub use programs::{Programs, go, tool};
pub use store::Parts;
pub use user_data::cloud_init;

/// The sources of the lab.
fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the whole project.
pub fn workspace() -> PathBuf {
    sources().ancestors().nth(2).unwrap_or(sources()).to_path_buf()
}

/// The default folder of the lab of this name.
pub fn default_dir(name: &str) -> PathBuf {
    workspace().join("target/lab").join(name)
}

/// Says on standard error what takes time.
fn progress(what: &str) {
    eprintln!("lab: {what}");
}
