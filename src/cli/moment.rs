//! Moments as people type them: a date, or RFC 3339.

use chrono::{DateTime, NaiveDate};

/// Milliseconds since the epoch; a date is its midnight, UTC.
pub(super) fn moment_ms(text: &str) -> Option<i64> {
    let exact = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_millis());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    exact.or_else(|| day().map(|midnight| midnight.and_utc().timestamp_millis()))
}
