//! Which CA a certificate descends from, and how a CA is called in a message.

use super::{Examined, examine, rfc3339};

/// Whether `chain` ends at one of `authorities`; `None` if either cannot be read. A chain begins with the certificate;
/// its last intermediate authority must be signed by the CA.
pub fn is_signed_by(chain: &[u8], authorities: &[u8]) -> Option<bool> {
    let chain = examine(chain).ok()?;
    let authorities = examine(authorities).ok()?;
    let last = chain.last()?;
    Some(authorities.iter().any(|authority| last.is_signed_by(authority)))
}

/// The CAs of a file, told apart by the beginning of their term: their names are often the same.
pub fn describe(pem: &[u8]) -> String {
    let one = |authority: &Examined| format!("{} of {}", authority.name(), rfc3339(authority.not_before()));
    match examine(pem) {
        Ok(authorities) => authorities.iter().map(one).collect::<Vec<_>>().join(", "),
        Err(why) => format!("no certificate ({why})"),
    }
}
