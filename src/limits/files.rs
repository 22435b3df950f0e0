//! Flags of components that name files, which the component's container must have.

/// What the path of a flag names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A file that is read, or a socket.
    File,
    /// A certificate and its key, with a comma between, and names behind a colon.
    Pair,
    /// A file that is written.
    Written,
    /// A folder into which files are written.
    Folder,
}

const CLIENTS: &[&str] = &[
    "authentication-kubeconfig",
    "authorization-kubeconfig",
    "client-ca-file",
    "kubeconfig",
    "requestheader-client-ca-file",
    "tls-cert-file",
    "tls-private-key-file",
];

/// Flags by component.
const FILES: &[(&str, Names, &[&str])] = &[
    (
        "kube-apiserver",
        Names::File,
        &[
            "admission-control-config-file",
            "audit-policy-file",
            "audit-webhook-config-file",
            "authentication-config",
            "authentication-token-webhook-config-file",
            "authorization-config",
            "authorization-policy-file",
            "authorization-webhook-config-file",
            "client-ca-file",
            "egress-selector-config-file",
            "encryption-provider-config",
            "etcd-cafile",
            "etcd-certfile",
            "etcd-keyfile",
            "kubelet-certificate-authority",
            "kubelet-client-certificate",
            "kubelet-client-key",
            "peer-ca-file",
            "proxy-client-cert-file",
            "proxy-client-key-file",
            "requestheader-client-ca-file",
            "service-account-key-file",
            "service-account-signing-endpoint",
            "service-account-signing-key-file",
            "tls-cert-file",
            "tls-private-key-file",
            "token-auth-file",
            "tracing-config-file",
        ],
    ),
    ("kube-apiserver", Names::Pair, &["tls-sni-cert-key"]),
    ("kube-apiserver", Names::Written, &["audit-log-path", "debug-socket-path"]),
    ("kube-controller-manager", Names::File, CLIENTS),
    (
        "kube-controller-manager",
        Names::File,
        &[
            "cluster-signing-cert-file",
            "cluster-signing-key-file",
            "cluster-signing-kube-apiserver-client-cert-file",
            "cluster-signing-kube-apiserver-client-key-file",
            "cluster-signing-kubelet-client-cert-file",
            "cluster-signing-kubelet-client-key-file",
            "cluster-signing-kubelet-serving-cert-file",
            "cluster-signing-kubelet-serving-key-file",
            "cluster-signing-legacy-unknown-cert-file",
            "cluster-signing-legacy-unknown-key-file",
            "leader-migration-config",
            "pv-recycler-pod-template-filepath-hostpath",
            "pv-recycler-pod-template-filepath-nfs",
            "root-ca-file",
            "service-account-private-key-file",
        ],
    ),
    ("kube-controller-manager", Names::Pair, &["tls-sni-cert-key"]),
    ("kube-controller-manager", Names::Folder, &["cert-dir"]),
    ("kube-controller-manager", Names::Written, &["debug-socket-path"]),
    ("kube-scheduler", Names::File, CLIENTS),
    ("kube-scheduler", Names::File, &["config"]),
    ("kube-scheduler", Names::Pair, &["tls-sni-cert-key"]),
    ("kube-scheduler", Names::Folder, &["cert-dir"]),
    ("kube-scheduler", Names::Written, &["debug-socket-path", "write-config-to"]),
    ("kube-proxy", Names::File, &["config", "kubeconfig"]),
    ("kube-proxy", Names::Written, &["write-config-to"]),
    (
        "etcd",
        Names::File,
        &[
            "cert-file",
            "client-crl-file",
            "client-cert-file",
            "client-key-file",
            "config-file",
            "key-file",
            "peer-cert-file",
            "peer-client-cert-file",
            "peer-client-key-file",
            "peer-crl-file",
            "peer-key-file",
            "peer-trusted-ca-file",
            "trusted-ca-file",
        ],
    ),
    ("etcd", Names::Folder, &["data-dir", "wal-dir"]),
    ("etcd", Names::Written, &["log-outputs"]),
    ("coredns", Names::File, &["conf"]),
    ("coredns", Names::Written, &["pidfile"]),
    (
        "flannel",
        Names::File,
        &["etcd-cafile", "etcd-certfile", "etcd-keyfile", "kubeconfig-file", "net-config-path"],
    ),
    ("flannel", Names::Folder, &["log_dir"]),
    ("flannel", Names::Written, &["log_file"]),
    ("pod-checkpointer", Names::File, &["container-runtime-endpoint", "kubeconfig"]),
    ("pod-checkpointer", Names::Folder, &["pod-manifest-path"]),
];

/// What a flag in normal form names, if it names files.
pub fn names(component: &str, flag: &str) -> Option<Names> {
    FILES.iter().find(|(of, _, flags)| *of == component && flags.contains(&flag)).map(|(_, names, _)| *names)
}

/// Words that stand for an output that is no file.
const NO_FILE: [&str; 5] = ["-", "default", "stderr", "stdout", "systemd/journal"];

impl Names {
    /// The paths in a flag's value. An empty text, and what kubelet fills in, names none.
    pub fn paths(self, value: &str) -> Vec<&str> {
        let paths: Vec<&str> = match self {
            Self::File => vec![value.strip_prefix("unix://").unwrap_or(value)],
            Self::Pair => value.split(':').next().unwrap_or_default().split(',').collect(),
            Self::Written => value.split(',').filter(|path| !NO_FILE.contains(path)).collect(),
            Self::Folder => vec![value],
        };
        paths.into_iter().filter(|path| !path.is_empty() && !path.contains("$(")).collect()
    }

    /// Whether the component writes there.
    pub fn is_written(self) -> bool {
        matches!(self, Self::Written | Self::Folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_a_value_are_those_that_the_component_opens() {
        assert_eq!(Names::Pair.paths("/a.crt,/a.key:*.example.com,example.com"), ["/a.crt", "/a.key"]);
        assert_eq!(Names::Written.paths("stderr,/var/log/etcd.log"), ["/var/log/etcd.log"]);
        assert_eq!(Names::Written.paths("-"), Vec::<&str>::new());
        assert_eq!(Names::File.paths("unix:///run/crio/crio.sock"), ["/run/crio/crio.sock"]);
        assert_eq!(Names::File.paths("$(FILE)"), Vec::<&str>::new());
    }
}
