//! Texts that databases read and Arrow does not: a day with a time without seconds, and a number with an exponent as a DECIMAL.
//! Both are common in JSON.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, StringArray};
use arrow::compute::cast as arrow_cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use super::super::moments::of_values;

/// Exponents that are read: no DECIMAL has more digits.
const EXPONENT_MAX: u32 = 76;

/// How texts are written for Arrow.
type Rewrite = fn(&str) -> Option<String>;

/// How texts are written for a cast to this type.
fn rewrite(to: &DataType) -> Option<Rewrite> {
    match to {
        DataType::Timestamp(..) => Some(with_seconds),
        of if of.is_decimal() => Some(without_exponent),
        _ => None,
    }
}

/// Whether it is a cast whose texts are looked at.
pub(super) fn is_ours(from: &DataType, to: &DataType) -> bool {
    from.is_string() && rewrite(to).is_some()
}

/// The texts as Arrow reads them as this type.
pub(super) fn readable(value: &ColumnarValue, to: &DataType) -> Result<ColumnarValue> {
    let Some(rewrite) = rewrite(to) else { return Ok(value.clone()) };
    of_values(value, &|texts| rewritten(texts, rewrite))
}

/// Most texts are as they should be; then the array is, too.
fn rewritten(texts: &ArrayRef, rewrite: Rewrite) -> Result<ArrayRef> {
    let read = arrow_cast(texts, &DataType::Utf8)?;
    let read = read.as_string::<i32>();
    if !read.iter().flatten().any(|text| rewrite(text).is_some()) {
        return Ok(Arc::clone(texts));
    }
    let one = |text| rewrite(text).map_or(Cow::Borrowed(text), Cow::Owned);
    let texts: StringArray = read.iter().map(|text| text.map(one)).collect();
    Ok(Arc::new(texts))
}

/// `2024-07-01T12:00Z` as `2024-07-01T12:00:00Z`; `None` for all other texts.
pub(in crate::sql) fn with_seconds(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digits =
        |from: usize| bytes.get(from..from + 2).is_some_and(|two| two.iter().all(u8::is_ascii_digit));
    let is_time = matches!(bytes.get(10), Some(b'T' | b't' | b' '))
        && digits(11)
        && bytes.get(13) == Some(&b':')
        && digits(14);
    let ends = matches!(bytes.get(16), None | Some(b'Z' | b'z' | b'+' | b'-' | b' '));
    let (minutes, zone) = (is_time && ends).then(|| text.split_at_checked(16))??;
    Some(format!("{minutes}:00{zone}"))
}

/// `1.25e1` as `12.5`; `None` for a text without an exponent, or with more than numbers have.
fn without_exponent(text: &str) -> Option<String> {
    let (number, exponent) = text.split_once(['e', 'E'])?;
    let (sign, digits) = match number.strip_prefix(['-', '+']) {
        Some(digits) => number.split_at(number.len() - digits.len()),
        None => ("", number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let exponent: i32 = exponent.parse().ok()?;
    if all.is_empty()
        || !all.bytes().all(|digit| digit.is_ascii_digit())
        || exponent.unsigned_abs() > EXPONENT_MAX
    {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()? + exponent;
    Some(match usize::try_from(point) {
        Ok(point) if point >= all.len() => format!("{sign}{all:0<point$}"),
        Ok(point) => format!("{sign}0{}.{}", &all[..point], &all[point..]),
        Err(_) => format!("{sign}0.{}{all}", "0".repeat(point.unsigned_abs() as usize)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_added_where_only_they_lack() {
        for (text, read) in [
            ("2024-07-01T12:00", Some("2024-07-01T12:00:00")),
            ("2024-07-01 12:00", Some("2024-07-01 12:00:00")),
            ("2024-07-01T12:00Z", Some("2024-07-01T12:00:00Z")),
            ("2024-07-01 12:00+02:00", Some("2024-07-01 12:00:00+02:00")),
            ("2024-07-01 12:00 +02:00", Some("2024-07-01 12:00:00 +02:00")),
            ("2024-07-01T12:00:30", None),
            ("2024-07-01", None),
            ("2024-07-01 1200", None),
            ("2024-07-01 12:0", None),
            ("äöü4-07-1 12:00x", None),
        ] {
            assert_eq!(with_seconds(text).as_deref(), read, "{text}");
        }
    }

    #[test]
    fn exponents_move_the_point() {
        for (text, read) in [
            ("1e2", Some("100")),
            ("1E+3", Some("1000")),
            ("1.25e1", Some("012.5")),
            ("-1.25e-3", Some("-0.00125")),
            ("12.5e-1", Some("01.25")),
            ("+125e-3", Some("+0.125")),
            (".5e1", Some("5")),
            ("0E-10", Some("0.0000000000")),
            ("12.5", None),
            ("e5", None),
            ("1e", None),
            ("1e400", None),
            ("one", None),
            ("1x2e5", None),
        ] {
            assert_eq!(without_exponent(text).as_deref(), read, "{text}");
        }
    }
}
