//! What became of the certificate that kubelet requested from the API. Without it kubelet has no
//! identity, and its node never appears. Pure.

use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest as Request, CertificateSigningRequestCondition,
};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::ResourceExt as _;
use time::Duration;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::blocker::Blocker;
use super::evidence::Cluster;
use super::trouble::{self, age};
use super::underway::{APPROVES, Underway};

/// The signer of kubelets' client certificates.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// A controller manager that leads answers within a second or two.
const PROMPT: Duration = Duration::seconds(5);
/// One that did not find the binding at once tries again after as long a time as it has waited.
const RETRY: Duration = Duration::seconds(30);
/// A slow machine needs this long to sign.
const SIGNING: Duration = Duration::seconds(15);

/// What is wrong with the newest request of a kubelet: one whose request failed makes another. All
/// times are the apiserver's.
pub fn blocker(cluster: &Cluster, underway: &Underway) -> Option<Blocker> {
    let made = |request: &&Request| request.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let of_kubelets = cluster.requests.iter().filter(|request| request.spec.signer_name == SIGNER);
    let request = of_kubelets.max_by_key(made)?;
    let age = age(&request.metadata, cluster.now)?;
    let is_signed = request.status.as_ref().is_some_and(|status| status.certificate.is_some());
    if is_signed || age < PROMPT {
        return None;
    }
    match condition(request, "Denied") {
        Some(denied) => Some(refused(request, "was denied", said(denied))),
        None => match (condition(request, "Approved"), condition(request, "Failed")) {
            (_, Some(failed)) => Some(refused(request, "could not be signed", said(failed))),
            (None, None) => unapproved(request, age, cluster, underway),
            (Some(_), None) => (age >= SIGNING).then(|| unsigned(request, age)),
        },
    }
}

fn condition<'a>(request: &'a Request, kind: &str) -> Option<&'a CertificateSigningRequestCondition> {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.filter(|condition| condition.status == "True").find(|condition| condition.type_ == kind)
}

fn said(condition: &CertificateSigningRequestCondition) -> String {
    let CertificateSigningRequestCondition { message, reason, .. } = condition;
    message.clone().or_else(|| reason.clone()).unwrap_or_else(|| "no reason was given".to_owned())
}

fn refused(request: &Request, how: &str, why: String) -> Blocker {
    Blocker::new(
        format!("the certificate request of {} {how}", asker(request)),
        why,
        format!(
            "correct that, then run kubectl delete csr {}: kubelet makes another request",
            request.name_any()
        ),
    )
}

/// Without a binding the request waits for ever, unless the command is about to apply one.
fn unapproved(request: &Request, age: Duration, cluster: &Cluster, underway: &Underway) -> Option<Blocker> {
    match cluster.bindings.iter().find(|binding| allows(binding, request)) {
        None => (!underway.brings_approval()).then(|| unbound(request, age)),
        Some(binding) => {
            let bound = trouble::age(&binding.metadata, cluster.now).unwrap_or(age);
            (age.min(bound) >= RETRY).then(|| unheeded(request, age, &binding.name_any()))
        }
    }
}

/// Whether `binding` lets the controller manager approve `request`.
fn allows(binding: &ClusterRoleBinding, request: &Request) -> bool {
    let groups = || request.spec.groups.iter().flatten();
    let mut subjects = binding.subjects.iter().flatten();
    binding.role_ref.name == APPROVES
        && subjects.any(|subject| match subject.kind.as_str() {
            "Group" => groups().any(|group| *group == subject.name),
            _ => request.spec.username.as_ref() == Some(&subject.name),
        })
}

fn unbound(request: &Request, age: Duration) -> Blocker {
    let (name, user) = (request.name_any(), request.spec.username.as_deref().unwrap_or("an unknown user"));
    Blocker::new(
        format!("the certificate request of {} is not approved", asker(request)),
        format!(
            "{user} created {name} {} s ago, and no ClusterRoleBinding lets the controller manager approve it",
            age.whole_seconds()
        ),
        format!(
            "add what bootkube render writes to manifests/csr-approver-role-binding.yaml, or approve it: kubectl certificate approve {name}"
        ),
    )
}

/// The controller manager does not approve although it may.
fn unheeded(request: &Request, age: Duration, binding: &str) -> Blocker {
    let name = request.name_any();
    Blocker::new(
        format!("the controller manager does not approve the certificate request of {}", asker(request)),
        format!(
            "{name} was created {} s ago, and ClusterRoleBinding {binding} lets it be approved",
            age.whole_seconds()
        ),
        format!(
            "look into the log of kube-controller-manager, or approve it: kubectl certificate approve {name}"
        ),
    )
}

fn unsigned(request: &Request, age: Duration) -> Blocker {
    let name = request.name_any();
    Blocker::new(
        format!("the certificate request of {} is approved, but not signed", asker(request)),
        format!(
            "{name} was created {} s ago, and kube-controller-manager has issued no certificate",
            age.whole_seconds()
        ),
        "give kube-controller-manager the cluster's CA (--cluster-signing-cert-file, --cluster-signing-key-file), and look into its log",
    )
}

/// The kubelet that the request is for, by the name of its node if that can be parsed.
fn asker(request: &Request) -> String {
    let pem = pem::parse(&request.spec.request.0).ok();
    let subject = pem.as_ref().and_then(|pem| {
        let (_, parsed) = X509CertificationRequest::from_der(pem.contents()).ok()?;
        let name = parsed.certification_request_info.subject.iter_common_name().next()?.as_str().ok()?;
        Some(name.trim_start_matches("system:node:").to_owned())
    });
    subject.map_or_else(|| "kubelet".to_owned(), |node| format!("kubelet of {node}"))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rcgen::{CertificateParams, DnType, KeyPair};
    use serde_json::{Value, json};
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::*;
    use crate::cluster::apply::Item;
    use crate::diagnose::Brought;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:10 UTC);

    fn request(name: &str, made: &str, status: &Value) -> Request {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "system:node:n1");
        let key = KeyPair::generate().unwrap();
        let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": made},
            "spec": {"signerName": SIGNER, "request": STANDARD.encode(pem), "username": "system:bootstrap:abcdef",
                "groups": ["system:bootstrappers", "system:authenticated"]},
            "status": status,
        }))
        .unwrap()
    }

    fn cluster(requests: &[Request], now: OffsetDateTime) -> Cluster {
        Cluster { requests: requests.to_vec(), ..Cluster::at(now) }
    }

    fn of(requests: &[Request], now: OffsetDateTime) -> Option<Blocker> {
        blocker(&cluster(requests, now), &Underway::default())
    }

    fn blocked_by(status: &Value) -> Option<Blocker> {
        of(&[request("csr-1", "2026-01-01T00:09:40Z", status)], NOW)
    }

    /// The binding that `render` writes.
    fn binding() -> Value {
        json!({
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "approver", "creationTimestamp": "2026-01-01T00:09:50Z"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": APPROVES},
            "subjects": [{"kind": "Group", "name": "system:bootstrappers"}],
        })
    }

    fn is(kind: &str) -> Value {
        json!({"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "so it is"}]})
    }

    #[test]
    fn a_request_is_followed_from_kubelet_to_its_certificate() {
        let pending = blocked_by(&json!({})).unwrap();
        assert_eq!(pending.what, "the certificate request of kubelet of n1 is not approved");
        assert!(pending.why.contains("system:bootstrap:abcdef created csr-1 20 s ago"), "{pending:?}");
        assert!(pending.cure.ends_with("kubectl certificate approve csr-1"), "{pending:?}");
        let denied = blocked_by(&is("Denied")).unwrap();
        assert_eq!(denied.what, "the certificate request of kubelet of n1 was denied");
        assert_eq!(denied.why, "so it is");
        assert!(blocked_by(&is("Failed")).unwrap().what.ends_with("could not be signed"));
        assert!(blocked_by(&is("Approved")).unwrap().what.ends_with("is approved, but not signed"));
        let mut signed = is("Approved");
        signed["certificate"] = json!(STANDARD.encode("certificate"));
        assert_eq!(blocked_by(&signed), None);
    }

    #[test]
    fn only_the_newest_request_of_a_kubelet_that_has_waited_counts() {
        let old = request("csr-1", "2026-01-01T00:01:00Z", &is("Denied"));
        let new = request("csr-2", "2026-01-01T00:09:58Z", &json!({}));
        assert_eq!(of(&[old.clone(), new.clone()], NOW), None, "it was created a moment ago");
        let later = of(&[new, old], NOW + Duration::seconds(9)).unwrap();
        assert!(later.cure.contains("csr-2"), "{later:?}");
        let mut other = request("csr-3", "2026-01-01T00:01:00Z", &json!({}));
        other.spec.signer_name = "example.test/signer".into();
        assert_eq!(of(&[other], NOW), None);
    }

    #[test]
    fn a_binding_that_the_command_is_about_to_apply_is_not_asked_for() {
        let cluster = cluster(&[request("csr-1", "2026-01-01T00:09:00Z", &json!({}))], NOW);
        let brought = Brought::of(&Item { file: "f".into(), value: binding() });
        let mut underway = Underway { objects: vec![brought], ..Underway::default() };
        assert_eq!(blocker(&cluster, &underway), None);
        underway.objects[0].is_done = true;
        assert!(blocker(&cluster, &underway).is_some(), "the API refused the binding");
    }

    #[test]
    fn a_controller_manager_that_may_approve_gets_time_to_do_so() {
        let mut cluster = cluster(&[request("csr-1", "2026-01-01T00:01:00Z", &json!({}))], NOW);
        cluster.bindings.push(serde_json::from_value(binding()).unwrap());
        assert_eq!(blocker(&cluster, &Underway::default()), None, "the binding is ten seconds old");
        cluster.now += Duration::minutes(1);
        let late = blocker(&cluster, &Underway::default()).unwrap();
        assert!(late.what.starts_with("the controller manager does not approve"), "{late:?}");
        cluster.requests[0].spec.groups = None;
        let foreign = blocker(&cluster, &Underway::default()).unwrap();
        assert!(foreign.why.contains("no ClusterRoleBinding"), "{foreign:?}");
    }
}
