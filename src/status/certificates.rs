//! Certificates that can be seen: the administrator's own, those in Secrets of kube-system, and etcd's on this machine.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use time::{Duration, OffsetDateTime};

use crate::assets::yaml;
use crate::cluster::kubeconfig::{Access, Identity};
use crate::pki::{examine, rfc3339};

/// A certificate that has less than this part of its life before it is to be renewed.
const LAST_PART: i32 = 10;

/// One certificate and where it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of its subject.
    pub name: String,
    /// Where it was seen, first where it is in several places.
    pub place: String,
    /// Whether it signs others.
    pub is_authority: bool,
    /// From when it is valid.
    pub not_before: OffsetDateTime,
    /// Until when it is valid.
    pub not_after: OffsetDateTime,
}

impl Certificate {
    /// What is wrong with it.
    pub fn problem(&self, now: OffsetDateTime) -> Option<String> {
        let Self { name, place, not_before, not_after, is_authority: _ } = self;
        let told = |what: &str| Some(format!("the certificate of {name} ({place}) {what}"));
        match () {
            () if now > *not_after => told(&format!("expired at {}", rfc3339(*not_after))),
            () if now < *not_before => told(&format!("is not valid before {}", rfc3339(*not_before))),
            () if *not_after - now < (*not_after - *not_before) / LAST_PART => told(&format!(
                "expires in {} at {}: run bootkube render on the asset directory, then start",
                whole(*not_after - now),
                rfc3339(*not_after)
            )),
            () => None,
        }
    }
}

/// The largest unit of which there are two.
pub(super) fn whole(duration: Duration) -> String {
    match duration {
        duration if duration.whole_days() >= 2 => format!("{} d", duration.whole_days()),
        duration if duration.whole_hours() >= 2 => format!("{} h", duration.whole_hours()),
        duration => format!("{} min", duration.whole_minutes()),
    }
}

/// All that can be seen, each once.
pub(super) fn certificates(access: &Access, secrets: &[Secret], etcd_keys: &Path) -> Vec<Certificate> {
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
    found.sort_by(|one, other| (one.not_after, &one.name).cmp(&(other.not_after, &other.name)));
    found
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
    use time::macros::datetime;

    use super::*;

    fn problem(now: OffsetDateTime) -> Option<String> {
        let certificate = Certificate {
            name: "kubernetes-admin".into(),
            place: "kubeconfig".into(),
            is_authority: false,
            not_before: datetime!(2026-01-01 0:00 UTC),
            not_after: datetime!(2027-01-01 0:00 UTC),
        };
        certificate.problem(now)
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
