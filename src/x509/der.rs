//! Splits and joins DER sequences without interpreting their elements.

use x509_parser::asn1_rs::{Any, FromDer, Sequence, ToDer};

/// The encoded elements of the sequence `der`. `None` if bytes are missing or left over.
pub fn elements(der: &[u8]) -> Option<Vec<&[u8]>> {
    let ([], sequence) = Any::from_der(der).ok()? else { return None };
    let mut rest = sequence.data;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (after, _) = Any::from_der(rest).ok()?;
        let (part, tail) = rest.split_at(rest.len() - after.len());
        parts.push(part);
        rest = tail;
    }
    Some(parts)
}

/// A sequence of encoded elements.
pub fn sequence(parts: &[&[u8]]) -> Option<Vec<u8>> {
    Sequence::new(parts.concat().into()).to_der_vec().ok()
}
