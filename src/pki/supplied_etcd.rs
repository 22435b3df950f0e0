//! An etcd client identity of the user's, checked for each of its uses: the apiserver shows the
//! certificate to etcd, and verifies etcd's servers by the CA.

use super::catalogue::Usage;
use super::certificate::Certificate;
use super::problem::Problem;
use super::supplied_check::{Check, NamedFile};
use super::verify::{Blame, Refusal, verify};

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
        if let Err(refusal) = is_accepted(authorities, chain, check) {
            let file = if refusal.blame == Blame::Leaf { certificate_file } else { ca_file };
            check.refuse(Problem::Refused(refusal.why, refusal.cure), file);
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
    let is_above = |authority: &Certificate| authority.is_authority && leaf.is_signed_by(authority);
    !leaf.is_authority && chain.iter().any(is_above)
}

/// Both uses, the first one that fails.
fn is_accepted(authorities: &[Certificate], chain: &[Certificate], check: &Check<'_>) -> Result<(), Refusal> {
    verify(&chain[0], &chain[1..], authorities, Usage::Client, check.now)?;
    let hosts = &check.files.etcd_hosts;
    let mut refused = hosts.iter().map(|host| (host, refusal_of_server(authorities, host, check)));
    match refused.find_map(|(host, refusal)| Some((host, refusal?))) {
        Some((host, refusal)) => Err(Refusal {
            why: format!("no server certificate for {host} could be verified with it: {refusal}"),
            cure: "give the CA that signed the certificates of etcd's servers; the file may hold several"
                .to_owned(),
            blame: Blame::Authority,
        }),
        None => Ok(()),
    }
}

/// Why none of the authorities can stand above a server at `host`: the reason of the first.
fn refusal_of_server(authorities: &[Certificate], host: &str, check: &Check<'_>) -> Option<String> {
    let mut refusals = authorities.iter().map(|authority| {
        let problems = super::signer::problems_for(authority, &[Usage::Server], check.now);
        let allows = authority.rules.constraints.as_ref().is_none_or(|constraints| constraints.allow(host));
        match problems.into_iter().next() {
            Some(problem) => Some(format!("it {problem}")),
            None => (!allows).then(|| "its nameConstraints do not allow that name".to_owned()),
        }
    });
    let first = refusals.next()??;
    refusals.all(|refusal| refusal.is_some()).then_some(first)
}

fn joined(certificates: &[Certificate]) -> Vec<u8> {
    certificates.iter().flat_map(Certificate::pem).collect()
}
