//! kubelet and the container runtime of this machine, found by kubelet's process or at the usual places, and kubelet's
//! configuration as kubelet itself reads it. Nothing here judges, and nothing is changed.

pub mod config;
mod facts;
mod kubeconfig;
mod observe;
mod registries;

pub use facts::{Health, Kubelet, Place, Runtime, StaticPodFolder};
pub use kubeconfig::Kubeconfig;
pub use observe::{at_rest, find_kubelet, health, locate_runtime, runtime};
pub use registries::{Machine, Registry, sandbox_image};
