//! Moments as people write them in tests.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// The moment at which the clock stands where a test does not say another: 2024-01-01 00:00:00 UTC.
pub(super) const NOW_SECONDS: i64 = 1_704_067_200;

/// `2024-01-01T00:00:00Z` (any offset), `2024-01-01 00:00:00` (UTC), with or without a fraction, or a date: its midnight.
pub(super) fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        return Some(moment.with_timezone(&Utc));
    }
    let local = NaiveDateTime::parse_from_str(&text.replacen('T', " ", 1), "%Y-%m-%d %H:%M:%S%.f");
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    local.ok().or_else(midnight).map(|moment| moment.and_utc())
}

/// `10:30:00`, with or without seconds or a fraction.
pub(super) fn time_of_day(text: &str) -> Option<NaiveTime> {
    let with_seconds = NaiveTime::parse_from_str(text, "%H:%M:%S%.f");
    with_seconds.or_else(|_| NaiveTime::parse_from_str(text, "%H:%M")).ok()
}
