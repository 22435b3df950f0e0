//! The machines of a cluster as the user lists them: each by itself, and all against each other.
//!
//! A list is written in the configuration file, or in a file of its own, where a line is a machine.
//! `config` says what the rest of the configuration is that a list must agree with.

mod against_cluster;
mod against_each_other;
mod controllers;
mod label;
pub mod lines;
mod list;
mod listed;
mod taint;
mod value;
mod written;

use std::net::IpAddr;

use ipnet::IpNet;

use crate::values::scalar::Named;

pub use against_cluster::{Cluster, check as check_with};
pub use controllers::{alt_names, count as controllers, urls};
pub use list::{List, NodesFile};
pub use listed::Listed;
pub use taint::{Effect, Taint};
pub use value::to_value;

/// A machine of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Name of its Node object.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Its addresses, at most one of each family. A controller has one at least.
    pub addresses: Vec<IpAddr>,
    /// The addresses of its pods, one range for each family of the cluster. Empty: the controller
    /// manager assigns them.
    pub pod_cidrs: Vec<IpNet>,
    /// Labels that its kubelet gives to the Node: keys and values.
    pub labels: Vec<(String, String)>,
    /// Taints that its kubelet registers the Node with.
    pub taints: Vec<Taint>,
}

/// What a machine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It carries the control plane.
    Controller,
    /// It carries workloads only.
    Worker,
}

impl Named for Role {
    const WORDS: &'static [(&'static str, Self)] =
        &[("controller", Self::Controller), ("worker", Self::Worker)];
}

impl Role {
    /// Its name in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Worker => "worker",
        }
    }
}
