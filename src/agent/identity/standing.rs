//! The state of the agent's certificate: the issuer, when it expires, and whether it will be
//! renewed. It is in a condition of the agent's pod, where `bootkube status` reads it.

use std::fmt;

use k8s_openapi::api::core::v1::Pod;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cluster::gate;
use crate::cluster::pods::condition;
use crate::pki::renew::Term;
use crate::pki::rfc3339;

/// Condition of the agent's pod: its certificate is valid and will be renewed. Its message is a
/// [`Standing`].
pub const IDENTITY: &str = "bootkube.dev/identity";
const FROM: &str = "valid from ";
const UNTIL: &str = " until ";

/// The issuer of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// `bootkube render`, or another program that wrote the kubeconfig.
    Kubeconfig,
    /// The agent, with the key of the cluster's CA.
    Agent,
    /// The cluster's signer, which kubelet asks again in time.
    Kubelet,
}

/// What is known of the certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When it is valid.
    pub term: Term,
    /// The issuer.
    pub issuer: Issuer,
    /// Why it will not be renewed, and what to do.
    pub stuck: Option<String>,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { term: Term { not_before, not_after }, issuer, stuck } = self;
        write!(f, "{FROM}{}{UNTIL}{}, ", rfc3339(*not_before), rfc3339(*not_after))?;
        f.write_str(match issuer {
            Issuer::Kubeconfig => "as the kubeconfig has it",
            Issuer::Agent => "issued by the agent itself with the key of the cluster's CA",
            Issuer::Kubelet => "kubelet's own",
        })?;
        stuck.as_ref().map_or(Ok(()), |why| write!(f, "; {why}"))
    }
}

/// When the certificate is valid by the condition of the agent's pod, and that condition's whole
/// message. `None` without a condition, or with a message of another version.
pub fn shown(pod: &Pod) -> Option<(Term, &str)> {
    let message = condition(pod, IDENTITY)?.message.as_deref()?;
    let (from, rest) = message.strip_prefix(FROM)?.split_once(UNTIL)?;
    let (until, _) = rest.split_once(',')?;
    let moment = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    Some((Term { not_before: moment(from)?, not_after: moment(until)? }, message))
}

/// Whether the agent's pod says that its certificate will be renewed.
pub fn is_renewed(pod: &Pod) -> bool {
    gate::is_open(pod, IDENTITY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_a_pod_says_of_its_certificate_can_be_read_again() {
        let term =
            Term { not_before: datetime!(2026-01-01 0:00 UTC), not_after: datetime!(2027-01-01 0:00 UTC) };
        for issuer in [Issuer::Kubeconfig, Issuer::Agent, Issuer::Kubelet] {
            for stuck in [None, Some("no CA until now, alas".to_owned())] {
                let message = Standing { term, issuer, stuck }.to_string();
                let conditions = json!([{"type": IDENTITY, "status": "True", "message": message}]);
                let pod: Pod = serde_json::from_value(json!({"status": {"conditions": conditions}})).unwrap();
                assert_eq!(shown(&pod), Some((term, message.as_str())));
                assert!(is_renewed(&pod));
            }
        }
        assert!(shown(&Pod::default()).is_none());
    }
}
