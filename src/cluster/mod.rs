//! The Kubernetes API: connect, apply, watch. Nothing else speaks to it.
//!
//! ```text
//! kubeconfig ─► Access ─ connect ─► Client ─► apply (discovery, crd, retry)   objects in, an outcome for each out
//!                        probe ─► Readyz      wait (workload, pods, node)     why not yet, until it is
//!                                             preview: what an apply would do
//!                        question: to one of several apiservers on a port
//!                        current: as whom, where that changes
//!                        objects: of one kind node, lease                     the few writes that are not an apply
//! ```
//!
//! Which errors are worth another try is decided in [`retry`] alone. Nothing here has a timeout of its own beyond those of
//! a connection: callers own the deadlines and keep the last reason they were told.

pub mod apply;
pub mod connect;
pub mod crd;
pub mod current;
pub mod discovery;
pub mod gate;
pub mod inventory;
pub mod kubeconfig;
pub mod lease;
pub mod node;
pub mod objects;
pub mod pods;
pub mod preview;
pub mod question;
pub mod retry;
pub mod wait;
pub mod workload;

pub use kube::Client;

/// What went wrong between us and the API.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials make no connection: a key that does not belong to its certificate, a name that is none.
    #[error("cannot set up a connection to {server} with the given credentials")]
    Setup {
        /// URL of the API.
        server: String,
        /// What the TLS stack says.
        #[source]
        source: Box<kube::Error>,
    },
    /// The CA is not PEM.
    #[error("the CA certificate for {server} is not PEM")]
    Ca {
        /// URL of the API.
        server: String,
        /// What the parser says.
        #[source]
        source: pem::PemError,
    },
    /// The API refused, for good.
    #[error("failed to {act} {object}: {reason}")]
    Refused {
        /// What was tried, as an infinitive.
        act: &'static str,
        /// On what.
        object: String,
        /// What the API says.
        reason: String,
    },
}

impl Error {
    /// That the API said `error` to `act` on `object`.
    pub fn refused(act: &'static str, object: impl Into<String>, error: &kube::Error) -> Self {
        Self::Refused { act, object: object.into(), reason: retry::describe(error) }
    }
}
