//! One value to or from a database, and the texts of dates and times.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::shorten;

/// A value as databases know them. Arrow columns become these ([`super::Fit`]) and rows that are read come as
/// these.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Int(i64),
    UInt(u64),
    Float(f32),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds, since midnight or as a span; may be negative.
    Time(i64),
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    DateTime(i64),
}

impl<'a> Value<'a> {
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// As a message shows it: a part of a long text, and only the length of bytes.
    pub fn shown(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Int(value) => value.to_string(),
            Self::UInt(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Double(value) => value.to_string(),
            Self::Text(text) => shorten(text),
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Self::Date(days) => date_text(*days).unwrap_or_default(),
            Self::Time(micros) => time_text(*micros).unwrap_or_default(),
            Self::DateTime(micros) => date_time_text(*micros).unwrap_or_default(),
        }
    }

    pub fn bytes(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Bytes that the value takes in a prepared statement, at most. In a text statement, it may take up to twice as many.
    pub fn size(&self) -> usize {
        /// A length, a type or a date: no fixed-width value takes more in either protocol.
        const FIXED: usize = 16;
        match self {
            Self::Null => 4,
            Self::Text(text) => text.len() + FIXED,
            Self::Bytes(bytes) => bytes.len() + FIXED,
            _ => FIXED,
        }
    }

    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::UInt(value) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// Microseconds since the epoch, of a date and time; SQLite keeps them as text.
    pub fn as_micros(&self) -> Option<i64> {
        match self {
            Self::DateTime(micros) => Some(*micros),
            Self::Text(text) => parse_date_time(text),
            _ => None,
        }
    }

    /// The text; bytes where they are UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

pub(crate) const MICROS_A_SECOND: i64 = 1_000_000;
pub(crate) const MICROS_A_DAY: i64 = 86_400 * MICROS_A_SECOND;

/// The date of days since 1970-01-01, where chrono knows it (years to about 262,000).
pub(crate) fn date(days: i64) -> Option<NaiveDate> {
    let days_from_ce = i64::from(NaiveDate::default().num_days_from_ce()).checked_add(days)?;
    NaiveDate::from_num_days_from_ce_opt(i32::try_from(days_from_ce).ok()?)
}

/// Days since 1970-01-01.
pub(crate) fn days(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

/// The time of microseconds since midnight.
pub(crate) fn time(micros: i64) -> Option<NaiveTime> {
    let seconds = u32::try_from(micros.div_euclid(MICROS_A_SECOND)).ok()?;
    NaiveTime::from_num_seconds_from_midnight_opt(seconds, micros.rem_euclid(MICROS_A_SECOND) as u32 * 1000)
}

pub(crate) fn micros_of_time(time: NaiveTime) -> i64 {
    i64::from(time.num_seconds_from_midnight()) * MICROS_A_SECOND + i64::from(time.nanosecond() / 1000)
}

/// The UTC time of microseconds since the epoch.
pub(crate) fn date_time(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc())
}

/// `2024-01-02`.
pub(crate) fn date_text(days: i32) -> Option<String> {
    date(i64::from(days)).map(|date| date.format("%Y-%m-%d").to_string())
}

/// `03:04:05.000006`.
pub(crate) fn time_text(micros: i64) -> Option<String> {
    time(micros).map(|time| time.format("%H:%M:%S%.6f").to_string())
}

/// `2024-01-02 03:04:05.000006`.
pub(crate) fn date_time_text(micros: i64) -> Option<String> {
    date_time(micros).map(|time| time.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// Appends what [`date_time_text`] writes, without a fraction that is 0; nothing where there is no such time.
pub(crate) fn write_date_time(out: &mut Vec<u8>, micros: i64) {
    let Some(time) = date_time(micros) else { return };
    let Ok(year) = u32::try_from(time.year()) else { return };
    let fraction = time.nanosecond() / 1000;
    let parts = [
        (year, 4),
        (time.month(), 2),
        (time.day(), 2),
        (time.hour(), 2),
        (time.minute(), 2),
        (time.second(), 2),
    ];
    for ((number, width), separator) in parts.into_iter().zip(b"-- ::.") {
        write_digits(out, number, width);
        out.push(*separator);
    }
    match fraction {
        0 => drop(out.pop()),
        fraction => write_digits(out, fraction, 6),
    }
}

/// `number` with leading zeros.
fn write_digits(out: &mut Vec<u8>, number: u32, width: usize) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = number;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Reads what [`date_text`] writes.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(days)
}

/// Reads what [`time_text`] writes; the fraction may be shorter or absent.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok().map(micros_of_time)
}

/// Reads what [`date_time_text`] writes; also with `T` and `Z`, a shorter fraction, or a date alone.
pub(crate) fn parse_date_time(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let parsed = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"));
    match parsed {
        Ok(time) => Some(time.and_utc().timestamp_micros()),
        Err(_) => parse_date(text).map(|days| i64::from(days) * MICROS_A_DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_times_are_read_back() {
        for micros in [0, -1, 1_704_164_645_000_006, -62_135_596_800_000_000, 253_402_300_799_999_999] {
            let text = date_time_text(micros).expect("in range");
            assert_eq!(parse_date_time(&text), Some(micros), "{text}");
            let mut short = Vec::new();
            write_date_time(&mut short, micros);
            let short = String::from_utf8(short).expect("digits");
            assert_eq!(short, text.trim_end_matches(".000000"));
        }
        assert_eq!(date_time_text(-1).as_deref(), Some("1969-12-31 23:59:59.999999"));
        assert_eq!(date_text(-1).as_deref(), Some("1969-12-31"));
        assert_eq!(parse_date_time("2024-01-02T03:04:05Z"), Some(1_704_164_645_000_000));
        assert_eq!(parse_date_time("2024-01-02"), Some(1_704_153_600_000_000));
        assert_eq!(time_text(MICROS_A_DAY - 1).as_deref(), Some("23:59:59.999999"));
    }
}
