//! Intervals as they are written, read as PostgreSQL reads them: `'1 day 2 hours'`, `'-1 month'`, `'1 day 02:30:00'`. Each number
//! has a sign of its own, and what is less than a month, a week or a day goes on in smaller units. Arrow drops it in part.

use std::str::FromStr as _;

use arrow::compute::kernels::cast_utils::IntervalUnit;
use arrow::datatypes::IntervalMonthDayNano;

pub(super) const NANOS_A_MICRO: i64 = 1_000;
pub(super) const MICROS_A_DAY: i64 = 86_400_000_000;

/// Why a text is no interval, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misread {
    pub(super) reason: &'static str,
    pub(super) instead: &'static str,
}

const NO_INTERVAL: Misread = Misread {
    reason: "this is no interval",
    instead: "write numbers with units: `INTERVAL '1 day 2 hours'`",
};
pub(super) const NO_UNIT: Misread =
    Misread { reason: "an interval without a unit", instead: "write its unit: `INTERVAL '5 seconds'`" };
const TOO_SHORT: Misread = Misread {
    reason: "an interval counts no less than microseconds",
    instead: "round it: `INTERVAL '1 microsecond'`",
};
const PART_OF_MONTH: Misread = Misread {
    reason: "a fraction of a year that is no whole number of months",
    instead: "write months or days: `INTERVAL '1 month'`",
};
const TOO_LONG: Misread = Misread {
    reason: "an interval that is too long",
    instead: "write months in the place of days and hours",
};

/// Numbers are counted in parts of this size.
const PARTS: i128 = 10_i128.pow(PLACES);
const PLACES: u32 = 15;
const NANOS_A_SECOND: i128 = 1_000_000_000;
const NANOS_A_DAY: i128 = 86_400 * NANOS_A_SECOND;

/// The interval that a text is. A number alone counts `bare`.
///
/// # Errors
/// Why it is none, or one that is cut off.
pub(super) fn read(text: &str, bare: Option<IntervalUnit>) -> Result<IntervalMonthDayNano, Misread> {
    let mut sum = Sum::default();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(NO_INTERVAL);
    }
    while !rest.is_empty() {
        let (amount, after) = split(rest, |c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | ':'));
        let (unit, after_unit) = split(after.trim_start(), |c| c.is_ascii_alphabetic());
        rest = after_unit.trim_start();
        match unit {
            "" if amount.contains(':') => sum.add_time(amount)?,
            "" if rest.is_empty() => sum.add(number(amount)?, bare.ok_or(NO_UNIT)?)?,
            unit => sum.add(number(amount)?, IntervalUnit::from_str(unit).map_err(|_| NO_INTERVAL)?)?,
        }
    }
    sum.whole()
}

/// The interval as a text that Arrow reads.
pub(super) fn written(interval: IntervalMonthDayNano) -> String {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    format!("{months} months {days} days {} microseconds", nanoseconds / NANOS_A_MICRO)
}

/// The other way; `None` if it is too long.
pub(super) fn negated(interval: IntervalMonthDayNano) -> Option<IntervalMonthDayNano> {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    Some(IntervalMonthDayNano::new(months.checked_neg()?, days.checked_neg()?, nanoseconds.checked_neg()?))
}

fn split(text: &str, is_in: fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !is_in(c)).unwrap_or(text.len()))
}

/// How many parts a number is.
fn number(text: &str) -> Result<i128, Misread> {
    let (sign, digits) = signed(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return Err(NO_INTERVAL);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > PLACES as usize {
        return Err(TOO_SHORT);
    }
    let parts: i128 = format!("{whole}{fraction:0<15}").parse().map_err(|_| TOO_LONG)?;
    Ok(sign * parts)
}

fn signed(text: &str) -> (i128, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// The parts of an interval so far, and the units that it had.
#[derive(Default)]
struct Sum {
    months: i128,
    days: i128,
    nanos: i128,
    /// A bit for each.
    seen: u16,
}

impl Sum {
    fn add(&mut self, parts: i128, unit: IntervalUnit) -> Result<(), Misread> {
        if self.seen & unit as u16 != 0 {
            return Err(NO_INTERVAL);
        }
        let times = |factor: i128| parts.checked_mul(factor).ok_or(TOO_LONG);
        match unit {
            IntervalUnit::Century => self.add_years(times(100)?)?,
            IntervalUnit::Decade => self.add_years(times(10)?)?,
            IntervalUnit::Year => self.add_years(parts)?,
            IntervalUnit::Month => {
                self.months += parts / PARTS;
                self.add_days((parts % PARTS) * 30)?;
            }
            IntervalUnit::Week => self.add_days(times(7)?)?,
            IntervalUnit::Day => self.add_days(parts)?,
            IntervalUnit::Hour => self.add_nanos(times(3_600 * NANOS_A_SECOND)?)?,
            IntervalUnit::Minute => self.add_nanos(times(60 * NANOS_A_SECOND)?)?,
            IntervalUnit::Second => self.add_nanos(times(NANOS_A_SECOND)?)?,
            IntervalUnit::Millisecond => self.add_nanos(times(1_000_000)?)?,
            IntervalUnit::Microsecond => self.add_nanos(times(1_000)?)?,
            IntervalUnit::Nanosecond => self.add_nanos(parts)?,
        }
        self.seen |= unit as u16;
        Ok(())
    }

    fn add_years(&mut self, parts: i128) -> Result<(), Misread> {
        let months = parts.checked_mul(12).ok_or(TOO_LONG)?;
        if months % PARTS != 0 {
            return Err(PART_OF_MONTH);
        }
        self.months += months / PARTS;
        Ok(())
    }

    fn add_days(&mut self, parts: i128) -> Result<(), Misread> {
        self.days += parts / PARTS;
        self.add_nanos((parts % PARTS) * NANOS_A_DAY)
    }

    fn add_nanos(&mut self, parts: i128) -> Result<(), Misread> {
        if parts % PARTS != 0 {
            return Err(TOO_SHORT);
        }
        self.nanos += parts / PARTS;
        Ok(())
    }

    /// `02:30`, `-02:30:00.5`.
    fn add_time(&mut self, text: &str) -> Result<(), Misread> {
        let (sign, time) = signed(text);
        let fields: Vec<&str> = time.split(':').collect();
        let (hours, minutes, seconds) = match *fields {
            [hours, minutes] => (hours, minutes, "0"),
            [hours, minutes, seconds] => (hours, minutes, seconds),
            _ => return Err(NO_INTERVAL),
        };
        let is_plain = |field: &str| field.starts_with(|c: char| c.is_ascii_digit());
        let below_60 = |parts: i128| (parts < 60 * PARTS).then_some(parts).ok_or(NO_INTERVAL);
        if ![hours, minutes, seconds].into_iter().all(is_plain) || [hours, minutes].join("").contains('.') {
            return Err(NO_INTERVAL);
        }
        self.add(sign * number(hours)?, IntervalUnit::Hour)?;
        self.add(sign * below_60(number(minutes)?)?, IntervalUnit::Minute)?;
        self.add(sign * below_60(number(seconds)?)?, IntervalUnit::Second)
    }

    fn whole(self) -> Result<IntervalMonthDayNano, Misread> {
        let (months, days) = (i32::try_from(self.months), i32::try_from(self.days));
        let (Ok(months), Ok(days), Ok(nanos)) = (months, days, i64::try_from(self.nanos)) else {
            return Err(TOO_LONG);
        };
        if nanos % NANOS_A_MICRO != 0 {
            return Err(TOO_SHORT);
        }
        Ok(IntervalMonthDayNano::new(months, days, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_intervals_that_postgresql_reads() {
        const HOUR: i64 = 3_600_000_000_000;
        for (text, months, days, nanos) in [
            ("1 day 2 hours", 0, 1, 2 * HOUR),
            ("-1 day 2 hours", 0, -1, 2 * HOUR),
            ("1 day -2 hours", 0, 1, -2 * HOUR),
            ("1.25 month", 1, 7, 12 * HOUR),
            ("0.05 month", 0, 1, 12 * HOUR),
            ("-1.5 months", -1, -15, 0),
            ("1.5 years", 18, 0, 0),
            ("0.5 decade", 60, 0, 0),
            ("0.5 week", 0, 3, 12 * HOUR),
            ("1.5 days", 0, 1, 12 * HOUR),
            ("01:30:00", 0, 0, HOUR + HOUR / 2),
            ("1 day 02:30", 0, 1, 2 * HOUR + HOUR / 2),
            ("-1 day -02:30:00.5", 0, -1, -2 * HOUR - HOUR / 2 - 500_000_000),
            ("+1day2hours", 0, 1, 2 * HOUR),
            ("1 year\n2 mons", 14, 0, 0),
            (".5 hours", 0, 0, HOUR / 2),
            ("0.000001 seconds", 0, 0, 1_000),
        ] {
            let expected = IntervalMonthDayNano::new(months, days, nanos);
            assert_eq!(read(text, None), Ok(expected), "{text}");
            assert_eq!(read(&written(expected), None), Ok(expected), "{text}");
        }
        for (text, fault) in [
            ("", NO_INTERVAL),
            ("soon", NO_INTERVAL),
            ("1 day 1 day", NO_INTERVAL),
            ("1 2 days", NO_INTERVAL),
            ("1..5 days", NO_INTERVAL),
            ("1:60:00", NO_INTERVAL),
            ("1:2:3:4", NO_INTERVAL),
            ("1.5:30", NO_INTERVAL),
            ("3 fortnights", NO_INTERVAL),
            ("5", NO_UNIT),
            ("1.7 microseconds", TOO_SHORT),
            ("100 nanoseconds", TOO_SHORT),
            ("0.05 year", PART_OF_MONTH),
            ("3000000000 days", TOO_LONG),
            ("3000000000000 seconds", TOO_LONG),
        ] {
            assert_eq!(read(text, None), Err(fault), "{text}");
        }
        assert_eq!(read("5", Some(IntervalUnit::Second)), read("5 s", None));
        let longest = IntervalMonthDayNano::new(i32::MIN, 0, 0);
        assert_eq!(negated(longest), None);
    }
}
