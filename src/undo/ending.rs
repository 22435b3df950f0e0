//! Waits until the pods have ended whose files are gone. A kubelet that never got its pods from an
//! API does not end them, and then the apiserver of a bootstrap that failed early would keep its
//! port. So after a while the container runtime stops them.
//!
//! Where no container runtime answers, a pod counts as ended when fewer sockets listen on its port.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::Error;
use crate::host::cri::{self, Sandbox};
use crate::phase::{PROBE, on_port};

/// A pod whose file is new may not have started yet, so this looks for it at least so long.
const STARTING: Duration = Duration::from_secs(3);
/// How long kubelet has to end them. It gives bootstrap pods a grace period of ten seconds.
const ORDERLY: Duration = Duration::from_secs(12);
/// After this the pods count as not ended, which is an error.
const ENDING: Duration = Duration::from_secs(60);

/// A pod whose file is to be removed.
pub struct Pod {
    /// `namespace/name`, if it is known.
    name: Option<String>,
    port: Option<u16>,
    /// How many sockets listened on its port.
    listeners: usize,
}

impl Pod {
    /// The pod, looked at before its file is removed.
    pub fn now(name: Option<&str>, port: Option<u16>) -> Result<Self, Error> {
        Ok(Self { name: name.map(str::to_owned), port, listeners: listeners(port)? })
    }
}

fn listeners(port: Option<u16>) -> Result<usize, Error> {
    port.map_or(Ok(0), |port| Ok(on_port(port)?.len()))
}

/// Pods that must end.
pub struct Ending {
    /// The pods.
    pub pods: Vec<Pod>,
    runtime: Option<PathBuf>,
}

/// Pods that have not ended yet.
struct Alive {
    pod: String,
    sandbox: Option<String>,
}

impl Ending {
    /// No pod yet. `runtime` is the socket of the container runtime, if there is one.
    pub fn new(runtime: Option<PathBuf>) -> Self {
        Self { pods: Vec::new(), runtime }
    }

    /// Waits until all of them have ended.
    pub async fn wait(&self, waiting: &dyn Fn(String)) -> Result<(), Error> {
        let begun = Instant::now();
        let at_least =
            if self.runtime.is_some() && !self.pods.is_empty() { STARTING } else { Duration::ZERO };
        loop {
            let alive = self.alive().await?;
            match alive.first() {
                None if begun.elapsed() >= at_least => return Ok(()),
                Some(Alive { pod, .. }) if begun.elapsed() > ENDING => {
                    return Err(Error::StillRuns { pod: pod.clone() });
                }
                Some(Alive { pod, .. }) => waiting(format!("{pod} has not ended yet")),
                None => {}
            }
            if begun.elapsed() > ORDERLY {
                self.stop(&alive).await;
            }
            tokio::time::sleep(PROBE * 5).await;
        }
    }

    async fn alive(&self) -> Result<Vec<Alive>, Error> {
        if let Some(socket) = &self.runtime {
            match cri::sandboxes(socket).await {
                Ok(found) => {
                    return Ok(found.into_iter().filter_map(|sandbox| self.known(sandbox)).collect());
                }
                Err(error) => tracing::debug!(error = crate::error::chain(&error), "pods are not listed"),
            }
        }
        let mut alive = Vec::new();
        for Pod { name, port, listeners: before } in &self.pods {
            if *before > 0 && listeners(*port)? >= *before {
                alive.push(Alive { pod: name.clone().unwrap_or_default(), sandbox: None });
            }
        }
        Ok(alive)
    }

    /// Kubelet appends the node's name to the pod's.
    fn known(&self, sandbox: Sandbox) -> Option<Alive> {
        let name = format!("{}/{}", sandbox.namespace, sandbox.name);
        let is_it =
            |known: &String| name.strip_prefix(known.as_str()).is_some_and(|rest| rest.starts_with('-'));
        let is_ours = self.pods.iter().filter_map(|pod| pod.name.as_ref()).any(is_it);
        let runs = sandbox.is_ready && sandbox.is_static();
        (is_ours && runs).then_some(Alive { pod: name, sandbox: Some(sandbox.id) })
    }

    async fn stop(&self, alive: &[Alive]) {
        let Some(socket) = &self.runtime else { return };
        for Alive { pod, sandbox } in alive {
            let Some(sandbox) = sandbox else { continue };
            if let Err(error) = cri::stop_sandbox(socket, sandbox).await {
                tracing::warn!(pod, error = crate::error::chain(&error), "the runtime does not stop it");
            }
        }
    }
}
