//! The agent. On every controller it lets pods of the control plane be replaced without a failed
//! request, and brings them back where no API is left that could.
//!
//! - [`handover::guard`] steers new connections while one apiserver is replaced by the next, and
//!   opens the readiness gate of the next.
//! - `leaders` releases the lease of a controller manager or scheduler that has ended.
//! - `copies` keeps copies of pods on disk, and gives them to kubelet.
//! - `identity` renews the agent's certificate.
//!
//! The agent acts on its own machine alone. It writes copies, conditions of pods, and leases. While
//! it is away a rollout waits, and the older apiserver serves. On a machine that is no controller,
//! where its kubeconfig has kubelet's certificate, it keeps copies and does nothing else.
//!
//! The agent's pod and the copy of it both run. One works, and the other waits for the lock
//! [`Name::Agent`]. Both step down while a command holds [`Name::StandIn`], as `unpivot` does, and
//! go on when that command has ended, in whatever way.

mod complaints;
mod copies;
pub mod identity;
mod leaders;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use self::copies::Keeper;
use crate::checkpoint::store::Store;
use crate::cluster::{self, current, kubeconfig};
use crate::error::{ExitClass, Failure, chain};
use crate::handover::lock::{Lock, Locks, Name};
use crate::handover::{self, Port};
use crate::host::files;

/// Time between two looks whether another process does the agent's work, where that cannot be
/// watched.
const RETRY: Duration = Duration::from_secs(1);

/// What the agent needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its identity, and where the API of this machine is.
    pub kubeconfig: PathBuf,
    /// The node of this machine.
    pub node: String,
    /// Where copies are kept.
    pub store: Store,
    /// Socket of the container runtime.
    pub runtime: PathBuf,
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
    /// The port of the apiservers cannot be asked.
    #[error(transparent)]
    Handover(#[from] handover::Error),
    /// The leaders of this machine cannot be watched.
    #[error(transparent)]
    Leaders(#[from] leaders::Error),
    /// The locks of the agents of this machine cannot be used.
    #[error(transparent)]
    Lock(#[from] files::Error),
    /// This machine refused something.
    #[error("failed to {act}")]
    Host {
        /// What was tried.
        act: &'static str,
        /// The error of the system.
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

/// Works until SIGTERM.
///
/// # Errors
/// If the kubeconfig cannot be used, or a part of the agent cannot go on. Kubelet then starts the
/// container again.
pub async fn run(options: &Options) -> Result<(), Error> {
    let mut terminated = signal(SignalKind::terminate()).map_err(host("listen for signals"))?;
    tokio::select! {
        result = work(options) => result,
        _ = terminated.recv() => Ok(()),
    }
}

async fn work(options: &Options) -> Result<(), Error> {
    let Options { kubeconfig, node, store, .. } = options;
    let locks = Locks::in_folder(&store.secrets);
    loop {
        // An agent with a broken kubeconfig must not look healthy while it waits: it would be
        // rolled out, and a copy of it kept.
        kubeconfig::read(kubeconfig)?;
        // Before anything that takes memory: one of the two agents waits here all its life.
        tracing::info!(node, "waiting to be the one agent of this machine that works");
        let alone = Arc::new(wait_to_be_alone(&locks).await?);
        let identity = identity::Keeper::new(kubeconfig, store)?;
        tokio::select! {
            result = work_alone(options, &locks, &alone, identity) => return result,
            result = wait_for_a_stand_in(&locks) => result?,
        }
        tracing::info!(node, "a command stands in for the agent on this machine");
    }
}

async fn wait_to_be_alone(locks: &Locks) -> Result<Lock, files::Error> {
    locks.free(Name::StandIn).await?;
    locks.take(Name::Agent).await
}

/// Returns once a command holds the stand-in's lock. Where the kernel has no watch left, it is
/// looked at from time to time.
async fn wait_for_a_stand_in(locks: &Locks) -> Result<(), files::Error> {
    let mut has_warned = false;
    loop {
        let watch = locks.watch(Name::StandIn);
        if locks.is_held(Name::StandIn)? {
            return Ok(());
        }
        let changed = match &watch {
            Ok(watch) => watch.changed().await,
            Err(error) => Err(io::Error::other(chain(error))),
        };
        if let Err(error) = changed {
            if !std::mem::replace(&mut has_warned, true) {
                tracing::warn!(%error, "the stand-in's lock is not watched but looked at every second");
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn host(act: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Host { act, source }
}

/// Returns when one of its parts does.
async fn work_alone(
    options: &Options,
    locks: &Locks,
    alone: &Arc<Lock>,
    identity: identity::Keeper,
) -> Result<(), Error> {
    let Options { node, store, runtime, .. } = options;
    let server = identity.access().borrow().server.clone();
    let port = Port::following(server.port_or_known_default().unwrap_or(443), identity.access())?;
    let port = port.with_locks(locks.clone());
    let client = current::client(identity.access())?;
    let copies = Keeper::new(&client, node, store, runtime.clone(), &identity, Arc::clone(alone));
    if identity.is_kubelet() {
        tracing::info!(node, %server, "keeping copies of pods of this machine, in its kubelet's name");
        tokio::select! {
            () = copies.guard() => {},
            () = identity.keep(&client) => {},
        }
        return Ok(());
    }
    let served = tokio::sync::watch::Sender::default();
    tracing::info!(node, %server, "watching over the control plane of this machine");
    tokio::select! {
        () = handover::guard(port, &client, node, &served) => Ok(()),
        result = leaders::guard(&client, node) => Ok(result?),
        () = copies.guard() => Ok(()),
        () = identity.keep(&client) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stand_in_is_noticed_at_once_and_after_the_folder_was_removed() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("locks");
        let locks = Locks::in_folder(&folder);
        let waiting = {
            let locks = locks.clone();
            tokio::spawn(async move { wait_for_a_stand_in(&locks).await })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::fs::remove_dir_all(&folder).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        let _stand_in = locks.take(Name::StandIn).await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_that_cannot_work_ends_although_the_other_one_works() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { secrets: folder.path().into(), ..Store::default() };
        let _other = Locks::in_folder(folder.path()).take(Name::Agent).await.unwrap();
        let options = Options {
            kubeconfig: "/nowhere/kubeconfig".into(),
            node: "n1".into(),
            store,
            runtime: PathBuf::new(),
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), run(&options)).await.expect("it ends");
        assert!(matches!(ended, Err(Error::Kubeconfig(_))), "{ended:?}");
    }
}
