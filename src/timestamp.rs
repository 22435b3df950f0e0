//! The form of time stamps in events, journal and report.

use time::OffsetDateTime;
use time::macros::format_description;

/// RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.to_offset(time::UtcOffset::UTC).format(form).unwrap_or_else(|_| at.unix_timestamp().to_string())
}
