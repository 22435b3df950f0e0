//! `bootkube unpivot`: the way out of self-hosting.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output;
use crate::error::Failure;
use crate::phase::{Command, duration};
use crate::ui::{Console, Hub, Output};
use crate::unpivot::{self, Options, Report};

/// Turn the control plane of this machine, the only controller, into plain static pods that need no
/// agent: run on it as root.
///
/// Keys go to /etc/kubernetes/control-plane, manifests to kubelet's folder; then the self-hosted
/// workloads are removed, without a gap. `bootkube start` with the assets of the cluster leads
/// back.
#[derive(Args)]
pub(super) struct UnpivotArgs {
    /// Kubeconfig of an administrator, such as ASSETS/auth/kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: PathBuf,
    /// Directory from which the kubelet takes static pods
    #[arg(long, value_name = "DIR", default_value = "/etc/kubernetes/manifests")]
    pod_manifest_path: PathBuf,
    /// Longest time that each wait may take
    #[arg(long, value_name = "DURATION", default_value = Command::Unpivot.default_timeout(), value_parser = duration)]
    timeout: Duration,
}

pub(super) fn run(args: UnpivotArgs) -> Result<(), Failure> {
    let UnpivotArgs { kubeconfig, pod_manifest_path, timeout } = args;
    let options = Options { kubeconfig, pod_manifest_path, timeout };
    let console = Console::new();
    let outputs: Vec<&dyn Output> = vec![&console];
    let hub = Hub::new(outputs);
    let Report { times, node } = output::runtime()?.block_on(unpivot::unpivot(&options, &hub))?;
    let seconds: f64 = times.iter().map(|(_, elapsed)| elapsed.as_secs_f64()).sum();
    console.print(&format!("the control plane of node {node} is static pods, {seconds:.1} s"));
    Ok(())
}
