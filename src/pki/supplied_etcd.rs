//! An etcd client identity of the user's, checked for each of its uses: the apiserver shows the
//! certificate to etcd, and verifies etcd's servers by the CA.

use time::OffsetDateTime;

use super::catalogue::Usage;
use super::certificate::Certificate;
use super::problem::{Problem, rfc3339};
use super::signer::problems_for;
use super::supplied_check::{Check, NamedFile};
use super::verify::{Blame, Refusal, verify, weak};
use crate::x509::Unsigned;

/// PEM of an etcd client identity, without text around the blocks.
pub(super) struct EtcdClient {
    pub(super) ca: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// Checks CA, certificate and key. CA and certificate may be several: a trust bundle may outlive one
/// of its authorities, and a client may have a chain.
pub(super) fn client(
    (ca_file, certificate_file, key_file): &(NamedFile, NamedFile, NamedFile),
    check: &mut Check<'_>,
) -> Option<EtcdClient> {
    if check.exchanged(certificate_file, key_file) || check.exchanged(ca_file, key_file) {
        return None;
    }
    let authorities = check.note(Certificate::read_all(&ca_file.pem), ca_file);
    let chain = check.note(Certificate::read_all(&certificate_file.pem), certificate_file);
    if let (Some(authorities), Some(chain)) = (&authorities, &chain) {
        if are_exchanged(authorities, chain) {
            let other = format!("{} ({})", certificate_file.field, certificate_file.path);
            let problem = Problem::Exchanged { holds: "a certificate of a client", other, its: "its CA" };
            check.refuse(problem, ca_file);
            return None;
        }
        if let Some(refusal) = refusal_of_client(authorities, chain, check.now) {
            let file = if refusal.blame == Blame::Leaf { certificate_file } else { ca_file };
            check.refuse(Problem::Refused(refusal.why, refusal.cure), file);
        } else if let Some(problem) = problem_for_servers(authorities, check) {
            check.refuse(problem, ca_file);
        }
    }
    let first = chain.as_ref().map(|chain| chain[0].der.clone());
    let first = first.and_then(|der| Certificate::parse(&der).ok());
    let (_, key) = check.pair(first, certificate_file, key_file)?;
    let (authorities, chain) = (authorities?, chain?);
    Some(EtcdClient { ca: joined(&authorities), certificate: joined(&chain), key: key.pem })
}

/// Whether the CA is where the client's certificate should be, and the other way about.
fn are_exchanged(authorities: &[Certificate], chain: &[Certificate]) -> bool {
    let [leaf] = authorities else { return false };
    !leaf.is_authority
        && chain.iter().all(|one| one.is_authority)
        && chain.iter().any(|authority| leaf.is_signed_by(authority))
}

/// Why etcd refuses the client. It verifies the client by authorities of its own, so those of the
/// user's file count only if one of them is above the client.
fn refusal_of_client(
    authorities: &[Certificate],
    chain: &[Certificate],
    now: OffsetDateTime,
) -> Option<Refusal> {
    let leaf = &chain[0];
    let others = &chain[1..];
    if !is_foreign(authorities, chain) {
        return verify(leaf, others, authorities, Usage::Client, now).err();
    }
    if leaf.is_signature_by(leaf) == Err(Unsigned::Weak) {
        return Some(weak(leaf));
    }
    verify(leaf, &[], std::slice::from_ref(leaf), Usage::Client, now).err()
}

/// Whether no authority is in a client's chain, or signed what is in it.
pub(super) fn is_foreign(authorities: &[Certificate], chain: &[Certificate]) -> bool {
    let is_above = |authority: &Certificate, one: &Certificate| {
        let is_signer =
            authority.subject == one.issuer && one.is_signature_by(authority) != Err(Unsigned::Wrong);
        authority.der == one.der || is_signer
    };
    !chain.iter().any(|one| authorities.iter().any(|authority| is_above(authority, one)))
}

/// What is wrong with the authorities for the first of etcd's servers that they cannot stand above.
fn problem_for_servers(authorities: &[Certificate], check: &Check<'_>) -> Option<Problem> {
    check.files.etcd_hosts.iter().find_map(|host| {
        let why = refusal_of_server(authorities, host, check.now)?;
        Some(Problem::NoServerAuthority { host: host.clone(), why })
    })
}

/// Why none of the authorities can stand above a server at `host`: the reason of the first.
fn refusal_of_server(authorities: &[Certificate], host: &str, now: OffsetDateTime) -> Option<String> {
    let mut refusals = authorities.iter().map(|authority| match is_of_server(authority, host, now) {
        true => None,
        false => refusal_above_server(authority, host, now),
    });
    let first = refusals.next()??;
    refusals.all(|refusal| refusal.is_some()).then_some(first)
}

/// Whether it is the server's own certificate: Go accepts what is itself among the roots, CA or not.
fn is_of_server(certificate: &Certificate, host: &str, now: OffsetDateTime) -> bool {
    let trusted = std::slice::from_ref(certificate);
    certificate.is_for(host) && verify(certificate, &[], trusted, Usage::Server, now).is_ok()
}

fn refusal_above_server(authority: &Certificate, host: &str, now: OffsetDateTime) -> Option<String> {
    let allows = authority.rules.constraints.as_ref().is_none_or(|constraints| constraints.allow(host));
    match problems_for(authority, &[Usage::Server], now).into_iter().next() {
        Some(problem) => Some(reason(&problem)),
        None => (!allows).then(|| "its nameConstraints do not allow that name".to_owned()),
    }
}

/// A problem of an authority as one of several in its file.
fn reason(problem: &Problem) -> String {
    match problem {
        Problem::NotAuthority => "its basicConstraints lack CA:TRUE".to_owned(),
        Problem::MayNotSign => "its keyUsage lacks keyCertSign".to_owned(),
        Problem::UsageForbidden => "its extendedKeyUsage lacks serverAuth".to_owned(),
        Problem::UnknownCritical(id) => {
            format!("it has the critical extension {id}, which Go does not know or not in full")
        }
        Problem::Expired(end) => format!("it expired at {}", rfc3339(*end)),
        Problem::NotYetValid(start) => format!("it is not valid before {}", rfc3339(*start)),
        other => format!("it {other}"),
    }
}

fn joined(certificates: &[Certificate]) -> Vec<u8> {
    certificates.iter().flat_map(Certificate::pem).collect()
}
