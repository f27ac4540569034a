//! How people write Avro's logical types in JSON, read exactly or not at all: decimals, dates, times, timestamps,
//! uuids. Each function gives the value Avro carries, or what it expected instead.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// One day, in seconds.
const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOS: i64 = 1_000_000_000;
/// Exponents beyond this are no amounts: `1e400`.
const EXPONENT_MAX: i64 = 100;

/// Days since the epoch, of `yyyy-mm-dd`.
pub(super) fn date(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Units since midnight, of `hh:mm:ss[.ffffff]`; `None` too where the text is finer than the unit.
pub(super) fn time(text: &str, unit_nanos: i64) -> Option<i64> {
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").ok()?;
    let nanos = i64::from(time.nanosecond());
    let total = i64::from(time.num_seconds_from_midnight()) * SECOND_NANOS + nanos;
    (nanos < SECOND_NANOS && total % unit_nanos == 0).then_some(total / unit_nanos)
}

/// Units since midnight that are a time of day.
pub(super) fn is_time_of_day(value: i64, unit_nanos: i64) -> bool {
    (0..DAY_SECONDS * (SECOND_NANOS / unit_nanos)).contains(&value)
}

/// Units since the epoch, of RFC 3339 or of `yyyy-mm-dd hh:mm:ss[.ffffff]`, which is UTC.
pub(super) fn timestamp(text: &str, unit_nanos: i64) -> Option<i64> {
    match DateTime::parse_from_rfc3339(text) {
        Ok(zoned) => units(zoned.naive_utc(), unit_nanos),
        // RFC 3339 has four digits of a year: `+10000-01-01T00:00:00Z` has more.
        Err(_) => local_timestamp(text.strip_suffix('Z').unwrap_or(text), unit_nanos),
    }
}

/// Units since the epoch in no time zone, of `yyyy-mm-dd hh:mm:ss[.ffffff]`, with a space or a `T`.
pub(super) fn local_timestamp(text: &str, unit_nanos: i64) -> Option<i64> {
    let parsed = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"));
    units(parsed.ok()?, unit_nanos)
}

fn units(time: NaiveDateTime, unit_nanos: i64) -> Option<i64> {
    let time = time.and_utc();
    let nanos = i64::from(time.timestamp_subsec_nanos());
    if nanos >= SECOND_NANOS || nanos % unit_nanos != 0 {
        return None;
    }
    let seconds = i128::from(time.timestamp()) * i128::from(SECOND_NANOS / unit_nanos);
    i64::try_from(seconds + i128::from(nanos / unit_nanos)).ok()
}

/// Months, days and milliseconds of an ISO 8601 duration of years, months, days and seconds: `P1Y2M3DT4.567S`.
pub(super) fn duration(text: &str) -> Option<[u32; 3]> {
    let text = text.strip_prefix('P')?;
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let (years, rest) = amount(date, 'Y')?;
    let (months, rest) = amount(rest, 'M')?;
    let (days, rest) = amount(rest, 'D')?;
    let millis = match time.strip_suffix('S') {
        None => (time.is_empty() && !text.contains('T') && !text.is_empty()).then_some(0)?,
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let is_exact = fraction.trim_end_matches('0').len() <= 3;
            let fraction = format!("{fraction:0<3}").get(..3)?.parse::<u32>().ok().filter(|_| is_exact)?;
            whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(fraction)?
        }
    };
    let months = years.checked_mul(12)?.checked_add(months)?;
    rest.is_empty().then_some([months, days, millis])
}

/// The amount before a unit, 0 if the unit is absent, and what follows it.
fn amount(text: &str, unit: char) -> Option<(u32, &str)> {
    match text.split_once(unit) {
        None => Some((0, text)),
        Some((amount, rest)) => Some((amount.parse().ok()?, rest)),
    }
}

/// The sixteen bytes of a uuid written in the form of RFC 4122, `8-4-4-4-12` hexadecimal digits in any case.
pub(crate) fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut out = [0; 16];
    if text.len() != 36 {
        return None;
    }
    let mut digits = 0;
    for (index, &byte) in text.iter().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = (byte as char).to_digit(16)? as u8;
        out[digits / 2] = out[digits / 2] << 4 | digit;
        digits += 1;
    }
    Some(out)
}

/// Why a text is not the decimal asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotDecimal {
    NotNumber,
    Scale,
    Precision,
}

/// The unscaled value of a decimal as two's complement, big-endian, in the fewest bytes.
pub(super) fn decimal(text: &str, precision: u8, scale: u8) -> Result<Vec<u8>, NotDecimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| NotDecimal::NotNumber)?),
    };
    if exponent > EXPONENT_MAX {
        return Err(NotDecimal::Precision);
    }
    if exponent < -EXPONENT_MAX {
        return Err(NotDecimal::Scale);
    }
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return Err(NotDecimal::NotNumber);
    }
    let all = format!("{whole}{fraction}");
    let mut digits = all.trim_start_matches('0').to_owned();
    // What the last digit is worth: 10^-places.
    let mut places = fraction.len() as i64 - exponent;
    while places > i64::from(scale) && digits.ends_with('0') {
        digits.pop();
        places -= 1;
    }
    if digits.is_empty() {
        return Ok(vec![0]);
    }
    if places > i64::from(scale) {
        return Err(NotDecimal::Scale);
    }
    let zeros = (i64::from(scale) - places) as usize;
    if digits.len() + zeros > usize::from(precision) {
        return Err(NotDecimal::Precision);
    }
    digits.extend(std::iter::repeat_n('0', zeros));
    Ok(twos_complement(digits.as_bytes(), negative))
}

/// A whole number of 64 bits, in any form that a decimal may have: `5`, `5.0`, `50e-1`.
pub(super) fn long(text: &str) -> Result<i64, NotDecimal> {
    const DIGITS_MAX: u8 = 19;
    let bytes = decimal(text, DIGITS_MAX, 0)?;
    if bytes.len() > size_of::<i64>() {
        return Err(NotDecimal::Precision);
    }
    let sign: i64 = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    Ok(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
}

fn twos_complement(digits: &[u8], negative: bool) -> Vec<u8> {
    // Little-endian while it is made.
    let mut bytes: Vec<u8> = Vec::with_capacity(digits.len() / 2 + 1);
    for digit in digits {
        let mut carry = u16::from(digit - b'0');
        for byte in &mut bytes {
            let value = u16::from(*byte) * 10 + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.push(0);
    if negative {
        let mut carry = true;
        for byte in &mut bytes {
            let (value, overflow) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (value, overflow);
        }
    }
    let sign = if negative { 0xff } else { 0 };
    while let [.., before, last] = bytes[..] {
        if last != sign || (before ^ sign) & 0x80 != 0 {
            break;
        }
        bytes.pop();
    }
    bytes.reverse();
    bytes
}
