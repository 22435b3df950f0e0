//! How long a certificate is valid, and when it is due for renewal.

use time::OffsetDateTime;

/// A certificate is due once less than one such part of its term is left.
const LAST_PART: i32 = 3;
/// What only `render` renews is renewed once less than one such part of its term is left.
const LAST_PART_FOR_RENDER: i32 = 10;

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// From when.
    pub not_before: OffsetDateTime,
    /// Until when.
    pub not_after: OffsetDateTime,
}

impl Term {
    /// Whether the certificate should be renewed at `now`: less than a third of its term is left,
    /// it has expired, or it is not valid yet (the clock was wrong when it was made).
    pub fn is_due(&self, now: OffsetDateTime) -> bool {
        now < self.not_before || now >= self.due()
    }

    /// Whether `render` renews the certificate at `now`, if that gains time: less than a tenth of
    /// its term is left.
    pub fn is_ending(&self, now: OffsetDateTime) -> bool {
        self.not_after - now < (self.not_after - self.not_before) / LAST_PART_FOR_RENDER
    }

    /// When the certificate becomes due.
    pub fn due(&self) -> OffsetDateTime {
        self.not_after - (self.not_after - self.not_before) / LAST_PART
    }
}
