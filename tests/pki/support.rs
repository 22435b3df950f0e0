//! Configurations, a fixed clock, and openssl in a folder of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bootkube::config::*;
use bootkube::pki::{Action, Bundle, Note, Previous, Supplied, issue};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

pub const NOW: OffsetDateTime = datetime!(2030-05-17 12:00:00 UTC);
pub const DAY: Duration = Duration::from_secs(86_400);

/// A single machine with etcd elsewhere.
pub fn config() -> ClusterConfig {
    let image = || "registry.example/image:v1".to_owned();
    ClusterConfig {
        cluster_name: "demo".into(),
        cluster_domain: "cluster.local".into(),
        kubernetes_version: "v1.36.3".into(),
        api_servers: vec![
            "https://api.demo.example:6443".parse().unwrap(),
            "https://10.0.0.7:6443".parse().unwrap(),
        ],
        api_alt_names: AltNames {
            ips: vec!["192.0.2.9".parse().unwrap()],
            dns_names: vec!["API.demo.example".into(), "alt.demo.example".into()],
        },
        secure_port: 6443,
        etcd: Etcd::External {
            servers: vec!["https://etcd1.demo.example:2379".parse().unwrap()],
            client: None,
        },
        pod_cidrs: vec!["10.2.0.0/16".parse().unwrap()],
        service_cidrs: vec!["10.3.0.0/24".parse().unwrap()],
        networking: Networking::None,
        images: Images {
            kube_apiserver: image(),
            kube_controller_manager: image(),
            kube_scheduler: image(),
            kube_proxy: image(),
            coredns: image(),
            etcd: image(),
            flannel: image(),
            flannel_cni_plugin: image(),
            bootkube: image(),
        },
        components: BTreeMap::new(),
        control_plane: ControlPlane {
            controllers: 1,
            workers: false,
            label: ("node-role.kubernetes.io/control-plane".into(), String::new()),
            taint: None,
        },
        nodes: Vec::new(),
        cloud_provider: String::new(),
        trusted_certs_dir: "/usr/share/ca-certificates".into(),
        certificates: Certificates {
            key_algorithm: KeyAlgorithm::EcdsaP256,
            validity: 365 * DAY,
            ca_validity: 3650 * DAY,
        },
        ca: None,
        bootstrap_token_expiry: Some(DAY),
        service_account_issuer: "https://kubernetes.default.svc.cluster.local".into(),
        aggregation: true,
        checkpoint_workers: false,
        core_dns: CoreDns { replicas: 2, upstream: vec!["/etc/resolv.conf".into()] },
    }
}

/// The secrets of a new cluster.
pub fn fresh(config: &ClusterConfig) -> Bundle {
    issue(config, Supplied::default(), &Previous::default(), NOW).unwrap().0
}

/// What the next render finds of `bundle`.
pub fn previous(bundle: &Bundle) -> Previous {
    let Bundle { files, bootstrap_token, node_tokens } = bundle.clone();
    Previous { files, token: Some(bootstrap_token), node_tokens }
}

/// What was done with each path.
pub fn actions(notes: &[Note]) -> BTreeMap<&str, Action> {
    notes.iter().map(|note| (note.path.as_str(), note.action)).collect()
}

/// The paths on which `action` was done.
pub fn paths_of(notes: &[Note], action: Action) -> Vec<&str> {
    notes.iter().filter(|note| note.action == action).map(|note| note.path.as_str()).collect()
}

/// Writes `files` into a folder that goes away with the value.
pub fn folder(files: &BTreeMap<String, Vec<u8>>) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Runs openssl in `folder` with words separated by spaces; a word may not hold one.
pub fn openssl(folder: &Path, words: &str) -> String {
    let output = Command::new("openssl").args(words.split(' ')).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {words}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}
