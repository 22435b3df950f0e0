//! bootkube turns a machine with a kubelet into a Kubernetes cluster whose control plane runs inside Kubernetes.
//!
//! Data flows one way:
//!
//! ```text
//! argv ─ cli ─► config::resolve ─► ClusterConfig ─► pki::issue ─► Bundle ─► render ─► Assets ─► assets::write ─► directory
//! directory ─ lint ─► Findings
//! directory ─ assets::load ─► Layout ─► preflight::run ─► Checks
//! directory ─ assets::load ─► Layout, ordered Objects ─► start::start (host, cluster) ─► Report ─► exit code
//! API, etcd or snapshot ─ recover ─► Assets ─► assets::write ─► directory
//! ```
//!
//! `config`, `pki`, `render`, `assets` and `checkpoint` are synchronous and know neither tokio nor a client. `cluster`
//! alone speaks to the API, `host` alone changes the machine, and `start` combines the two. `preflight`, `diagnose` and
//! `status` change nothing. `ui` only writes.
//!
//! Public modules are those that make assets from a configuration, and the command line. Modules marked hidden
//! are public for `tests/` only, which run them against a real API or kernel; they may change at any time.

#[doc(hidden)]
pub mod agent;
pub mod assets;
mod bundle;
#[doc(hidden)]
pub mod checkpoint;
pub mod cli;
#[doc(hidden)]
pub mod cluster;
pub mod config;
mod diagnose;
mod dial;
pub mod error;
mod etcd;
pub mod finding;
#[cfg(test)]
#[path = "golden_tests.rs"]
mod golden;
mod grpc;
#[doc(hidden)]
pub mod handover;
#[doc(hidden)]
pub mod host;
mod journal;
mod kubelet;
pub mod limits;
mod lint;
mod living;
mod nodes;
#[doc(hidden)]
pub mod patience;
mod phase;
pub mod pki;
#[doc(hidden)]
pub mod preflight;
#[doc(hidden)]
pub mod recover;
pub mod reference;
pub mod render;
#[doc(hidden)]
pub mod report;
mod reset;
mod smoke_test;
#[doc(hidden)]
pub mod start;
mod status;
mod timestamp;
#[doc(hidden)]
pub mod ui;
mod undo;
mod unpivot;
mod values;
mod x509;
pub mod yaml;

/// Folder that all commands and the agent share, and the only one that a wrapper mounts writable.
pub const KUBERNETES: &str = "/etc/kubernetes";
/// What bootkube did to this machine. See `docs/journal.md`.
pub const JOURNAL: &str = "/etc/kubernetes/bootkube-journal.jsonl";
/// Folder on the machine with the files that bootstrap pods read. It is v0.14's, so that the
/// manifests of v0.14 work.
pub const BOOTSTRAP_SECRETS: &str = "/etc/kubernetes/bootstrap-secrets";
/// Folder with the keys of an etcd that is a static pod. Rendered manifests name it.
pub const ETCD_KEYS: &str = "/etc/kubernetes/etcd";
/// Folder with the keys of a control plane that `unpivot` has turned into static pods.
pub const CONTROL_PLANE_KEYS: &str = "/etc/kubernetes/control-plane";
/// Folder with the files that copies of pods mount, and with the locks that the agent shares with `start` and `unpivot`: the agent's pod
/// mounts this folder, and only root may enter it.
pub const CHECKPOINT_SECRETS: &str = "/etc/kubernetes/checkpoint-secrets";
/// Kubeconfig in `BOOTSTRAP_SECRETS` that leads to the bootstrap apiserver, written by `start` when it knows where that is.
pub const LOCAL_KUBECONFIG: &str = "kubeconfig-local";
/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Field manager of everything that bootkube applies, and value of the label `app.kubernetes.io/managed-by`.
pub const FIELD_MANAGER: &str = "bootkube";
/// Namespace of everything rendered, unless the object names another.
pub const NAMESPACE: &str = "kube-system";
