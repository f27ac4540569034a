//! A moment as people write it: on the command line, in the prompt and in tests.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// `2024-01-01T00:00:00Z` (any offset), `2024-01-01 00:00:00` (UTC), with or without a fraction, or a date: its midnight.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
        return Some(moment.with_timezone(&Utc));
    }
    let local = NaiveDateTime::parse_from_str(&text.replacen('T', " ", 1), "%Y-%m-%d %H:%M:%S%.f");
    let midnight = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    local.ok().or_else(midnight).map(|moment| moment.and_utc())
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn dates_and_times_with_and_without_a_zone() {
        for text in
            ["1970-01-02", "1970-01-02 00:00:00", "1970-01-02T00:00:00.0", "1970-01-02T01:00:00+01:00"]
        {
            assert_eq!(moment(text).map(|moment| moment.timestamp_millis()), Some(86_400_000), "{text}");
        }
        for text in ["yesterday", "2024-01-32", "10:00:00", "12"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
