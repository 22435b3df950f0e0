//! The flags that components have, with the types that read their values, and the names that some
//! flags take: of Kubernetes v1.36.3, etcd v3.6.8 and CoreDNS, from the programs themselves.
//!
//! `tests/lab/kubernetes/v1.36/flags` writes the table, and a test compares it with the programs.

/// The minor version of Kubernetes 1 that the table is of.
pub const MINOR: u32 = 36;

const TABLE: &str = include_str!("programs.txt");
/// Programs that are not in the generated table. CoreDNS' are in its help, the agent's are our own.
const OTHERS: &str = "\
coredns string: conf dns.port p pidfile
coredns bool: plugins quiet version
flannel bool: auto-detect-ipv6 ip-masq iptables-forward-rules kube-subnet-mgr
flannel int: healthz-port iptables-resync v
pod-checkpointer string: container-runtime-endpoint kubeconfig node-name pod-manifest-path
";

/// Lists of names that flags take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Admission plugins of the apiserver.
    AdmissionPlugins,
    /// TLS cipher suites of all components.
    CipherSuites,
    /// Controllers of the controller manager.
    Controllers,
}

/// A feature gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It takes both values.
    Free,
    /// It takes its default only.
    Locked(bool),
}

/// A line of the table: whose it is, what its names have in common, and the names.
fn lines() -> impl Iterator<Item = (&'static str, &'static str, std::str::Split<'static, char>)> {
    TABLE.lines().chain(OTHERS.lines()).filter_map(|line| {
        let (head, names) = line.split_once(": ")?;
        let (owner, group) = head.split_once(' ')?;
        Some((owner, group, names.split(' ')))
    })
}

fn group(owner: &str, name: &str) -> Option<&'static str> {
    let mut of_owner = lines().filter(|(of, ..)| *of == owner);
    of_owner.find_map(|(_, group, mut names)| names.any(|other| other == name).then_some(group))
}

/// Every flag of a component. None, if the table does not have the component.
pub fn flags(component: &str) -> Vec<&'static str> {
    lines().filter(|(of, ..)| *of == component).flat_map(|(.., names)| names).collect()
}

/// The type of a flag, by the name that Go's flag libraries have for it.
pub fn flag_type(component: &str, flag: &str) -> Option<&'static str> {
    group(component, flag)
}

/// Every feature gate of Kubernetes.
pub fn gates() -> Vec<&'static str> {
    flags("feature-gates")
}

/// A feature gate of Kubernetes.
pub fn gate(name: &str) -> Option<Gate> {
    match group("feature-gates", name)? {
        "true" => Some(Gate::Locked(true)),
        "false" => Some(Gate::Locked(false)),
        _ => Some(Gate::Free),
    }
}

/// The names of a list.
pub fn names(list: List) -> Vec<&'static str> {
    let wanted = match list {
        List::AdmissionPlugins => "admission-plugins",
        List::CipherSuites => "cipher-suites",
        List::Controllers => "controllers",
    };
    lines()
        .filter(|(of, group, _)| *of == "names" && *group == wanted)
        .flat_map(|(.., names)| names)
        .collect()
}

/// The name that a controller has today, for a name that it had before.
pub fn controller(name: &str) -> &str {
    let mut aliases =
        lines().filter(|(_, group, _)| *group == "controllers-aliases").flat_map(|(.., all)| all);
    aliases.find_map(|alias| alias.strip_prefix(name)?.strip_prefix('=')).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_gates_and_names_are_found_in_the_table() {
        assert_eq!(flag_type("kube-apiserver", "event-ttl"), Some("duration"));
        assert_eq!(flag_type("etcd", "quota-backend-bytes"), Some("int64"));
        assert_eq!(flag_type("kube-apiserver", "audit-log-pth"), None);
        assert_eq!(gate("AllAlpha"), Some(Gate::Free));
        assert_eq!(gate("DisableAllocatorDualWrite"), Some(Gate::Locked(true)));
        assert_eq!(gate("NoSuchGate"), None);
        assert!(names(List::AdmissionPlugins).contains(&"NodeRestriction"));
        assert!(names(List::CipherSuites).contains(&"TLS_AES_128_GCM_SHA256"));
        assert_eq!(controller("csrapproving"), "certificatesigningrequest-approving-controller");
        assert_eq!(controller("deployment-controller"), "deployment-controller");
        assert_eq!(flags("nothing"), Vec::<&str>::new());
    }
}
