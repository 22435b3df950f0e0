//! What became of the certificate that kubelet requested from the API. Without it kubelet has no identity, and
//! its node never appears. Pure.

use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest as Request, CertificateSigningRequestCondition,
};
use kube::ResourceExt as _;
use time::{Duration, OffsetDateTime};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::blocker::Blocker;
use super::pods::moment;

/// The signer of kubelets' client certificates.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// A controller manager that leads answers within a second or two.
const PROMPT: Duration = Duration::seconds(5);

/// What is wrong with the newest of `requests`: a kubelet whose request failed makes another.
pub fn blocker(requests: &[Request], now: OffsetDateTime) -> Option<Blocker> {
    let made = |request: &&Request| request.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let of_kubelets = requests.iter().filter(|request| request.spec.signer_name == SIGNER);
    let request = of_kubelets.max_by_key(made)?;
    let age = now - moment(request.metadata.creation_timestamp.as_ref()?)?;
    let is_signed = request.status.as_ref().is_some_and(|status| status.certificate.is_some());
    if is_signed || age < PROMPT {
        return None;
    }
    Some(match condition(request, "Denied") {
        Some(denied) => refused(request, "was denied", said(denied)),
        None => match (condition(request, "Approved"), condition(request, "Failed")) {
            (_, Some(failed)) => refused(request, "could not be signed", said(failed)),
            (None, None) => unapproved(request, age),
            (Some(_), None) => unsigned(request, age),
        },
    })
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

fn unapproved(request: &Request, age: Duration) -> Blocker {
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
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:10 UTC);

    fn request(name: &str, made: &str, status: &Value) -> Request {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "system:node:n1");
        let key = KeyPair::generate().unwrap();
        let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": made},
            "spec": {"signerName": SIGNER, "request": STANDARD.encode(pem), "username": "system:bootstrap:abcdef"},
            "status": status,
        }))
        .unwrap()
    }

    fn blocked_by(status: &Value) -> Option<Blocker> {
        blocker(&[request("csr-1", "2026-01-01T00:09:50Z", status)], NOW)
    }

    fn is(kind: &str) -> Value {
        json!({"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "so it is"}]})
    }

    #[test]
    fn a_request_is_followed_from_kubelet_to_its_certificate() {
        let pending = blocked_by(&json!({})).unwrap();
        assert_eq!(pending.what, "the certificate request of kubelet of n1 is not approved");
        assert!(pending.why.contains("system:bootstrap:abcdef created csr-1 10 s ago"), "{pending:?}");
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
        assert_eq!(blocker(&[old.clone(), new.clone()], NOW), None, "it was created a moment ago");
        let later = blocker(&[new, old], NOW + Duration::seconds(9)).unwrap();
        assert!(later.cure.contains("csr-2"), "{later:?}");
        let mut other = request("csr-3", "2026-01-01T00:01:00Z", &json!({}));
        other.spec.signer_name = "example.test/signer".into();
        assert_eq!(blocker(&[other], NOW), None);
    }
}
