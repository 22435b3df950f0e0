//! Bootstrap tokens.

use time::OffsetDateTime;

use super::BootstrapToken;
use super::error::Error;

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Bytes from here on are discarded. They would make the first letters of the alphabet more likely
/// than the last.
const FAIR: u8 = 252;

impl BootstrapToken {
    /// A new token.
    pub(super) fn generate(expires: Option<OffsetDateTime>) -> Result<Self, Error> {
        Ok(Self { id: letters(6)?, secret: letters(16)?, expires })
    }

    /// Whether it is still valid at `now`.
    pub(super) fn is_good(&self, now: OffsetDateTime) -> bool {
        self.expires.is_none_or(|expires| expires > now)
    }
}

fn letters(count: usize) -> Result<String, Error> {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
        let fair = bytes.into_iter().filter(|byte| *byte < FAIR);
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        text.extend(letters.take(count - text.len()));
    }
    Ok(text)
}
