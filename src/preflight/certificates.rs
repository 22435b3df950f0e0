//! Checks of the rendered certificates: validity, keys, authorities and names.

use time::OffsetDateTime;

use super::facts::Facts;
use super::machine::is_behind;
use super::outcome::{Outcome, Problem};
use super::subject::Subject;
use crate::cluster::kubeconfig::Identity;
use crate::config::offset;
use crate::pki::descent::is_signed_by;
use crate::pki::renew::Term;
use crate::pki::{Examined, KUBELET_CERTIFICATES, examine, is_cut_short, is_short, rfc3339};

/// Flags of the apiserver: the certificate, and the CA by which its peer verifies it.
const VERIFIED_BY: [(&str, &str); 2] = [
    ("kubelet-client-certificate", "client-ca-file"),
    ("proxy-client-cert-file", "requestheader-client-ca-file"),
];
const RENDER: &str = "run bootkube render again: it renews what has expired and keeps every CA";
/// `render` renews neither a CA nor what it cannot sign.
const RENEW_CA: &str = "nothing renews a CA: make its certificate anew with the same subject and key and a later end, render with it, and start";
const SUPPLY: &str =
    "tls/ has no key of its CA: let that CA sign a newer one, supply it, and run bootkube render again";

/// The certificates of a file: a chain, or a bundle of authorities.
struct Named {
    file: String,
    chain: Vec<Examined>,
}

pub fn validity(subject: &Subject<'_>, facts: &Facts) -> Outcome {
    let now = subject.options.now;
    if is_behind(subject, facts) {
        return Outcome::Unknown("this machine's clock is behind, see clock".into());
    }
    let (files, mut problems) = all(subject);
    problems.extend(files.iter().filter_map(|file| invalid(subject, file, now)));
    let first = files.iter().flat_map(|file| &file.chain).map(Examined::not_after).min();
    let detail = first.map(|first| format!("the first expires at {}", rfc3339(first)));
    if problems.is_empty() {
        let detail = detail.unwrap_or_else(|| "there are no certificates".to_owned());
        return Outcome::from_warnings(endings(&files, now), detail);
    }
    Outcome::Fail(problems)
}

/// What ends soon although nothing renews it. A certificate that ends with its CA is not listed
/// beside it.
fn endings(files: &[Named], now: OffsetDateTime) -> Vec<Problem> {
    let (authorities, leaves): (Vec<&Named>, Vec<&Named>) =
        files.iter().partition(|file| file.chain.iter().all(Examined::is_authority));
    // The last of a bundle counts: earlier ones are kept beside their successors.
    let last = |file: &Named| file.chain.iter().map(Examined::not_after).max();
    let mut short: Vec<(OffsetDateTime, Vec<&str>)> = Vec::new();
    for file in authorities {
        let end = last(file).filter(|end| is_cut_short(*end, KUBELET_CERTIFICATES, now));
        let Some(end) = end else { continue };
        match short.iter_mut().find(|(known, _)| *known == end) {
            Some((_, names)) => names.push(&file.file),
            None => short.push((end, vec![&file.file])),
        }
    }
    let has_etcd_ca = files.iter().any(|Named { file, .. }| ETCD_CAS.contains(&file.as_str()));
    let with_a_ca = |end| short.iter().any(|(known, _)| *known == end);
    let leaves = leaves.into_iter().filter_map(|Named { file, chain }| {
        let leaf = chain.first().filter(|_| file != AGENT)?;
        let term = Term { not_before: leaf.not_before(), not_after: leaf.not_after() };
        let is_supplied = *file == ETCD_CLIENT && !has_etcd_ca;
        let is_ending = if is_supplied { is_short(term, now) } else { term.is_ending(now) };
        (is_ending && !with_a_ca(term.not_after)).then(|| ends_soon(file, is_supplied, term.not_after))
    });
    let leaves: Vec<Problem> = leaves.collect();
    short.iter().map(|(end, names)| authority_ends(&names.join(", "), *end)).chain(leaves).collect()
}

/// The agent renews its own.
const AGENT: &str = "tls/agent.crt";
/// Supplied by the user, unless `render` made a CA for etcd: v0.14 wrote only copies of that.
const ETCD_CLIENT: &str = "tls/etcd-client.crt";
const ETCD_CAS: [&str; 2] = ["tls/etcd-ca.crt", "tls/etcd/server-ca.crt"];

fn authority_ends(names: &str, end: OffsetDateTime) -> Problem {
    Problem::new(
        format!("the CA in {names} ends at {}", rfc3339(end)),
        "every certificate that it signs from now on ends with it, and nothing renews a CA",
        "make its certificate anew with the same subject and key and a later end, render with it, and start",
    )
}

fn ends_soon(file: &str, is_supplied: bool, end: OffsetDateTime) -> Problem {
    let cure = match is_supplied {
        true => "before that, supply a newer one, run bootkube render again, and start",
        false => "before that, run bootkube render again, which renews it, and start",
    };
    let what = format!("the certificate in {file} ends at {}", rfc3339(end));
    Problem::new(what, "nothing renews it in the cluster", cure)
}

/// One valid authority of a bundle is enough: a bundle keeps expired ones beside their successors.
fn invalid(subject: &Subject<'_>, Named { file, chain }: &Named, now: OffsetDateTime) -> Option<Problem> {
    let holds = |certificate: &Examined| (certificate.not_before()..=certificate.not_after()).contains(&now);
    if chain.iter().all(Examined::is_authority) && chain.iter().any(holds) {
        return None;
    }
    let certificate = chain.iter().find(|certificate| !holds(certificate))?;
    let (from, until) = (certificate.not_before(), certificate.not_after());
    let clock = format!("this machine's clock says {}", rfc3339(now));
    if now > until {
        let why = format!("it expired at {}, and {clock}", rfc3339(until));
        let cure = match chain.iter().all(Examined::is_authority) {
            true => RENEW_CA,
            false if is_renewed(subject, file) => RENDER,
            false => SUPPLY,
        };
        return Some(Problem::new(format!("the certificate in {file} has expired"), why, cure));
    }
    Some(Problem::new(
        format!("the certificate in {file} is not valid yet"),
        format!("it is valid from {}, and {clock}", rfc3339(from)),
        "set this machine's clock, or that of the machine that rendered, and render again",
    ))
}

/// Whether `render` can sign a successor: it does so with the keys of CAs in `tls/`.
fn is_renewed(subject: &Subject<'_>, file: &str) -> bool {
    let tls = &subject.layout.tls;
    let pem = match (file.strip_prefix("tls/"), &subject.access.identity) {
        (Some(path), _) => tls.get(path).map(Vec::as_slice),
        (None, Identity::Certificate { certificate, .. }) => Some(certificate.as_slice()),
        (None, Identity::Token(_)) => None,
    };
    let has_key =
        |path: &str| path.strip_suffix(".crt").is_some_and(|stem| tls.contains_key(&format!("{stem}.key")));
    let mut authorities = tls.iter().filter(|(path, _)| has_key(path));
    pem.is_some_and(|pem| authorities.any(|(_, ca)| is_signed_by(pem, ca) == Some(true)))
}

pub fn keys(subject: &Subject<'_>, _: &Facts) -> Outcome {
    let pairs = subject.layout.tls.iter().filter_map(|(path, pem)| {
        let key = format!("{}.key", path.strip_suffix(".crt")?);
        Some((path, pem, subject.layout.tls.get(&key)?, key))
    });
    let check = |(path, pem, key, key_path): (&String, &Vec<u8>, &Vec<u8>, String)| {
        let certificate = examine(pem).ok()?.into_iter().next()?;
        let why = match certificate.belongs_to(key) {
            Ok(true) => return None,
            Ok(false) => format!("tls/{path} was made for another key"),
            Err(why) => format!("the key {why}"),
        };
        Some(Problem::new(format!("the key in tls/{key_path} is not that of its certificate"), why, PUT_BACK))
    };
    Outcome::from_problems(pairs.filter_map(check).collect(), "they match")
}

const PUT_BACK: &str =
    "put back the files as they were rendered, or render into an empty directory to make a new cluster";

pub fn authorities(subject: &Subject<'_>, _: &Facts) -> Outcome {
    let mut problems: Vec<Problem> = VERIFIED_BY
        .iter()
        .filter_map(|(certificate, authority)| {
            let (file, pem) = flagged(subject, certificate)?;
            let (by, authority) = flagged(subject, authority)?;
            unsigned(&format!("tls/{file}"), pem, &format!("tls/{by}"), authority)
        })
        .collect();
    if let Some((file, pem)) = flagged(subject, "tls-cert-file") {
        let by = "auth/kubeconfig";
        problems.extend(unsigned(&format!("tls/{file}"), pem, by, &subject.access.ca));
    }
    if let (Identity::Certificate { certificate, .. }, Some((by, authority))) =
        (&subject.access.identity, flagged(subject, "client-ca-file"))
    {
        problems.extend(unsigned("auth/kubeconfig", certificate, &format!("tls/{by}"), authority));
    }
    Outcome::from_problems(problems, "every signature is right")
}

fn flagged<'a>(subject: &Subject<'a>, flag: &str) -> Option<(&'a str, &'a [u8])> {
    subject.key_file(&subject.api_flag(flag)?)
}

fn unsigned(file: &str, pem: &[u8], by: &str, authorities: &[u8]) -> Option<Problem> {
    (is_signed_by(pem, authorities) == Some(false)).then(|| {
        Problem::new(
            format!("the certificate in {file} is not signed by the CA in {by}"),
            "its peer verifies it by that CA and will refuse it: the files come from two different renders",
            PUT_BACK,
        )
    })
}

pub fn server_names(subject: &Subject<'_>, _: &Facts) -> Outcome {
    let Some((file, pem)) = flagged(subject, "tls-cert-file") else {
        return Outcome::Unknown("the apiserver's certificate is not among the assets".into());
    };
    let Some(certificate) = examine(pem).ok().and_then(|chain| chain.into_iter().next()) else {
        return Outcome::Unknown(format!("tls/{file} cannot be read, see certificate-validity"));
    };
    let missing = hosts_of_clients(subject).into_iter().filter(|(host, _)| !certificate.is_for(host));
    let problems = missing.map(|(host, by)| {
        Problem::new(
            format!("the apiserver's certificate does not name {host}"),
            format!("{by}; tls/{file} names {}", certificate.hosts().join(", ")),
            format!("add {host} to apiServerAltNames and render again"),
        )
    });
    Outcome::from_problems(problems.collect(), "every host is named")
}

/// Hosts under which clients reach the apiserver, and which clients those are.
fn hosts_of_clients(subject: &Subject<'_>) -> Vec<(String, &'static str)> {
    let name = subject.access.tls_server_name.clone().unwrap_or_else(|| subject.api_host().to_owned());
    let networks = subject.networks().into_iter().filter(|(whose, _)| *whose == "services");
    let services =
        networks.map(|(_, network)| (offset(&network, 1).to_string(), "pods reach it at this address"));
    [(name, "auth/kubeconfig leads there")].into_iter().chain(services.take(1)).collect()
}

/// Every certificate of the assets, and a problem for each that cannot be read.
fn all(subject: &Subject<'_>) -> (Vec<Named>, Vec<Problem>) {
    let files = subject.layout.tls.iter().filter(|(path, _)| path.ends_with(".crt"));
    let files = files.map(|(path, pem)| (format!("tls/{path}"), pem.as_slice()));
    let authority = ("auth/kubeconfig (CA)".to_owned(), subject.access.ca.as_slice());
    let administrator = match &subject.access.identity {
        Identity::Certificate { certificate, .. } => {
            Some(("auth/kubeconfig".to_owned(), certificate.as_slice()))
        }
        Identity::Token(_) => None,
    };
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for (file, pem) in files.chain([authority]).chain(administrator) {
        match examine(pem) {
            Ok(chain) => read.push(Named { file, chain }),
            Err(why) => {
                let what = format!("the certificate in {file} cannot be read");
                problems.push(Problem::new(what, format!("it {why}"), PUT_BACK));
            }
        }
    }
    (read, problems)
}
