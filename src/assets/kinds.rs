//! The kinds that are built into Kubernetes, and what is wrong with a kind that no API will ever
//! serve.
//!
//! Only a definition or an aggregated API adds kinds, and neither can add one to a built-in group.
//! So a kind that such a group does not have is a mistake at once, and nothing to wait for. A group
//! of a definition has a dot in it, so the same holds for a group without one.

use std::sync::LazyLock;

use super::removed;

/// The versions of Kubernetes that the table is made for, in words.
const KUBERNETES: &str = "Kubernetes 1.34 to 1.36";

/// A kind of which an apiserver keeps objects.
struct Kind {
    group: &'static str,
    name: &'static str,
    is_namespaced: bool,
    /// The one to write comes first.
    versions: Vec<&'static str>,
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let rows = include_str!("kinds.txt").lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(row).collect()
});

fn row(line: &'static str) -> Option<Kind> {
    let mut words = line.split(' ');
    let (group, name, scope) = (words.next()?, words.next()?, words.next()?);
    let group = if group == "-" { "" } else { group };
    Some(Kind { group, name, is_namespaced: scope == "namespaced", versions: words.collect() })
}

/// Built-in groups whose kinds are all questions ([`QUESTIONS`]).
const WITHOUT_OBJECTS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// What a client asks the API, and the API does not keep.
const QUESTIONS: [(&str, &str); 12] = [
    ("", "Binding"),
    ("", "ComponentStatus"),
    ("authentication.k8s.io", "SelfSubjectReview"),
    ("authentication.k8s.io", "TokenRequest"),
    ("authentication.k8s.io", "TokenReview"),
    ("authorization.k8s.io", "LocalSubjectAccessReview"),
    ("authorization.k8s.io", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "SelfSubjectRulesReview"),
    ("authorization.k8s.io", "SubjectAccessReview"),
    ("autoscaling", "Scale"),
    ("policy", "Eviction"),
    ("", "Status"),
];

/// Kinds and groups that are gone for good, and what to do instead. An empty kind stands for all.
const GONE: [(&str, &str, &str); 7] = [
    ("policy", "PodSecurityPolicy", POD_SECURITY),
    ("extensions", "PodSecurityPolicy", POD_SECURITY),
    ("extensions", "ThirdPartyResource", "write a CustomResourceDefinition (apiextensions.k8s.io/v1)"),
    ("extensions", "DeploymentRollback", "remove the object; `kubectl rollout undo` takes back a rollout"),
    ("settings.k8s.io", "", "remove the object, and write its settings into the pod templates"),
    ("auditregistration.k8s.io", "", "remove the object, and use the apiserver's audit flags"),
    ("imagepolicy.k8s.io", "", "remove the object: it is a question that an apiserver asks a webhook"),
];
const POD_SECURITY: &str =
    "remove the object, and label namespaces for Pod Security (pod-security.kubernetes.io/enforce)";

/// Groups of files that programs read. Those that end in `.config.k8s.io` are, too.
const FILES: [&str; 7] = [
    "apiserver.k8s.io",
    "audit.k8s.io",
    "bootkube.dev",
    "client.authentication.k8s.io",
    "kind.x-k8s.io",
    "kubeadm.k8s.io",
    "admission.k8s.io",
];

/// What is wrong, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub problem: String,
    /// The cure, as an instruction.
    pub cure: String,
}

/// Whether Kubernetes itself serves `group`.
pub fn is_built_in_group(group: &str) -> bool {
    WITHOUT_OBJECTS.contains(&group) || KINDS.iter().any(|kind| kind.group == group)
}

/// Whether objects of a built-in kind are in namespaces; None for any other kind.
pub fn is_namespaced(group: &str, kind: &str) -> Option<bool> {
    find(group, kind).map(|found| found.is_namespaced)
}

/// Why no API will serve `kind` in `api_version`. None for kinds that may be custom ones.
pub fn mistake(api_version: &str, kind: &str) -> Option<Mistake> {
    let (group, version) = match api_version.split_once('/') {
        Some(parts) => parts,
        None if is_version(api_version) => ("", api_version),
        None => return Some(without_version(api_version, kind)),
    };
    match find(group, kind) {
        Some(found) if found.versions.contains(&version) => None,
        _ if removed::find(api_version, kind).is_some() => gone(group, api_version, kind),
        Some(found) => Some(wrong_version(found, api_version)),
        None => elsewhere(group, api_version, kind),
    }
}

/// For a kind of a version that was removed.
fn gone(group: &str, api_version: &str, kind: &str) -> Option<Mistake> {
    let removed = removed::find(api_version, kind)?;
    let cure = removed.cure().or_else(|| without_successor(group, kind).map(str::to_owned))?;
    Some(Mistake { problem: removed.problem(), cure })
}

/// What to do instead of a kind or a group that nothing replaces.
fn without_successor(group: &str, kind: &str) -> Option<&'static str> {
    GONE.iter().find(|(gone, name, _)| *gone == group && ["", kind].contains(name)).map(|(.., cure)| *cure)
}

fn find(group: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|known| known.group == group && known.name == kind)
}

/// Such as `v1` and `v2beta1`.
fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn without_version(api_version: &str, kind: &str) -> Mistake {
    let group = KINDS.iter().find(|known| known.group == api_version && known.name == kind);
    let known = group.or_else(|| KINDS.iter().find(|known| known.name == kind));
    Mistake {
        problem: format!("apiVersion {api_version} has no version"),
        cure: match known {
            Some(known) => format!("write apiVersion: {}", known.api_version()),
            None => "write it as GROUP/VERSION, such as apps/v1".to_owned(),
        },
    }
}

fn wrong_version(known: &Kind, api_version: &str) -> Mistake {
    let Kind { name, .. } = known;
    let now = known.api_version();
    Mistake {
        problem: format!("{KUBERNETES} serve no {name} in {api_version}, but in {now}"),
        cure: format!("write apiVersion: {now}, and compare the fields (`kubectl explain {name}`)"),
    }
}

/// For a kind that its group does not have.
fn elsewhere(group: &str, api_version: &str, kind: &str) -> Option<Mistake> {
    let shown = if group.is_empty() { "the core group" } else { group };
    if let Some(cure) = without_successor(group, kind) {
        let problem = format!("{KUBERNETES} no longer have {kind} of {shown}");
        return Some(Mistake { problem, cure: cure.to_owned() });
    }
    if QUESTIONS.contains(&(group, kind)) {
        let problem = format!("{kind} is a request to the API, which keeps no object of it");
        return Some(Mistake { problem, cure: "remove the object".to_owned() });
    }
    if FILES.contains(&group) || group.ends_with(".config.k8s.io") || (group, kind) == ("", "Config") {
        return Some(file_of_a_program(group, api_version, kind));
    }
    if let (true, Some(meant)) = (group.contains('.'), misspelt_group(group, kind)) {
        let now = meant.api_version();
        let problem = format!("there is no group {group}; {kind} is in {}", meant.group);
        return Some(Mistake { problem, cure: format!("write apiVersion: {now}") });
    }
    (!group.contains('.') || is_built_in_group(group)).then(|| Mistake {
        problem: format!("{KUBERNETES} have no kind {kind} in {shown}, and no definition can add one"),
        cure: match meant(group, kind) {
            Some(meant) => format!("did you mean {} in {}?", meant.name, meant.api_version()),
            None => "correct apiVersion and kind, or remove the object".to_owned(),
        },
    })
}

fn file_of_a_program(group: &str, api_version: &str, kind: &str) -> Mistake {
    let cure = match group {
        "kustomize.config.k8s.io" => "write the output of `kubectl kustomize` into this folder instead",
        _ => "move the file out of this folder",
    };
    let problem = format!("{kind} of {api_version} is a file for a program, and no object of the API");
    Mistake { problem, cure: cure.to_owned() }
}

/// The built-in kind of this name whose group differs from `group` by one letter.
fn misspelt_group(group: &str, kind: &str) -> Option<&'static Kind> {
    let is_close = |known: &&Kind| known.name == kind && strsim::osa_distance(known.group, group) == 1;
    KINDS.iter().find(is_close)
}

/// The kind that was meant: the same one of another group, or else one that is spelt nearly so.
fn meant(group: &str, kind: &str) -> Option<&'static Kind> {
    let lower = kind.to_lowercase();
    let distance = |known: &&Kind| {
        let name = known.name.to_lowercase();
        let plural = format!("{name}s");
        let letters = strsim::osa_distance(&name, &lower).min(strsim::osa_distance(&plural, &lower));
        (letters, known.group != group)
    };
    KINDS.iter().min_by_key(distance).filter(|known| distance(known).0 <= 2.min(kind.len() / 3))
}

impl Kind {
    /// As an object of it is written.
    fn api_version(&self) -> String {
        let version = self.versions.first().copied().unwrap_or_default();
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_an_api_serves_or_a_definition_may_add_are_no_mistake() {
        for (api_version, kind) in [
            ("v1", "Secret"),
            ("apps/v1", "Deployment"),
            ("autoscaling/v1", "HorizontalPodAutoscaler"),
            ("resource.k8s.io/v1beta1", "DeviceClass"),
            ("example.com/v1", "Deployment"),
            ("gateway.networking.k8s.io/v1", "Gateway"),
            ("scheduling.x-k8s.io/v1alpha1", "PodGroup"),
            ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
        ] {
            assert_eq!(mistake(api_version, kind), None, "{kind} of {api_version}");
        }
    }

    #[test]
    fn what_no_api_will_serve_is_a_mistake_whose_cure_says_what_to_write() {
        for (api_version, kind, problem, cure) in [
            ("apps/v1", "Deploymnet", "no kind Deploymnet in apps", "Deployment in apps/v1"),
            ("v1", "Secert", "no kind Secert in the core group", "Secret in v1"),
            ("v1", "configmap", "no kind configmap", "ConfigMap in v1"),
            ("v1", "Services", "no kind Services", "did you mean Service in v1?"),
            ("apps/v1", "Pod", "no kind Pod in apps", "Pod in v1"),
            ("v1", "Deployment", "no kind Deployment in the core group", "Deployment in apps/v1"),
            ("app/v1", "Deployment", "no kind Deployment in app,", "Deployment in apps/v1"),
            ("apps", "Deployment", "has no version", "write apiVersion: apps/v1"),
            ("example.com", "Toy", "has no version", "GROUP/VERSION"),
            ("extensions/v1beta1", "Ingress", "was removed in Kubernetes 1.22", "networking.k8s.io/v1,"),
            ("extensions/v1beta1", "DaemonSet", "was removed in Kubernetes 1.16", "apps/v1,"),
            ("extensions/v1beta1", "Job", "no kind Job in extensions", "Job in batch/v1"),
            ("apps/v1beta2", "Deployment", "was removed in Kubernetes 1.16", "spec.selector is required"),
            ("v2", "ConfigMap", "serve no ConfigMap in v2", "apiVersion: v1"),
            ("policy/v1", "PodDisruptionBudgets", "no kind", "PodDisruptionBudget in policy/v1"),
            ("policy/v1beta1", "PodDisruptionBudget", "policy/v1beta1", "apiVersion: policy/v1"),
            ("batch/v3", "Job", "serve no Job in batch/v3", "apiVersion: batch/v1"),
            (
                "apiextensions.k8s.io/v1beta1",
                "CustomResourceDefinition",
                "v1beta1",
                "apiextensions.k8s.io/v1,",
            ),
            ("policy/v1beta1", "PodSecurityPolicy", "was removed in Kubernetes 1.25", "Pod Security"),
            ("policy/v1", "PodSecurityPolicy", "no longer have", "Pod Security"),
            ("settings.k8s.io/v1alpha1", "PodPreset", "no longer have", "pod templates"),
            ("rbac.authorization.k8s.oi/v1", "ClusterRole", "no group", "rbac.authorization.k8s.io/v1"),
            ("authorization.k8s.io/v1", "SubjectAccessReview", "keeps no object", "remove"),
            ("policy/v1", "Eviction", "keeps no object", "remove"),
            (
                "kubelet.config.k8s.io/v1beta1",
                "KubeletConfiguration",
                "a file for a program",
                "move the file",
            ),
            ("kustomize.config.k8s.io/v1beta1", "Kustomization", "a file", "`kubectl kustomize`"),
            ("v1", "Config", "a file for a program", "move the file out"),
            ("v1", "Thing", "no kind Thing", "correct apiVersion and kind"),
        ] {
            let found = mistake(api_version, kind).unwrap_or_else(|| panic!("{kind} of {api_version}"));
            assert!(found.problem.contains(problem) && found.cure.contains(cure), "{kind}: {found:?}");
        }
    }
}
