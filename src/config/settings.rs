//! The user's input as it was written: every value is optional, uninterpreted, and knows its place.
//!
//! A file fills the settings, flags override them, `resolve` interprets them. Defaults and checks
//! are not here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Component;
use crate::nodes;
use crate::values::mistakes::{Given, List};

/// Everything that can be configured; the fields are those of the file (see `config defaults`).
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Whether a file was given: its default for the expiry of the bootstrap token differs from
    /// that of the flags.
    pub from_file: bool,
    pub cluster_name: Option<Given<String>>,
    pub cluster_domain: Option<Given<String>>,
    pub kubernetes_version: Option<Given<String>>,
    pub api_servers: Option<List>,
    pub api_alt_names: Option<List>,
    pub etcd: EtcdSettings,
    pub pod_cidrs: Option<List>,
    pub service_cidrs: Option<List>,
    pub networking: Option<Given<String>>,
    pub images: BTreeMap<&'static str, Given<String>>,
    pub components: BTreeMap<Component, ComponentSettings>,
    pub control_plane: ControlPlaneSettings,
    pub nodes: nodes::List,
    pub cloud_provider: Option<Given<String>>,
    pub trusted_certs_dir: Option<Given<String>>,
    pub certificates: CertificateSettings,
    pub ca_certificate: Option<Given<String>>,
    pub ca_private_key: Option<Given<String>>,
    pub bootstrap_token_expiry: Option<Given<String>>,
    pub service_account_issuer: Option<Given<String>>,
    pub aggregation: Option<Given<bool>>,
    pub checkpoint_workers: Option<Given<bool>>,
    pub core_dns_replicas: Option<Given<u16>>,
    pub core_dns_upstream: Option<List>,
}

/// `etcd`.
#[derive(Debug, Default)]
pub(super) struct EtcdSettings {
    pub mode: Option<Given<String>>,
    pub servers: Option<List>,
    pub ca: Option<Given<String>>,
    pub certificate: Option<Given<String>>,
    pub private_key: Option<Given<String>>,
}

/// `controlPlane`.
#[derive(Debug, Default)]
pub(super) struct ControlPlaneSettings {
    pub controllers: Option<Given<u16>>,
    pub workers: Option<Given<bool>>,
    pub label: Option<Given<String>>,
    pub taint: Option<Given<String>>,
}

/// `certificates`.
#[derive(Debug, Default)]
pub(super) struct CertificateSettings {
    pub key_algorithm: Option<Given<String>>,
    pub validity: Option<Given<String>>,
    pub ca_validity: Option<Given<String>>,
}

/// One entry of `components`.
#[derive(Debug)]
pub(super) struct ComponentSettings {
    pub at: String,
    pub extra_args: Vec<(String, Given<Value>)>,
    pub extra_volumes: Vec<VolumeSettings>,
    pub patches: Vec<PatchSettings>,
}

/// One entry of `extraVolumes`.
#[derive(Debug)]
pub(super) struct VolumeSettings {
    pub at: String,
    pub name: Option<Given<String>>,
    pub host_path: Option<Given<String>>,
    pub mount_path: Option<Given<String>>,
    pub read_only: Option<Given<bool>>,
    pub path_type: Option<Given<String>>,
}

/// One entry of `patches`.
#[derive(Debug)]
pub(super) struct PatchSettings {
    pub at: String,
    pub kind: Option<Given<String>>,
    pub patch_type: Option<Given<String>>,
    pub patch: Option<Given<Value>>,
}
