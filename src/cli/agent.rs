//! `bootkube agent`: what runs on every controller.

use std::path::PathBuf;

use clap::Args;

use crate::agent::{self, Options};
use crate::error::{ExitClass, Failure};

/// Watch over the control plane of this machine: runs on every controller, in the DaemonSet kube-system/pod-checkpointer.
///
/// While an apiserver is replaced it steers new connections to the one that is ready, and it lets go of the lease of a controller manager
/// or scheduler that has ended. Needs the machine's network and process namespaces and the user that the control plane runs as.
#[derive(Args)]
pub(super) struct AgentArgs {
    /// Kubeconfig of the agent, leading to the API of this machine
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Name of this machine's node
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node_name: String,
}

pub(super) fn run(args: AgentArgs) -> Result<(), Failure> {
    let AgentArgs { kubeconfig, node_name } = args;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitClass::General, &error))?;
    Ok(runtime.block_on(agent::run(&Options { kubeconfig, node: node_name }))?)
}
