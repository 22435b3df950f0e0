//! What one machine of the list gets, and nothing of another's: kubelet's files in the tree of the
//! machine, and the same for cloud-init and for Ignition. Pure.
//!
//! No key of an authority is in it. Its one secret is the machine's own bootstrap token.

mod cloud_init;
mod file;
mod ignition;
mod kubelet;
mod network;

pub use kubelet::AUTHORITY;

use crate::config::{ClusterConfig, Networking, Node};
use file::{File, PUBLIC, SECRET};

/// The bundle of `node`: paths below its folder, and what they hold. `kubeconfig` is the one by
/// which its kubelet joins, `authority` the CA of the cluster.
pub fn render(
    config: &ClusterConfig,
    node: &Node,
    kubeconfig: String,
    authority: &[u8],
) -> Vec<(String, String)> {
    let files = files(config, node, kubeconfig, authority);
    let mut bundle = vec![
        ("user-data".to_owned(), cloud_init::write(&files)),
        ("ignition.json".to_owned(), ignition::write(&files)),
    ];
    bundle.extend(files.into_iter().map(|file| (format!("files{}", file.path), file.content)));
    bundle
}

fn files(config: &ClusterConfig, node: &Node, kubeconfig: String, authority: &[u8]) -> Vec<File> {
    let authority = String::from_utf8_lossy(authority).into_owned();
    let mut files = vec![
        File { path: AUTHORITY, mode: PUBLIC, content: authority },
        File { path: kubelet::KUBECONFIG, mode: SECRET, content: kubeconfig },
        File { path: kubelet::DROP_IN, mode: PUBLIC, content: kubelet::drop_in(node) },
        File { path: kubelet::CONFIGURATION, mode: SECRET, content: kubelet::configuration(config, node) },
    ];
    if config.networking == Networking::None && !node.pod_cidrs.is_empty() {
        files.push(File { path: network::FILE, mode: PUBLIC, content: network::list(&node.pod_cidrs) });
    }
    files
}

#[cfg(test)]
mod tests;
