//! The type of a column of text: the narrowest that says the same as every one of its values. What would read
//! differently when written back stays text, so `00123` keeps its zeros and a number of 21 digits its digits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use arrow::error::ArrowError;
use datafusion::common::arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};

/// Digits that a float holds exactly.
const FLOAT_DIGITS_EXACT: usize = 15;
/// Digits of a second's fraction that a timestamp keeps.
const FRACTION_DIGITS_MAX: usize = 6;

/// What a column of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextType {
    Boolean,
    Integer,
    Float,
    Date,
    /// Without a time zone.
    Timestamp,
    /// With `Z` or an offset such as `+02:00`; kept in UTC.
    TimestampUtc,
    Text,
}

/// From the narrowest to the widest.
const ALL: [TextType; 7] = [
    TextType::Boolean,
    TextType::Integer,
    TextType::Float,
    TextType::Date,
    TextType::Timestamp,
    TextType::TimestampUtc,
    TextType::Text,
];

/// What text in quotes may stand for, as in JSON, which writes numbers and booleans without.
const TEMPORAL: [TextType; 4] = [TextType::Date, TextType::Timestamp, TextType::TimestampUtc, TextType::Text];

impl TextType {
    /// The narrowest type that every value which is not NULL has; text where there is none.
    pub(super) fn infer(column: &StringArray) -> Self {
        Self::infer_among(&ALL, column)
    }

    /// The same for text that was in quotes: a date, a timestamp, or text.
    pub(super) fn infer_quoted(column: &StringArray) -> Self {
        Self::infer_among(&TEMPORAL, column)
    }

    fn infer_among(types: &[Self], column: &StringArray) -> Self {
        if column.null_count() == column.len() {
            return Self::Text;
        }
        let fits = |kind: &&Self| column.iter().flatten().all(|text| kind.accepts(text));
        types.iter().find(fits).copied().unwrap_or(Self::Text)
    }

    /// The type that [`TextType::arrow`] gives this Arrow type.
    pub(super) fn of(arrow: &DataType) -> Self {
        match arrow {
            DataType::Boolean => Self::Boolean,
            DataType::Int64 => Self::Integer,
            DataType::Float64 => Self::Float,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampUtc,
            _ => Self::Text,
        }
    }

    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Self::Text => DataType::Utf8,
        }
    }

    /// What a person calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Integer => "an integer",
            Self::Float => "a number",
            Self::Date => "a date (yyyy-mm-dd)",
            Self::Timestamp => "a timestamp (yyyy-mm-dd hh:mm:ss)",
            Self::TimestampUtc => "a timestamp with a time zone",
            Self::Text => "text",
        }
    }

    /// The column's values.
    ///
    /// # Errors
    /// The row of the first value that is not of this type.
    pub(super) fn parse(self, column: &StringArray) -> Result<ArrayRef, usize> {
        let strange =
            (0..column.len()).find(|row| column.is_valid(*row) && !self.accepts(column.value(*row)));
        if let Some(row) = strange {
            return Err(row);
        }
        let text: ArrayRef = Arc::new(column.clone());
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let values: Result<ArrayRef, ArrowError> = cast_with_options(&text, &self.arrow(), &options);
        let values = values.map_err(|_| 0_usize)?;
        // What a cast cannot read becomes NULL: a value out of the type's range.
        match (0..column.len()).find(|row| values.is_null(*row) && column.is_valid(*row)) {
            Some(row) => Err(row),
            None => Ok(values),
        }
    }

    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Boolean => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            Self::Integer => is_integer(text) && text.parse::<i64>().is_ok(),
            Self::Float => is_float(text),
            Self::Date => text.len() == 10 && Date32Type::parse(text).is_some(),
            Self::Timestamp => timestamp_zone(text) == Some(""),
            Self::TimestampUtc => timestamp_zone(text).is_some_and(|zone| !zone.is_empty()),
            Self::Text => true,
        }
    }
}

/// Digits without needless zeros, perhaps with a minus.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain && (digits == "0" || !digits.starts_with('0')) && text != "-0"
}

/// A decimal number without needless zeros in front; whole numbers only as far as a float holds them exactly.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let whole_end = unsigned.find(['.', 'e', 'E']);
    let whole = &unsigned[..whole_end.unwrap_or(unsigned.len())];
    if whole_end.is_none() {
        return is_integer(text) && whole.len() <= FLOAT_DIGITS_EXACT;
    }
    let characters = unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    characters && (whole.is_empty() || is_integer(whole)) && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// For `yyyy-mm-dd hh:mm:ss` (or with a `T`), perhaps with a fraction: what follows, empty or a time zone.
fn timestamp_zone(text: &str) -> Option<&str> {
    let (moment, rest) = text.split_at_checked(19)?;
    let separator = *moment.as_bytes().get(10)?;
    if separator != b' ' && separator != b'T' {
        return None;
    }
    let fraction =
        rest.strip_prefix('.').map_or(0, |digits| 1 + digits.bytes().take_while(u8::is_ascii_digit).count());
    if fraction == 1 || fraction > 1 + FRACTION_DIGITS_MAX {
        return None;
    }
    let zone = &rest[fraction..];
    let offset = |zone: &str| {
        let bytes = zone.as_bytes();
        bytes.len() == 6 && matches!(bytes[0], b'+' | b'-') && bytes[3] == b':'
    };
    let known = zone.is_empty() || zone == "Z" || offset(zone);
    (known && string_to_datetime(&chrono::Utc, text).is_ok()).then_some(zone)
}

/// A text column of a batch that was read as text.
pub(super) fn text_column(column: &ArrayRef) -> Option<&StringArray> {
    column.as_string_opt::<i32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(values: &[&str]) -> TextType {
        TextType::infer(&StringArray::from_iter(
            values.iter().map(|value| (!value.is_empty()).then_some(*value)),
        ))
    }

    #[test]
    fn the_narrowest_type_that_keeps_every_value() {
        assert_eq!(inferred(&["1", "", "-20", "0"]), TextType::Integer);
        assert_eq!(inferred(&["1", "2.5", "-.5", "1e3"]), TextType::Float);
        assert_eq!(inferred(&["true", "FALSE"]), TextType::Boolean);
        assert_eq!(inferred(&["2024-02-29"]), TextType::Date);
        assert_eq!(inferred(&["2024-02-29 10:00:00", "2024-02-29T10:00:00.123456"]), TextType::Timestamp);
        assert_eq!(inferred(&["9999-12-31 23:59:59.999999", "0001-01-01 00:00:00"]), TextType::Timestamp);
        assert_eq!(
            inferred(&["2024-02-29T10:00:00Z", "2024-02-29 10:00:00.5+02:00"]),
            TextType::TimestampUtc
        );
        assert_eq!(inferred(&["", ""]), TextType::Text);
    }

    #[test]
    fn what_would_change_stays_text() {
        for values in [
            &["00123"][..],
            &["+5"],
            &["-0"],
            &["1", "x"],
            &["007.5"],
            &["9223372036854775808"],
            &["1.5", "12345678901234567"],
            &["1e999"],
            &["NaN"],
            &["2023-02-29"],
            &["2024-02-29", "2024-02-29 10:00:00"],
            &["2024-02-29 10:00:00.1234567"],
            &["2024-02-29 10:00:00", "2024-02-29 10:00:00Z"],
            &["1_000"],
            &[" 1"],
        ] {
            assert_eq!(inferred(values), TextType::Text, "{values:?}");
        }
    }

    #[test]
    fn values_are_read_or_the_strange_row_is_named() {
        let column = StringArray::from(vec![Some("1"), None, Some("22")]);
        let values = TextType::Integer.parse(&column).unwrap();
        assert_eq!(
            values.as_primitive::<arrow::datatypes::Int64Type>().iter().collect::<Vec<_>>(),
            [Some(1), None, Some(22)]
        );
        assert_eq!(TextType::Integer.parse(&StringArray::from(vec!["1", "022"])), Err(1));
        let utc =
            TextType::TimestampUtc.parse(&StringArray::from(vec!["1970-01-01T02:00:00+02:00"])).unwrap();
        assert_eq!(utc.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), 0);
    }
}
