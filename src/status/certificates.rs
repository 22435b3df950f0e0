//! Certificates that can be seen: the administrator's own, those in Secrets of kube-system, the one
//! that each agent reports to use, and etcd's on this machine.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use time::{Duration, OffsetDateTime};

use crate::agent::identity::standing;
use crate::cluster::kubeconfig::{Access, Identity};
use crate::pki::renew::Term;
use crate::pki::{examine, rfc3339};
use crate::yaml;

/// The Secret of the agents' first certificate.
const AGENT_SECRET: &str = "pod-checkpointer";

/// One certificate and where it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of its subject.
    pub name: String,
    /// Where it was seen; the first place if there are several.
    pub place: String,
    /// Whether it signs others.
    pub is_authority: bool,
    /// Whether it is renewed automatically, so that its expiry is no problem: the agents' own are.
    pub is_renewed: bool,
    /// From when it is valid.
    pub not_before: OffsetDateTime,
    /// Until when it is valid.
    pub not_after: OffsetDateTime,
}

impl Certificate {
    /// What is wrong with it.
    pub fn problem(&self, now: OffsetDateTime) -> Option<String> {
        let Self { name, place, not_before, not_after, is_authority: _, is_renewed } = self;
        if *is_renewed {
            return None;
        }
        let term = Term { not_before: *not_before, not_after: *not_after };
        let finding = |what: &str| Some(format!("the certificate of {name} ({place}) {what}"));
        match () {
            () if now > *not_after => finding(&format!("expired at {}", rfc3339(*not_after))),
            () if now < *not_before => finding(&format!("is not valid before {}", rfc3339(*not_before))),
            () if term.is_ending(now) => finding(&format!(
                "expires in {} at {}: run bootkube render on the asset directory, then start",
                whole(*not_after - now),
                rfc3339(*not_after)
            )),
            () => None,
        }
    }
}

/// In the largest unit of which there are at least two.
pub(super) fn whole(duration: Duration) -> String {
    match duration {
        duration if duration.whole_days() >= 2 => format!("{} d", duration.whole_days()),
        duration if duration.whole_hours() >= 2 => format!("{} h", duration.whole_hours()),
        duration => format!("{} min", duration.whole_minutes()),
    }
}

/// All that can be seen, each once.
pub(super) fn certificates(
    access: &Access,
    secrets: &[Secret],
    agents: &[&Pod],
    etcd_keys: &Path,
) -> Vec<Certificate> {
    let mut found = Vec::new();
    if let Identity::Certificate { certificate, .. } = &access.identity {
        add(&mut found, "kubeconfig", certificate);
    }
    for (secret, key, content) in secrets.iter().flat_map(entries) {
        for pem in certificates_in(key, content) {
            add(&mut found, &format!("Secret {secret}, {key}"), &pem);
        }
    }
    // On another machine than a controller, and without its root, there is nothing to be seen.
    for path in fs::read_dir(etcd_keys).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if let (true, Ok(pem)) =
            (path.extension().is_some_and(|extension| extension == "crt"), fs::read(&path))
        {
            add(&mut found, &path.display().to_string(), &pem);
        }
    }
    of_agents(&mut found, agents);
    found.sort_by(|one, other| (one.not_after, &one.name).cmp(&(other.not_after, &other.name)));
    found
}

/// What the agents say of theirs. The one in their Secret is where each begins; what counts is
/// whether each has another one after it.
fn of_agents(found: &mut Vec<Certificate>, agents: &[&Pod]) {
    let shown: Vec<_> = agents.iter().filter_map(|pod| Some((pod, standing::shown(pod)?))).collect();
    let are_renewed = !shown.is_empty() && shown.iter().all(|(pod, _)| standing::is_renewed(pod));
    let place = format!("Secret {AGENT_SECRET}, ");
    let mut rendered = found.iter_mut().filter(|certificate| certificate.place.starts_with(&place));
    let name = rendered.next().map_or_else(String::new, |certificate| {
        certificate.is_renewed = are_renewed;
        certificate.name.clone()
    });
    for (pod, (Term { not_before, not_after }, said)) in shown {
        let is_rendered = found.iter().any(|other| other.name == name && other.not_after == not_after);
        if !is_rendered {
            let place =
                format!("pod {}: {}", pod.name_any(), said.split_once(", ").map_or(said, |(_, by)| by));
            let is_renewed = standing::is_renewed(pod);
            let name = name.clone();
            found.push(Certificate { name, place, is_authority: false, not_before, not_after, is_renewed });
        }
    }
}

fn entries(secret: &Secret) -> impl Iterator<Item = (String, &String, &[u8])> {
    let data = secret.data.iter().flatten();
    data.map(|(key, content)| (secret.name_any(), key, content.0.as_slice()))
}

/// A certificate by itself, or in a kubeconfig.
fn certificates_in(key: &str, content: &[u8]) -> Vec<Vec<u8>> {
    match key {
        key if key.ends_with(".crt") || key.ends_with(".pem") => vec![content.to_vec()],
        "kubeconfig" => of_users(content).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn of_users(kubeconfig: &[u8]) -> Option<Vec<Vec<u8>>> {
    let documents = yaml::parse(std::str::from_utf8(kubeconfig).ok()?, "kubeconfig").ok()?;
    let users = documents.first()?["users"].as_array()?.iter();
    let data = users.filter_map(|user| user["user"]["client-certificate-data"].as_str());
    Some(data.filter_map(|data| STANDARD.decode(data).ok()).collect())
}

fn add(found: &mut Vec<Certificate>, place: &str, pem: &[u8]) {
    for certificate in examine(pem).into_iter().flatten() {
        let certificate = Certificate {
            name: certificate.name().to_owned(),
            place: place.to_owned(),
            is_authority: certificate.is_authority(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            is_renewed: false,
        };
        let is_same =
            |other: &Certificate| Certificate { place: place.to_owned(), ..other.clone() } == certificate;
        if !found.iter().any(is_same) {
            found.push(certificate);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn problem(now: OffsetDateTime) -> Option<String> {
        of_2026("kubernetes-admin", "kubeconfig").problem(now)
    }

    fn of_2026(name: &str, place: &str) -> Certificate {
        Certificate {
            name: name.into(),
            place: place.into(),
            is_authority: false,
            not_before: datetime!(2026-01-01 0:00 UTC),
            not_after: datetime!(2027-01-01 0:00 UTC),
            is_renewed: false,
        }
    }

    #[test]
    fn the_last_tenth_of_a_certificate_is_a_problem_and_its_end_more_so() {
        assert_eq!(problem(datetime!(2026-11-01 0:00 UTC)), None);
        assert!(problem(datetime!(2026-12-20 0:00 UTC)).unwrap().contains("expires in 12 d"));
        assert!(problem(datetime!(2027-01-02 0:00 UTC)).unwrap().contains("expired at 2027-01-01T00:00:00Z"));
        assert!(problem(datetime!(2025-12-31 0:00 UTC)).unwrap().contains("not valid before"));
    }

    #[test]
    fn certificates_are_found_by_themselves_and_in_kubeconfigs() {
        let kubeconfig =
            format!("users: [{{name: u, user: {{client-certificate-data: {}}}}}]", STANDARD.encode("PEM"));
        assert_eq!(certificates_in("kubeconfig", kubeconfig.as_bytes()), [b"PEM".to_vec()]);
        assert_eq!(certificates_in("ca.crt", b"PEM"), [b"PEM".to_vec()]);
        assert_eq!(certificates_in("ca.key", b"KEY"), [] as [Vec<u8>; 0]);
        assert_eq!(certificates_in("kubeconfig", b"users: 5"), [] as [Vec<u8>; 0]);
    }

    #[test]
    fn the_end_of_an_agents_first_certificate_is_a_problem_only_where_no_other_follows() {
        let now = datetime!(2026-12-31 0:00 UTC);
        let counted = |agents: &[(&str, &str)]| {
            let pod = |(status, message): &(&str, &str)| -> Pod {
                let conditions = json!([{"type": standing::IDENTITY, "status": status, "message": message}]);
                serde_json::from_value(
                    json!({"metadata": {"name": "a"}, "status": {"conditions": conditions}}),
                )
                .unwrap()
            };
            let pods: Vec<Pod> = agents.iter().map(pod).collect();
            let mut found = vec![of_2026("bootkube-agent", "Secret pod-checkpointer, kubeconfig")];
            of_agents(&mut found, &pods.iter().collect::<Vec<_>>());
            (found.len(), found.iter().filter_map(|certificate| certificate.problem(now)).count())
        };
        let own = "valid from 2026-10-01T00:00:00Z until 2027-10-01T00:00:00Z, issued by the agent itself";
        let same =
            "valid from 2026-01-01T00:00:00Z until 2027-01-01T00:00:00Z, as the kubeconfig has it; no CA";
        assert_eq!(counted(&[]), (1, 1));
        assert_eq!(counted(&[("True", own)]), (2, 0));
        assert_eq!(counted(&[("True", own), ("False", same)]), (2, 1));
        assert_eq!(counted(&[("False", same)]), (1, 1));
    }

    #[test]
    fn a_certificate_that_is_in_several_places_is_told_once() {
        let issued = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
        let mut found = Vec::new();
        add(&mut found, "one", issued.cert.pem().as_bytes());
        add(&mut found, "two", issued.cert.pem().as_bytes());
        add(&mut found, "three", b"nothing");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "one");
    }
}
