//! The names of what a cluster keeps.

/// A value that a cluster keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Authority,
    /// The apiserver's. It is no field of its own: others are compared with it.
    Certificate,
    ServiceAccountKey,
    Etcd,
    EtcdPrefix,
    EtcdData,
    Encryption,
    ServiceRanges,
    Dns,
    PodRanges,
    Domain,
    Issuer,
    Port,
    Host,
    Networking,
    Version,
}

/// The minor number of a version such as `v1.36.3`.
pub(super) fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("v1.")?.split('.').next()?.parse().ok()
}
