//! What is on the machine, as far as it can be seen from here. Plain data: the checks judge it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::Value;
use time::OffsetDateTime;

use crate::cluster::connect::Readyz;
pub use crate::etcd::{Distrust, Etcd};
use crate::host::kernel::AtBoot;
use crate::host::programs::Program;
use crate::host::routes::Route;
use crate::host::swap::Source;
use crate::host::systemd::Service;
pub use crate::kubelet::Registry;
use crate::kubelet::{Health, Kubelet, Runtime};
pub use crate::living::ApiListener;
use crate::living::Living;

/// Everything that was observed.
pub struct Facts {
    pub is_root: bool,
    /// The most recently changed file of the assets and of /etc/kubernetes.
    pub newest: Option<(PathBuf, OffsetDateTime)>,
    /// Whether the assets hold a kubeconfig for kubelets.
    pub has_kubelet_kubeconfig: bool,
    pub kubelet: Option<Kubelet>,
    pub health: Health,
    /// Whether a process listens on kubelet's port.
    pub kubelet_listens: bool,
    pub runtime: Runtime,
    /// Registries of the images that are missing.
    pub registries: BTreeMap<String, Registry>,
    /// Ports of the control plane that are in use; else why that cannot be seen.
    pub taken: Result<Vec<Taken>, String>,
    pub api: ApiListener,
    /// What the cluster that runs here says of itself.
    pub living: Living,
    /// What this cluster's API answers to the token that kubelet joins with, if it was asked.
    pub admission: Option<Readyz>,
    /// Files of kubelet's folder of network configurations, and addresses of the interfaces that flannel makes.
    pub pod_network: PodNetwork,
    /// What each of etcd's servers answers.
    pub etcd: Vec<Member>,
    /// Why the host of the API's URL has no address, if it has none.
    pub api_host: Result<(), String>,
    pub routes: Result<Vec<Route>, String>,
    pub addresses: Vec<IpAddr>,
    pub volumes: Vec<Volume>,
    /// Files in kubelet's folder.
    pub manifests: Result<Vec<Manifest>, String>,
    /// Why our folders of keys cannot be used, by path.
    pub key_folders: BTreeMap<PathBuf, Result<(), String>>,
    pub etcd_data: DataFolder,
    /// Files that kubeadm leaves on a controller; else why that cannot be seen.
    pub kubeadm: Result<Vec<PathBuf>, String>,
    pub swap: Swap,
    pub kernel: Kernel,
    /// What systemd says of kubelet and of container runtimes. Asked only once everything else was
    /// observed.
    pub services: Vec<Service>,
    /// The configuration at its usual place, where no kubelet can be seen.
    pub at_rest: Option<Value>,
}

impl Facts {
    /// Whether this process sees the machine's own files, judged by the root of the running
    /// kubelet.
    pub fn sees_machine(&self) -> bool {
        self.kubelet.as_ref().is_some_and(|kubelet| kubelet.process.shares_our_files())
    }

    /// What systemd says of a service.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

/// A port of the control plane that is in use.
pub struct Taken {
    pub port: u16,
    pub addresses: Vec<IpAddr>,
    /// The programs that listen, as far as they can be seen.
    pub holders: Vec<Program>,
}

/// One of etcd's servers.
pub struct Member {
    pub url: String,
    pub answer: Etcd,
}

/// Room in a folder, or in its nearest ancestor that exists.
pub struct Volume {
    pub path: PathBuf,
    pub needed: u64,
    pub room: Result<Room, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub free: u64,
    pub has_inodes: bool,
    pub is_read_only: bool,
}

/// A file in kubelet's folder.
pub struct Manifest {
    pub path: PathBuf,
    pub content: Vec<u8>,
}

/// Swap of this machine.
pub struct Swap {
    /// Devices and files that are used now.
    pub active: Result<Vec<String>, String>,
    /// What turns swap on at the next boot.
    pub at_boot: Result<Vec<Source>, String>,
}

/// What the network of pods needs of the kernel.
pub struct Kernel {
    /// By name, such as `net.ipv4.ip_forward`.
    pub settings: BTreeMap<&'static str, Setting>,
    /// Whether the module for bridges is there after the next boot, if that can be seen.
    pub bridges_at_boot: Option<bool>,
}

/// A setting of the kernel.
pub struct Setting {
    /// Its value; `None` if the kernel does not have it.
    pub now: Result<Option<String>, String>,
    /// What the machine's files set it to at the next boot, if they can be seen.
    pub at_boot: Option<Option<AtBoot>>,
}

/// What network plugins have left on the machine, or made for this cluster.
pub struct PodNetwork {
    /// Configurations in the order in which the runtime looks for one; else why they cannot be seen.
    pub configurations: Result<Vec<PathBuf>, String>,
    /// Interfaces of flannel, with their addresses.
    pub interfaces: Vec<(String, IpAddr)>,
}

/// The folder of etcd's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataFolder {
    /// Not needed on this machine, or empty.
    Free,
    Unseen,
    /// It holds data.
    Used {
        /// Whether bootkube placed an etcd of this CA here.
        is_of_this_cluster: bool,
    },
}
