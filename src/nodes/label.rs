//! Labels that a kubelet may give to its own Node.
//!
//! kubelet does not start with another label of Kubernetes' own domains, and the apiserver refuses
//! one (`cmd/kubelet/app/options`, `plugin/pkg/admission/noderestriction`).

use crate::values::mistakes::{Checked, fault};
use crate::values::scalar;

/// Labels that kubelets may set, `staging/src/k8s.io/kubelet/pkg/apis/well_known_labels.go`.
const KUBELETS: [&str; 11] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
];
/// Domains of which kubelets may set every label.
const OPEN: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Kubernetes' own domains.
const RESERVED: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// Of this domain the administrator alone sets labels.
const RESTRICTED: &str = "node-restriction.kubernetes.io";
const ROLE: &str = "node-role.kubernetes.io";

/// `key=value`, `key=` or `key`.
pub fn label(text: &str) -> Checked<(String, String)> {
    let (key, value) = scalar::label(text)?;
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    if domain == ROLE {
        return fault(
            "is a role, which a kubelet may not give to its own Node",
            "leave it out: `role: controller` makes a controller, and kubectl label gives any other role",
        );
    }
    let is_open = OPEN.iter().any(|open| is_within(domain, open)) || KUBELETS.contains(&key.as_str());
    let is_reserved = RESERVED.iter().any(|reserved| is_within(domain, reserved));
    match is_within(domain, RESTRICTED) || (is_reserved && !is_open) {
        false => Ok((key, value)),
        true => fault(
            "is a label that a kubelet may not give to its own Node",
            "use a domain of your own or node.kubernetes.io/, or set it by kubectl label",
        ),
    }
}

fn is_within(domain: &str, outer: &str) -> bool {
    domain == outer || domain.strip_suffix(outer).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_may_set_what_the_apiserver_lets_it_set() {
        for good in [
            "disk=ssd",
            "example.com/rack=a1",
            "node.kubernetes.io/pool=x",
            "a.node.kubernetes.io/b=",
            "kubelet.kubernetes.io/x=",
            "topology.kubernetes.io/zone=z1",
            "kubernetes.io/arch=amd64",
            "mykubernetes.io/a=b",
        ] {
            assert!(label(good).is_ok(), "{good}");
        }
        for bad in [
            "node-role.kubernetes.io/worker=",
            "node-restriction.kubernetes.io/a=b",
            "x.node-restriction.kubernetes.io/a=b",
            "kubernetes.io/role=worker",
            "topology.kubernetes.io/rack=1",
            "k8s.io/a=b",
            "x.k8s.io/a=b",
        ] {
            assert!(
                label(bad).unwrap_err().problem.contains("a kubelet may not give to its own Node"),
                "{bad}"
            );
        }
        for bad in ["", "=a", "a b=c", "a=b=c", "a=-", "a/b/c=d"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }
}
