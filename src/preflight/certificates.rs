//! The rendered certificates, held against the clock, their keys, their authorities and the names they are asked by.

use time::OffsetDateTime;

use super::machine::is_behind;
use super::report::{Outcome, Problem};
use super::seen::Seen;
use super::subject::Subject;
use crate::cluster::kubeconfig::Identity;
use crate::config::offset;
use crate::pki::{Examined, examine, rfc3339};

/// Which flag of the apiserver names a certificate, and which the authority that the other side verifies it with.
const VERIFIED_BY: [(&str, &str); 2] = [
    ("kubelet-client-certificate", "client-ca-file"),
    ("proxy-client-cert-file", "requestheader-client-ca-file"),
];
const RENDER: &str = "run bootkube render again: it renews what has expired and keeps every CA";

/// What is in a file: a certificate and those between it and its authority, or authorities.
struct Named {
    file: String,
    chain: Vec<Examined>,
}

pub fn validity(subject: &Subject<'_>, seen: &Seen) -> Outcome {
    let now = subject.options.now;
    if is_behind(subject, seen) {
        return Outcome::Unknown("this machine's clock is behind, see clock".into());
    }
    let (files, mut problems) = all(subject);
    problems.extend(files.iter().filter_map(|file| invalid(file, now)));
    let first = files.iter().flat_map(|file| &file.chain).map(Examined::not_after).min();
    let detail = first.map(|first| format!("the first expires at {}", rfc3339(first)));
    Outcome::of(problems, detail.unwrap_or_else(|| "there is none".to_owned()))
}

/// Of several authorities one that holds is enough: a bundle outlives those it was made with.
fn invalid(Named { file, chain }: &Named, now: OffsetDateTime) -> Option<Problem> {
    let holds = |certificate: &Examined| (certificate.not_before()..=certificate.not_after()).contains(&now);
    if chain.iter().all(Examined::is_authority) && chain.iter().any(holds) {
        return None;
    }
    let certificate = chain.iter().find(|certificate| !holds(certificate))?;
    let (from, until) = (certificate.not_before(), certificate.not_after());
    let clock = format!("this machine's clock says {}", rfc3339(now));
    if now > until {
        let why = format!("it expired at {}, and {clock}", rfc3339(until));
        return Some(Problem::new(format!("the certificate in {file} has expired"), why, RENDER));
    }
    Some(Problem::new(
        format!("the certificate in {file} is not valid yet"),
        format!("it is valid from {}, and {clock}", rfc3339(from)),
        "set this machine's clock, or that of the machine that rendered, and render again",
    ))
}

pub fn keys(subject: &Subject<'_>, _: &Seen) -> Outcome {
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
    Outcome::of(pairs.filter_map(check).collect(), "each is")
}

const PUT_BACK: &str =
    "put back the files as they were rendered, or render into an empty directory to make a new cluster";

pub fn authorities(subject: &Subject<'_>, _: &Seen) -> Outcome {
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
    Outcome::of(problems, "each is")
}

fn flagged<'a>(subject: &Subject<'a>, flag: &str) -> Option<(&'a str, &'a [u8])> {
    subject.key_file(&subject.api_flag(flag)?)
}

/// Intermediate authorities come behind the certificate; the last of the chain counts.
fn unsigned(file: &str, pem: &[u8], by: &str, authorities: &[u8]) -> Option<Problem> {
    let chain = examine(pem).ok()?;
    let authorities = examine(authorities).ok()?;
    let last = chain.last()?;
    let is_signed = authorities.iter().any(|authority| last.is_signed_by(authority));
    (!is_signed).then(|| {
        Problem::new(
            format!("the certificate in {file} is not signed by the CA in {by}"),
            "whoever verifies it with that CA will refuse it: files of two renders are mixed",
            PUT_BACK,
        )
    })
}

pub fn server_names(subject: &Subject<'_>, _: &Seen) -> Outcome {
    let Some((file, pem)) = flagged(subject, "tls-cert-file") else {
        return Outcome::Unknown("the apiserver's certificate is not among the assets".into());
    };
    let Some(certificate) = examine(pem).ok().and_then(|chain| chain.into_iter().next()) else {
        return Outcome::Unknown(format!("tls/{file} cannot be read, see certificate-validity"));
    };
    let missing = asked_by(subject).into_iter().filter(|(host, _)| !certificate.is_for(host));
    let problems = missing.map(|(host, by)| {
        Problem::new(
            format!("the apiserver's certificate does not name {host}"),
            format!("{by}; tls/{file} names {}", certificate.hosts().join(", ")),
            format!("add {host} to apiServerAltNames and render again"),
        )
    });
    Outcome::of(problems.collect(), "each is named")
}

/// Hosts that the apiserver is asked by, and by whom.
fn asked_by(subject: &Subject<'_>) -> Vec<(String, &'static str)> {
    let name = subject.access.tls_server_name.clone().unwrap_or_else(|| subject.api_host().to_owned());
    let networks = subject.networks().into_iter().filter(|(whose, _)| *whose == "services");
    let services =
        networks.map(|(_, network)| (offset(&network, 1).to_string(), "pods ask it by this address"));
    [(name, "auth/kubeconfig leads there")].into_iter().chain(services.take(1)).collect()
}

/// Every certificate of the assets, and those that cannot be read.
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
