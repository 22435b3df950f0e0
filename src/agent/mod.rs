//! The agent: on every controller, it lets control-plane pods be replaced without anybody noticing.
//!
//! [`handover::guard`] steers new connections while one apiserver makes way for the next and opens the next one's readiness gate;
//! `leaders` lets go of the lease of a controller manager or scheduler that has ended. It only ever looks at processes of its own machine, and writes
//! nothing but conditions of pods and leases. While it is away a roll waits, and the older apiserver serves.

mod leaders;

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{self, connect, kubeconfig};
use crate::error::{ExitClass, Failure};
use crate::handover::{self, Port};

/// What the agent is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its identity, and where the API of this machine is.
    pub kubeconfig: PathBuf,
    /// The node of this machine.
    pub node: String,
}

/// Why the agent cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::Error),
    /// The way to the API cannot be used.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The port cannot be looked at.
    #[error(transparent)]
    Handover(#[from] handover::Error),
    /// This machine refused something.
    #[error("failed to {act}")]
    Host {
        /// What was tried.
        act: &'static str,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let class = match error {
            Error::Kubeconfig(_) => ExitClass::Configuration,
            _ => ExitClass::General,
        };
        Self::new(class, &error)
    }
}

/// Works until it is told to end.
pub async fn run(options: &Options) -> Result<(), Error> {
    let Options { kubeconfig, node } = options;
    let access = kubeconfig::read(kubeconfig)?;
    let port = Port::new(access.server.port_or_known_default().unwrap_or(443), &access)?;
    let client = connect::connect(&access, None)?;
    let mut terminated = signal(SignalKind::terminate())
        .map_err(|source| Error::Host { act: "listen for signals", source })?;
    let served = tokio::sync::watch::Sender::default();
    tracing::info!(node, server = %access.server, "watching over the control plane of this machine");
    tokio::select! {
        () = handover::guard(port, &client, node, &served) => {}
        result = leaders::guard(&client, node) => result?,
        _ = terminated.recv() => {}
    }
    Ok(())
}
