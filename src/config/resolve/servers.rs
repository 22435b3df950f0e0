//! The addresses and names of the API and of etcd.

use url::Url;

use super::super::settings::EtcdSettings;
use super::super::{AltNames, Etcd, EtcdClientFiles};
use crate::values::endpoint::{api_server, etcd_server, refuse_duplicates};
use crate::values::mistakes::{Checked, Given, List, Mistakes};
use crate::values::scalar::Named;
use crate::values::scalar::{self, AltName};

/// URLs of the API; never empty.
pub(super) fn api(given: Option<&List>, default: &[Url], mistakes: &mut Mistakes) -> Vec<Url> {
    urls(given, default, api_server, mistakes)
}

/// Names of the API beyond the hosts of its URLs, each once.
pub(super) fn alt_names(given: Option<&List>, mistakes: &mut Mistakes) -> AltNames {
    let mut names = AltNames::default();
    for name in given.map(|list| mistakes.check_all(&list.value, scalar::alt_name)).unwrap_or_default() {
        match name.value {
            AltName::Ip(ip) if !names.ips.contains(&ip) => names.ips.push(ip),
            AltName::Dns(name) if !names.dns_names.contains(&name) => names.dns_names.push(name),
            _ => {}
        }
    }
    names
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    External,
    StaticPod,
}

impl Named for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("external", Self::External), ("staticPod", Self::StaticPod)];
}

/// Whether bootkube runs etcd, and how clients reach it.
pub(super) fn etcd(settings: &EtcdSettings, default: &[Url], mistakes: &mut Mistakes) -> Etcd {
    match mistakes.check_or(settings.mode.as_ref(), Mode::External, scalar::word) {
        Mode::External => external(settings, default, mistakes),
        Mode::StaticPod => {
            refuse_with_static_pod(settings, mistakes);
            Etcd::StaticPod
        }
    }
}

fn external(settings: &EtcdSettings, default: &[Url], mistakes: &mut Mistakes) -> Etcd {
    let servers = urls(settings.servers.as_ref(), default, etcd_server, mistakes);
    let client = client(settings, mistakes);
    if let (Some(files), false) = (&settings.ca, servers.iter().any(|url| url.scheme() == "https")) {
        mistakes.warn(&files.at, "is not used, because every etcd server is plain http");
    }
    Etcd::External { servers, client }
}

/// A client identity is three files or none.
fn client(settings: &EtcdSettings, mistakes: &mut Mistakes) -> Option<EtcdClientFiles> {
    let EtcdSettings { mode: _, servers: _, ca, certificate, private_key } = settings;
    if let (Some(ca), Some(certificate), Some(private_key)) = (ca, certificate, private_key) {
        return Some(EtcdClientFiles {
            ca: ca.into(),
            certificate: certificate.into(),
            private_key: private_key.into(),
        });
    }
    let files = [
        (ca, "--etcd-ca-path", "etcd.caFile"),
        (certificate, "--etcd-certificate-path", "etcd.certificateFile"),
        (private_key, "--etcd-private-key-path", "etcd.privateKeyFile"),
    ];
    let given: Option<&Given<String>> = files.iter().find_map(|(file, ..)| file.as_ref());
    let given = given?;
    let is_flag = given.at.starts_with("--");
    let name = |(_, flag, field): &(_, &'static str, &'static str)| if is_flag { *flag } else { *field };
    let missing: Vec<_> = files.iter().filter(|(file, ..)| file.is_none()).map(name).collect();
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let problem = format!("is part of an etcd client identity: {} {verb} missing", missing.join(" and "));
    mistakes.refuse(&given.at, &given.value, problem, "give all three or none");
    None
}

/// An etcd that bootkube runs has neither external servers nor a supplied client identity.
fn refuse_with_static_pod(settings: &EtcdSettings, mistakes: &mut Mistakes) {
    let EtcdSettings { mode: _, servers, ca, certificate, private_key } = settings;
    let cure = "leave it out, or write `mode: external`";
    let problem = "belongs to an external etcd, but etcd.mode is staticPod";
    if let Some(list) = servers.as_ref().filter(|list| !list.value.is_empty()) {
        let shown: Vec<&str> = list.value.iter().map(|server| server.value.as_str()).collect();
        mistakes.refuse(&list.at, &shown.join(","), problem, cure);
    }
    for file in [ca, certificate, private_key].into_iter().flatten() {
        mistakes.refuse(&file.at, &file.value, problem, cure);
    }
}

/// URLs without duplicates; `default` if none is given or none is valid.
fn urls(
    given: Option<&List>,
    default: &[Url],
    parse: impl Fn(&str) -> Checked<Url>,
    mistakes: &mut Mistakes,
) -> Vec<Url> {
    let mut urls = Vec::new();
    if let Some(list) = given {
        if list.value.is_empty() {
            mistakes.refuse(&list.at, "", "is an empty list", "name a URL, or leave the field out");
        }
        let read = mistakes.check_all(&list.value, &parse);
        refuse_duplicates(&read, mistakes);
        urls.extend(read.into_iter().map(|url| url.value));
    }
    if urls.is_empty() {
        urls.extend_from_slice(default);
    }
    urls
}
