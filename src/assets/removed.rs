//! API versions that Kubernetes had and has no more.

use std::sync::LazyLock;

/// An API version of a kind, which was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Such as `extensions/v1beta1`.
    pub api_version: &'static str,
    /// Such as `Ingress`.
    pub kind: &'static str,
    /// The minor version of Kubernetes 1 that first served it no more.
    pub minor: u32,
    /// The apiVersion to write instead, if there is one.
    pub instead: Option<&'static str>,
    /// Whether the lifecycles in Kubernetes' own sources have it.
    pub is_in_sources: bool,
}

static REMOVED: LazyLock<Vec<Removed>> = LazyLock::new(|| {
    let rows = include_str!("removed.txt").lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(row).collect()
});

/// What the newer version wants that the older one did not have, by kind.
const DIFFERS: [(&str, &str); 12] = [
    ("Ingress", "backend.service has name and port, and each path has a pathType"),
    ("CustomResourceDefinition", "each version has a schema (openAPIV3Schema)"),
    ("MutatingWebhookConfiguration", WEBHOOKS),
    ("ValidatingWebhookConfiguration", WEBHOOKS),
    ("Deployment", SELECTOR),
    ("DaemonSet", SELECTOR),
    ("StatefulSet", SELECTOR),
    ("ReplicaSet", SELECTOR),
    ("HorizontalPodAutoscaler", "each metric has its value in target"),
    ("PodDisruptionBudget", "an empty selector stands for all pods, not for none"),
    ("CertificateSigningRequest", "spec.signerName and spec.usages are required"),
    ("EndpointSlice", "each endpoint has its node in nodeName"),
];
const WEBHOOKS: &str = "each webhook has sideEffects and admissionReviewVersions";
const SELECTOR: &str = "spec.selector is required";

fn row(line: &'static str) -> Option<Removed> {
    let mut words = line.split(' ');
    let (api_version, kind) = (words.next()?, words.next()?);
    let minor = words.next()?.parse().ok()?;
    let instead = words.next().filter(|instead| *instead != "-");
    Some(Removed { api_version, kind, minor, instead, is_in_sources: words.next()? == "api" })
}

/// Every row.
pub fn all() -> &'static [Removed] {
    &REMOVED
}

/// The row of a kind in an API version.
pub fn find(api_version: &str, kind: &str) -> Option<&'static Removed> {
    REMOVED.iter().find(|row| row.api_version == api_version && row.kind == kind)
}

impl Removed {
    /// That it is gone.
    pub fn problem(&self) -> String {
        let Self { api_version, kind, minor, .. } = self;
        format!("{kind} of {api_version} was removed in Kubernetes 1.{minor}")
    }

    /// What to write instead. None if nothing replaces it.
    pub fn cure(&self) -> Option<String> {
        let differs = DIFFERS.iter().find(|(kind, _)| *kind == self.kind).map(|(_, differs)| *differs);
        let differs = differs.map(|differs| format!("; there {differs}")).unwrap_or_default();
        let Self { kind, .. } = self;
        self.instead.map(|instead| {
            format!("write apiVersion: {instead}, and compare the fields (`kubectl explain {kind}`){differs}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds;
    use super::*;

    #[test]
    fn what_replaces_a_version_is_served_and_what_was_removed_is_refused() {
        assert!(all().len() > 50, "{}", all().len());
        for row in all() {
            if let Some(instead) = row.instead {
                assert_eq!(kinds::mistake(instead, row.kind), None, "{row:?}");
            }
            let is_refused = kinds::mistake(row.api_version, row.kind);
            match row.minor {
                // 1.34 may still serve it.
                35.. => assert_eq!(is_refused, None, "{row:?}"),
                _ => assert!(is_refused.is_some_and(|mistake| mistake.problem == row.problem()), "{row:?}"),
            }
        }
    }
}
