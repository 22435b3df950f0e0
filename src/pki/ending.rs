//! Warnings of certificates that can be used: what ends soon although nothing renews it, and what
//! only some programs can verify.

use std::time::Duration;

use time::OffsetDateTime;

use super::Bundle;
use super::certificate::Certificate;
use super::problem::rfc3339;
use super::supplied_etcd::is_foreign;
use super::term::Term;
use crate::config::{CaFiles, ClusterConfig, Etcd, EtcdClientFiles, UserFile};

/// The controller manager signs the certificates of kubelets for so long, and for less if the CA
/// ends before (`--cluster-signing-duration`, 8760h by default).
pub const KUBELET_CERTIFICATES: Duration = Duration::from_secs(8760 * 3600);
/// Short terms leave less than this in their last third, and a replacement by hand takes days.
const NOTICE: time::Duration = time::Duration::days(7);

/// Whether a certificate that must be replaced by hand should be replaced now: it is in the last
/// third of its term, in which Kubernetes renews its own, or ends within a week.
pub fn is_short(term: Term, now: OffsetDateTime) -> bool {
    term.is_due(now) || term.not_after - now < NOTICE
}

/// Whether an authority ends before what it signs now should: `signed` is the term of that.
pub fn is_cut_short(authority_end: OffsetDateTime, signed: Duration, now: OffsetDateTime) -> bool {
    authority_end < now + signed
}

/// Every warning of the certificates in `bundle`.
pub fn warnings(config: &ClusterConfig, bundle: &Bundle, now: OffsetDateTime) -> Vec<String> {
    let client = match &config.etcd {
        Etcd::External { client, .. } if config.etcd_tls() => client.as_ref(),
        _ => None,
    };
    endings(config, client, bundle, now)
        .into_iter()
        .chain(short_validity(config, now))
        .chain(client.and_then(|client| foreign_client(client, bundle)))
        .chain(config.ca.as_ref().and_then(|CaFiles { certificate, .. }| intermediate(certificate, bundle)))
        .collect()
}

/// What is issued ends before a replacement by hand can be expected.
fn short_validity(config: &ClusterConfig, now: OffsetDateTime) -> Option<String> {
    let end = now + config.certificates.validity;
    (end - now < NOTICE).then(|| {
        let end = ending(end, now);
        format!(
            "certificates.validity: what is issued now ends at {end}; before that, render and run `start` again, or \
             write a longer one, such as 365d"
        )
    })
}

/// Go takes a CA that another one signed as the end of a chain. OpenSSL does so only on request.
fn intermediate(file: &UserFile, bundle: &Bundle) -> Option<String> {
    let mut authorities = read(bundle, "ca.crt");
    let is_signed_by_another = authorities.all(|ca| ca.issuer != ca.subject);
    is_signed_by_another.then(|| {
        format!(
            "{}: another CA signed it: Kubernetes' components trust it as it is, but OpenSSL does not, nor programs \
             that use it (curl, Python); in such pods they need the root as well, or X509_V_FLAG_PARTIAL_CHAIN",
            place("", Some(file))
        )
    })
}

/// The apiserver shows etcd a certificate that none of its authorities for etcd's servers signed.
fn foreign_client(
    EtcdClientFiles { ca, certificate, .. }: &EtcdClientFiles,
    bundle: &Bundle,
) -> Option<String> {
    let [authorities, chain] =
        ["etcd-client-ca.crt", "etcd-client.crt"].map(|path| read(bundle, path).collect::<Vec<_>>());
    is_foreign(&authorities, &chain).then(|| {
        let (place, ca) = (place("", Some(certificate)), place("", Some(ca)));
        format!("{place}: etcd must trust the CA that signed it (--trusted-ca-file); {ca} holds another one")
    })
}

/// A warning for each authority and each certificate of the user's in `bundle` that ends soon.
fn endings(
    config: &ClusterConfig,
    client: Option<&EtcdClientFiles>,
    bundle: &Bundle,
    now: OffsetDateTime,
) -> Vec<String> {
    let own_ca = config.ca.as_ref().map(|CaFiles { certificate, .. }| certificate);
    let client_ca = client.map(|EtcdClientFiles { ca, .. }| ca);
    let authorities = [("ca.crt", own_ca), ("front-proxy-ca.crt", None), ("etcd-ca.crt", None)];
    let last =
        |path| read(bundle, path).map(|one| Term { not_before: one.not_before, not_after: one.not_after });
    let mut warnings = Vec::new();
    for (path, file) in authorities.into_iter().chain(client_ca.map(|ca| ("etcd-client-ca.crt", Some(ca)))) {
        // The last of a bundle counts: earlier ones are kept beside their successors.
        let end = last(path).map(|term| term.not_after).max();
        let signed = config.certificates.validity;
        warnings.extend(end.filter(|end| is_cut_short(*end, signed, now)).map(|end| {
            let (place, end) = (place(path, file), ending(end, now));
            format!(
                "{place}: the CA ends at {end}: every certificate that it signs ends with it, and nothing renews \
                 a CA; make its certificate anew with the same subject and key, and render with that"
            )
        }));
    }
    if let Some(file) = client.map(|EtcdClientFiles { certificate, .. }| certificate) {
        let short = last("etcd-client.crt").find(|term| is_short(*term, now));
        warnings.extend(short.map(|term| {
            let (place, end) = (place("", Some(file)), ending(term.not_after, now));
            format!(
                "{place}: ends at {end}; from then on the apiserver cannot reach etcd: give a newer one and render \
                 again"
            )
        }));
    }
    warnings
}

fn read(bundle: &Bundle, path: &str) -> impl Iterator<Item = Certificate> {
    Certificate::read_all(bundle.get(path)).unwrap_or_default().into_iter()
}

fn place(path: &str, file: Option<&UserFile>) -> String {
    file.map_or_else(|| format!("tls/{path}"), |UserFile { field, path }| format!("{field}: {path}"))
}

/// A point in time, and how far off it is.
fn ending(end: OffsetDateTime, now: OffsetDateTime) -> String {
    let left = end - now;
    let left = match left.whole_days() {
        0 if left.whole_hours() == 0 => format!("{} min", left.whole_minutes()),
        0 | 1 => format!("{} h", left.whole_hours()),
        days => format!("{days} d"),
    };
    format!("{}, in {left}", rfc3339(end))
}
