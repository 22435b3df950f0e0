//! The lab: machines with real kubelet, containerd, runc, etcd and Kubernetes on one host, without
//! virtualisation.
//!
//! ```text
//! Go modules ─ programs ─► image ─► store (a containerd root with every image)   all kept in the cache, by digest
//! Lab::up ─ network (switch) ─► machine: disk, process 1 (boot.sh), services ─► Machine: exec, start_kubelet, power_cut …
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

use std::path::{Path, PathBuf};

pub use balance::Balancer;
pub use cache::Cache;
pub use cluster::Cluster;
pub use error::{Error, Result};
pub use families::Families;
pub use kubeadm::Kubeadm;
pub use lab::{Guard, Lab};
pub use machine::{EtcdTls, Machine};
pub use programs::{Programs, etcd_snapshot, go};
pub use store::Parts;

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
