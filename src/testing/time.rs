//! The clock of tests, and times of a day as people write them.

use chrono::NaiveTime;

/// The clock's time in a test that sets no other: 2024-01-01 00:00:00 UTC.
pub(super) const NOW_SECONDS: i64 = 1_704_067_200;

/// `10:30:00`, with or without seconds or a fraction.
pub(super) fn time_of_day(text: &str) -> Option<NaiveTime> {
    let with_seconds = NaiveTime::parse_from_str(text, "%H:%M:%S%.f");
    with_seconds.or_else(|_| NaiveTime::parse_from_str(text, "%H:%M")).ok()
}
