//! `bootkube agent`: what runs on every controller, and on other machines if it is asked to.

use std::path::PathBuf;

use clap::Args;

use crate::agent::{self, Options};
use crate::checkpoint::store::Store;
use crate::error::{ExitClass, Failure};

/// Watch over the control plane of this machine: runs on every controller, in the DaemonSet
/// kube-system/pod-checkpointer.
///
/// While one apiserver is replaced by the next, the agent steers new connections to the one that is
/// ready. It releases the lease of a controller manager or scheduler that has ended. It keeps
/// copies of the pods that are annotated checkpointer.alpha.coreos.com/checkpoint=true, and gives
/// them to kubelet as static pods where neither the API nor kubelet would bring the pods back. It
/// renews its own certificate before it expires.
///
/// Where the kubeconfig has kubelet's certificate, as in the DaemonSet
/// kube-system/pod-checkpointer-worker, the agent keeps copies and does nothing else. On a
/// controller it needs the machine's network and process namespaces, and the user that the control
/// plane runs as.
#[derive(Args)]
pub(super) struct AgentArgs {
    /// Kubeconfig of the agent, leading to the API of this machine; on a machine that is no
    /// controller, to any
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Name of this machine's node
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node_name: String,
    /// Directory from which the kubelet takes static pods
    #[arg(long, value_name = "DIR", default_value = "/etc/kubernetes/manifests")]
    pod_manifest_path: PathBuf,
    /// Socket of the container runtime
    #[arg(long, value_name = "URL", default_value = "unix:///run/containerd/containerd.sock", value_parser = socket)]
    container_runtime_endpoint: PathBuf,
}

/// Threads for disks and /proc. At most four are used at a time, unless a disk hangs and work that
/// was given up waits for it.
const BLOCKING: usize = 8;
/// What a debug build needs to parse the largest manifest, with room to spare.
const STACK: usize = 1 << 20;

/// As kubelet takes it, or the path alone.
fn socket(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text.strip_prefix("unix://").unwrap_or(text));
    if path.is_absolute() { Ok(path) } else { Err("write unix:///run/containerd/containerd.sock") }
}

pub(super) fn run(args: AgentArgs) -> Result<(), Failure> {
    let AgentArgs { kubeconfig, node_name, pod_manifest_path, container_runtime_endpoint } = args;
    let store = Store { manifests: pod_manifest_path, ..Store::default() };
    let options = Options { kubeconfig, node: node_name, store, runtime: container_runtime_endpoint };
    // One thread that never blocks, and a few that do, with small stacks: the agent's memory is on
    // every machine twice.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .thread_stack_size(STACK)
        .build()
        .map_err(|error| Failure::new(ExitClass::General, &error))?;
    Ok(runtime.block_on(agent::run(&options))?)
}
