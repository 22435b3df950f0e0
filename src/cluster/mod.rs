//! The Kubernetes API: connect, apply, watch. No other room speaks to it.
//!
//! ```text
//! kubeconfig ─► Access ─ connect ─► Client ─► apply (discovery, crd, retry)   objects in, an outcome for each out
//!                        probe ─► Readyz      wait (workload, pods, node)     why not yet, until it is done
//!                                             preview: what an apply would do
//!                        question: to one of several apiservers on a port
//!                        current: credentials that change while they are used
//!                        objects: of one kind node, lease                     the few writes that are not an apply
//! ```
//!
//! Which errors are worth a retry is decided in [`retry`] alone. How long an answer may take is
//! decided in [`crate::patience`]: callers own the deadlines of waits and keep the last reason.

pub mod apply;
pub mod connect;
pub mod crd;
pub mod current;
pub mod discovery;
mod error;
pub mod gate;
pub mod inventory;
mod item;
pub mod kubeconfig;
pub mod lease;
pub mod node;
pub mod objects;
pub mod pods;
pub mod preview;
pub mod probe;
pub mod question;
pub mod raw;
pub mod retry;
pub mod wait;
mod webhook;
pub mod workload;

pub use error::Error;
pub use kube::Client;
