//! Entries of etcd, from a server or from a snapshot.

use prost::Message;

use crate::NAMESPACE;

/// A key of etcd and its value, which may be encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Such as `/registry/secrets/kube-system/kube-apiserver`.
    pub key: Vec<u8>,
    /// The encoded object.
    pub value: Vec<u8>,
}

/// Shows the key only: the value may be a Secret.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.key))
    }
}

/// `mvccpb.KeyValue`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)] // the value may be a Secret
pub struct KeyValue {
    /// Key.
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    /// Value.
    #[prost(bytes = "vec", tag = "5")]
    pub value: Vec<u8>,
}

/// Where an apiserver stores the objects of a control plane, below its prefix, and whether only
/// kube-system is read. Cluster-wide roles are few.
const PLACES: [(&str, bool); 11] = [
    ("clusterrolebindings", false),
    ("clusterroles", false),
    ("configmaps", true),
    ("daemonsets", true),
    ("deployments", true),
    ("poddisruptionbudgets", true),
    ("rolebindings", true),
    ("roles", true),
    ("secrets", true),
    ("serviceaccounts", true),
    ("services/specs", true),
];

/// Prefixes of the keys to read; `prefix` is the apiserver's (`--etcd-prefix`).
pub fn prefixes(prefix: &str) -> Vec<String> {
    let prefix = prefix.trim_end_matches('/');
    let place = |(resource, namespaced): (&str, bool)| match namespaced {
        true => format!("{prefix}/{resource}/{NAMESPACE}/"),
        false => format!("{prefix}/{resource}/"),
    };
    PLACES.into_iter().map(place).collect()
}
