//! Whether a Go program accepts a certificate: chains from it to an authority, and what Go demands of
//! each certificate in them.

use time::OffsetDateTime;

use super::catalogue::Usage;
use super::certificate::Certificate;
use super::problem::rfc3339;
use crate::x509::{Link, Unsigned, hold};

/// Longest chain that is tried, the leaf included: more than any that people use.
const LONGEST: usize = 8;

/// Why a Go program refuses a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is wrong, as the end of a sentence about the certificate.
    pub why: String,
    /// What to give instead.
    pub cure: String,
    /// Which of the files has to change.
    pub blame: Blame,
}

/// Which file has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// That of the certificate and its intermediate authorities.
    Leaf,
    /// That of the authorities.
    Authority,
}

/// Whether `leaf` may be used for `usage` at `now`, trusting `roots`. `others` came with it.
pub(super) fn verify(
    leaf: &Certificate,
    others: &[Certificate],
    roots: &[Certificate],
    usage: Usage,
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    alone(leaf, Blame::Leaf, now)?;
    if roots.iter().any(|root| root.der == leaf.der) {
        return whole(&[leaf], usage);
    }
    let mut first = None;
    if reach(&mut vec![leaf], &Search { others, roots, usage, now }, &mut first) {
        return Ok(());
    }
    Err(first.unwrap_or_else(foreign))
}

struct Search<'a> {
    others: &'a [Certificate],
    roots: &'a [Certificate],
    usage: Usage,
    now: OffsetDateTime,
}

/// Extends `chain` to a root in every possible way until one is accepted. `first` keeps the first
/// reason against one.
fn reach<'a>(chain: &mut Vec<&'a Certificate>, search: &Search<'a>, first: &mut Option<Refusal>) -> bool {
    let Some(child) = chain.last().copied() else { return false };
    for root in search.roots.iter().filter(|root| root.subject == child.issuer) {
        let candidate = parent(root, child, chain, Blame::Authority, search.now);
        let full: Vec<&Certificate> = chain.iter().copied().chain([root]).collect();
        match candidate.and_then(|()| whole(&full, search.usage)) {
            Ok(()) => return true,
            Err(refusal) => *first = Some(first.take().unwrap_or(refusal)),
        }
    }
    for other in search.others.iter().filter(|other| other.subject == child.issuer) {
        let is_in =
            chain.iter().any(|one| one.subject == other.subject && one.public_key == other.public_key);
        if is_in || chain.len() >= LONGEST {
            continue;
        }
        match parent(other, child, chain, Blame::Leaf, search.now) {
            Ok(()) => {
                chain.push(other);
                let reached = reach(chain, search, first);
                chain.pop();
                if reached {
                    return true;
                }
            }
            Err(refusal) => *first = Some(first.take().unwrap_or(refusal)),
        }
    }
    false
}

/// Whether `candidate` may stand above `child`, which ends `chain`.
fn parent(
    candidate: &Certificate,
    child: &Certificate,
    chain: &[&Certificate],
    blame: Blame,
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    let name = candidate.label();
    let refuse = |why: String, cure: &str| Err(Refusal { why, cure: cure.to_owned(), blame });
    // Go asks intermediate authorities of the first versions, too, for the extension.
    let is_authority =
        candidate.rules.is_authority() && (blame == Blame::Authority || candidate.rules.basic.is_some());
    if !is_authority {
        return refuse(format!("{name}, which signed it, is no CA (basicConstraints)"), GIVE_CA);
    }
    if candidate.rules.forbids_signing {
        return refuse(
            format!("{name}, which signed it, may not sign (keyUsage lacks keyCertSign)"),
            GIVE_CA,
        );
    }
    match child.is_signature_by(candidate) {
        Ok(()) => {}
        Err(Unsigned::Weak) => return Err(weak(child)),
        Err(Unsigned::Unknown) => {
            let why = format!("bootkube cannot verify the signature of {}", child.label());
            let cure = "sign with an RSA (2048 to 8192 bits), EC (P-256, P-384, P-521) or Ed25519 key";
            return refuse(why, cure);
        }
        Err(Unsigned::Wrong) => return Err(foreign()),
    }
    alone(candidate, blame, now)?;
    let between = chain.len() - 1;
    let most = candidate.rules.basic.and_then(|basic| basic.path_length);
    if most.is_some_and(|most| between > most as usize) {
        let why = format!("{name} allows fewer CAs below it than the chain has (pathlen)");
        return refuse(why, "leave out CAs, or give a CA with a larger pathlen");
    }
    Ok(())
}

const GIVE_CA: &str = "give a CA with CA:TRUE whose keyUsage has keyCertSign";

/// Why Go refuses what is signed with an old digest.
pub(super) fn weak(certificate: &Certificate) -> Refusal {
    let why = format!("{} is signed with SHA-1 or MD5, which Go refuses", certificate.label());
    Refusal { why, cure: "sign it with SHA-256".to_owned(), blame: Blame::Leaf }
}

fn foreign() -> Refusal {
    Refusal {
        why: "none of the CAs given signed it".to_owned(),
        cure: "give a certificate that one of these CAs signed, and the CAs between the two behind it"
            .to_owned(),
        blame: Blame::Leaf,
    }
}

/// What can be said of one certificate without others.
fn alone(certificate: &Certificate, blame: Blame, now: OffsetDateTime) -> Result<(), Refusal> {
    let name = certificate.label();
    let refuse = |why: String, cure: &str| Err(Refusal { why, cure: cure.to_owned(), blame });
    if let Some(id) = certificate.rules.unhandled.first() {
        let why = format!("{name} has the critical extension {id}, which Go does not know or not in full");
        return refuse(why, "give a certificate without it, or where it is not critical");
    }
    if now < certificate.not_before {
        let why = format!("{name} is not valid before {}", rfc3339(certificate.not_before));
        return refuse(why, "check this machine's clock, or give a certificate that is valid now");
    }
    if now > certificate.not_after {
        let why = format!("{name} expired at {}", rfc3339(certificate.not_after));
        return refuse(why, "give a certificate that is valid now");
    }
    Ok(())
}

/// What is said of a chain as a whole, from the leaf to the root.
fn whole(chain: &[&Certificate], usage: Usage) -> Result<(), Refusal> {
    let blame_at =
        |index: usize| if index > 0 && index + 1 == chain.len() { Blame::Authority } else { Blame::Leaf };
    if let Some(index) = chain.iter().position(|one| !one.usages.allow(usage)) {
        let (who, word) = match usage {
            Usage::Server => ("servers", "serverAuth"),
            Usage::Client => ("clients", "clientAuth"),
        };
        let why = format!("{} is not made for {who} (extendedKeyUsage lacks {word})", chain[index].label());
        let cure = format!("give one whose extendedKeyUsage has {word}, or a CA without extendedKeyUsage");
        return Err(Refusal { why, cure, blame: blame_at(index) });
    }
    for (index, above) in chain.iter().enumerate() {
        let Some(constraints) = &above.rules.constraints else { continue };
        for below in &chain[..index] {
            let refused = constraints.refused(&below.rules.names);
            if !refused.is_empty() {
                let names = refused.join(", ");
                let why = format!("the nameConstraints of {} do not allow {names}", above.label());
                let cure = "give a CA without nameConstraints, or whose constraints allow these names";
                return Err(Refusal { why, cure: cure.to_owned(), blame: blame_at(index) });
            }
        }
    }
    let links = chain
        .iter()
        .rev()
        .skip(1)
        .map(|one| Link { policies: &one.rules.policies, is_self_issued: one.subject == one.issuer });
    if !hold(&links.collect::<Vec<_>>()) {
        let why = "a CA above it demands a certificate policy (policyConstraints) that the chain lacks";
        let cure = "give certificates with that policy, or a CA that demands none";
        return Err(Refusal { why: why.to_owned(), cure: cure.to_owned(), blame: Blame::Leaf });
    }
    Ok(())
}
