//! How the values of an Arrow column become those of a table's column: decided once from the two types, then
//! checked value by value before any statement is sent. What a column would round, cut or pad quietly is refused,
//! but for one rule: times are cut (never rounded) to the digits of the second that the column has.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArrayType, StringArrayType};
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;
use chrono::{DateTime, NaiveDate};

use super::spelling::is_place;
use super::value::{self, MICROS_A_DAY, MICROS_A_SECOND, Value};
use super::{ColumnType, Dialect, json};
use crate::database::column::DOUBLE_DIGITS_MAX;
use crate::diagnostic::Finding;

/// A way from one Arrow type into one column.
#[derive(Clone, Debug)]
pub struct Fit {
    way: Way,
    /// What arrays are cast to first, where that loses nothing and saves a case.
    prepared: Option<DataType>,
    column: ColumnType,
    is_nullable: bool,
    dialect: Dialect,
}

/// A value that the column cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The row in the array.
    pub row: usize,
    pub reason: String,
}

/// What the prepared array is, and what becomes of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Null,
    Boolean,
    Int,
    UInt,
    Float,
    Double,
    /// Digits behind the point, as the column has them.
    Decimal,
    Text,
    Binary,
    Days,
    /// Days into a column that has the time too.
    Midnight,
    /// Microseconds of an instant.
    Instant,
    TimeOfDay,
    /// Microseconds as a number.
    Span,
    Interval,
    Json,
}

const REASON_VALUE_CHARACTERS_MAX: usize = 60;
/// 0001-01-01 and 9999-12-31, in days since 1970-01-01.
const DAY_MIN: i64 = -719_162;
const DAY_MAX: i64 = 2_932_896;
/// TIMESTAMP: 1970-01-01 00:00:01 to 2038-01-19 03:14:07.999999.
const TIMESTAMP_RANGE: Range<i64> = MICROS_A_SECOND..2_147_483_648 * MICROS_A_SECOND;

impl Fit {
    /// Whether the column takes its values as text.
    pub fn can_load(&self) -> bool {
        !matches!(self.column, ColumnType::Bit { .. } | ColumnType::Other(_) | ColumnType::Any)
    }

    /// Whether the column holds bytes.
    pub fn is_binary(&self) -> bool {
        matches!(self.column, ColumnType::Binary { .. })
    }

    /// The way from `arrow` into a column; `is_nullable` is the column's.
    ///
    /// # Errors
    /// There is none; the error says why, with a hint.
    pub fn new(
        arrow: &DataType,
        column: &ColumnType,
        is_nullable: bool,
        dialect: Dialect,
    ) -> Result<Self, Finding> {
        use ColumnType as C;
        use DataType as A;
        let unpacked = unpacked(arrow);
        let prepared = prepared(unpacked);
        let is_any = matches!(column, C::Any);
        let is_text = matches!(column, C::Text { .. } | C::Char { .. });
        let is_numeric = matches!(column, C::Numeric { .. });
        let is_number = matches!(column, C::Integer { .. } | C::Boolean | C::Bit { .. } | C::Year)
            || is_numeric
            || is_any;
        let is_instant = matches!(column, C::DateTime { .. } | C::Timestamp { .. }) || is_any;
        let way = match (unpacked, &prepared) {
            (A::Null, _) if !matches!(column, C::Other(_)) => Some(Way::Null),
            (A::Boolean, _) if is_number && *column != C::Year => Some(Way::Boolean),
            (A::Duration(_), _) => (is_number && *column != C::Year).then_some(Way::Span),
            (_, A::Int64) if is_number || matches!(column, C::Decimal { .. } | C::Float | C::Double) => {
                Some(Way::Int)
            }
            (_, A::UInt64) if is_number || matches!(column, C::Decimal { .. } | C::Float | C::Double) => {
                Some(Way::UInt)
            }
            (_, A::Float32) if is_numeric || is_any || matches!(column, C::Float | C::Double) => {
                Some(Way::Float)
            }
            (_, A::Float64) if is_numeric || is_any || matches!(column, C::Double) => Some(Way::Double),
            (_, A::Decimal128(p, s) | A::Decimal256(p, s)) => {
                let is_whole = *s == 0 && matches!(column, C::Integer { .. } | C::Boolean);
                let is_held = match column {
                    C::Numeric { decimal } => decimal.map_or(*p, |(p, _)| p) <= DOUBLE_DIGITS_MAX,
                    C::Decimal { .. } | C::Any => true,
                    _ => is_whole,
                };
                is_held.then_some(Way::Decimal)
            }
            (A::Utf8 | A::LargeUtf8 | A::Utf8View, _)
                if is_text || is_any || matches!(column, C::Json | C::Words { .. } | C::Spelled(_)) =>
            {
                Some(Way::Text)
            }
            (A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_), _)
                if is_any || matches!(column, C::Binary { .. }) =>
            {
                Some(Way::Binary)
            }
            (A::Date32 | A::Date64, _) if *column == C::Date || is_any => Some(Way::Days),
            (A::Date32 | A::Date64, _) if is_instant => Some(Way::Midnight),
            (A::Timestamp(_, _), _) if is_instant => Some(Way::Instant),
            (A::Time32(_) | A::Time64(_), _) if is_any || matches!(column, C::Time { .. }) => {
                Some(Way::TimeOfDay)
            }
            (A::Interval(_), _) if is_text || is_any => Some(Way::Interval),
            (nested, _) if nested.is_nested() && (is_text || is_any || *column == C::Json) => Some(Way::Json),
            _ => None,
        };
        let Some(way) = way else {
            let message = format!("cannot take {arrow} exactly");
            return Err(match ColumnType::for_arrow(arrow, dialect, None) {
                Ok(place) if unpacked.is_decimal() && matches!(column, C::Float | C::Double) => {
                    Finding::new(message).with_hint(format!(
                        "a number with a point is a DECIMAL: CAST it to DOUBLE in the view, or change the column to {}",
                        place.ddl(dialect)
                    ))
                }
                Ok(place) => Finding::new(message)
                    .with_hint(format!("its place is {}, or CAST it in the view", place.ddl(dialect))),
                Err(found) => found.within(message),
            });
        };
        let prepared = (prepared != *arrow).then_some(prepared);
        Ok(Self { way, prepared, column: column.clone(), is_nullable, dialect })
    }

    /// The array as [`Fit::each`] wants it: without dictionaries and runs, integers of 64 bits. Most arrays are
    /// shared, not copied.
    ///
    /// # Errors
    /// None for arrays of the Arrow type the fit was made for.
    pub fn prepare(&self, array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match &self.prepared {
            Some(prepared) => cast(array, prepared),
            None => Ok(ArrayRef::clone(array)),
        }
    }

    /// Gives `put` the value of each row of a prepared array, by the row's place in the array.
    ///
    /// # Errors
    /// The first value that the column cannot hold.
    pub fn each<'a>(
        &self,
        array: &'a ArrayRef,
        rows: Range<usize>,
        put: &mut dyn FnMut(usize, Value<'a>),
    ) -> Result<(), Misfit> {
        let array: &'a dyn Array = array.as_ref();
        let nulls = array.logical_nulls();
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let mut each = |convert: &mut dyn FnMut(usize) -> Result<Value<'a>, String>| {
            for row in rows.clone() {
                let value = match is_null(row) {
                    true if self.is_nullable => Ok(Value::Null),
                    true => Err("NULL in a column that is NOT NULL".to_string()),
                    false => convert(row),
                };
                put(row, value.map_err(|reason| Misfit { row, reason })?);
            }
            Ok(())
        };
        match self.way {
            Way::Null => each(&mut |_| Ok(Value::Null)),
            Way::Boolean => {
                let array = array.as_boolean();
                each(&mut |row| Ok(Value::Int(i64::from(array.value(row)))))
            }
            Way::Int => {
                let array = array.as_primitive::<Int64Type>();
                each(&mut |row| self.integer(i128::from(array.value(row))))
            }
            Way::UInt => {
                let array = array.as_primitive::<UInt64Type>();
                each(&mut |row| self.integer(i128::from(array.value(row))))
            }
            Way::Float => {
                let array = array.as_primitive::<Float32Type>();
                let is_float = self.column == ColumnType::Float && self.dialect.is_mysql();
                each(&mut |row| match finite(f64::from(array.value(row)))? {
                    _ if is_float => Ok(Value::Float(array.value(row))),
                    double => Ok(Value::Double(double)),
                })
            }
            Way::Double => {
                let array = array.as_primitive::<Float64Type>();
                each(&mut |row| finite(array.value(row)).map(Value::Double))
            }
            Way::Decimal => match array.data_type() {
                DataType::Decimal256(_, _) => {
                    let array = array.as_primitive::<Decimal256Type>();
                    each(&mut |row| self.decimal(array.value_as_string(row)))
                }
                _ => {
                    let array = array.as_primitive::<Decimal128Type>();
                    each(&mut |row| self.decimal(array.value_as_string(row)))
                }
            },
            Way::Text => match array.data_type() {
                DataType::LargeUtf8 => self.texts(array.as_string::<i64>(), &mut each),
                DataType::Utf8View => self.texts(array.as_string_view(), &mut each),
                _ => self.texts(array.as_string::<i32>(), &mut each),
            },
            Way::Binary => match array.data_type() {
                DataType::LargeBinary => self.binaries(array.as_binary::<i64>(), &mut each),
                DataType::BinaryView => self.binaries(array.as_binary_view(), &mut each),
                DataType::FixedSizeBinary(_) => self.binaries(array.as_fixed_size_binary(), &mut each),
                _ => self.binaries(array.as_binary::<i32>(), &mut each),
            },
            Way::Days => {
                let days = days_of(array);
                each(&mut |row| Ok(Value::Date(self.day(days(row))? as i32)))
            }
            Way::Midnight => {
                let days = days_of(array);
                each(&mut |row| self.instant(i128::from(self.day(days(row))?) * i128::from(MICROS_A_DAY)))
            }
            Way::Instant => {
                let micros = micros_of(array);
                each(&mut |row| self.instant(micros(row)))
            }
            Way::TimeOfDay => {
                let micros = micros_of(array);
                each(&mut |row| self.time_of_day(micros(row)))
            }
            Way::Span => {
                let micros = micros_of(array);
                each(&mut |row| self.integer(micros(row)))
            }
            Way::Interval => each(&mut |row| self.text(json::interval_text(array, row))),
            Way::Json => each(&mut |row| {
                let mut text = String::new();
                json::write(&mut text, array, row).map_err(|error| error.to_string())?;
                self.text(text)
            }),
        }
    }

    fn texts<'a, S: StringArrayType<'a>>(&self, array: S, each: &mut EachRow<'a, '_>) -> Result<(), Misfit> {
        each(&mut |row| self.text(array.value(row)))
    }

    fn binaries<'a, B: BinaryArrayType<'a>>(
        &self,
        array: B,
        each: &mut EachRow<'a, '_>,
    ) -> Result<(), Misfit> {
        let ColumnType::Binary { bytes_max: Some(max), is_fixed } = self.column else {
            return each(&mut |row| Ok(Value::bytes(array.value(row))));
        };
        each(&mut |row| {
            let bytes = array.value(row);
            let length = bytes.len() as u64;
            if length > max || (is_fixed && length < max) {
                let expected = if is_fixed { "exactly" } else { "at most" };
                return Err(format!("{length} bytes, the column takes {expected} {max}"));
            }
            Ok(Value::bytes(bytes))
        })
    }

    fn text<'a>(&self, text: impl Into<std::borrow::Cow<'a, str>>) -> Result<Value<'a>, String> {
        let text = text.into();
        let limits = match self.column {
            ColumnType::Text { characters_max, bytes_max } => Some((characters_max, bytes_max)),
            // The server would take it for the place of a word. It says itself if another text is none.
            ColumnType::Words { ref words, .. } if is_place(words, &text) => {
                return Err(format!("{} is none of the column's words", shorten(&text)));
            }
            ColumnType::Spelled(spelling) => {
                let normal = spelling.normal(&text);
                return normal.map(Value::text).ok_or_else(|| {
                    let name = spelling.name();
                    format!("{} is no {name}", shorten(&text))
                });
            }
            ColumnType::Char { characters_max } if text.ends_with(' ') => {
                let text = shorten(&text);
                return Err(format!("CHAR({characters_max}) drops the spaces at the end of {text}"));
            }
            ColumnType::Char { characters_max } => Some((Some(characters_max), None)),
            _ => None,
        };
        if let Some((characters_max, bytes_max)) = limits {
            // A text has no more characters than bytes, so short ones need no counting.
            if let Some(max) = characters_max
                && self.dialect.is_mysql()
                && text.len() as u64 > max
                && text.chars().count() as u64 > max
            {
                let found = text.chars().count();
                return Err(format!(
                    "{found} characters, the column takes at most {max}: {}",
                    shorten(&text)
                ));
            }
            if let Some(max) = bytes_max
                && text.len() as u64 > max
            {
                return Err(format!(
                    "{} bytes, the column takes at most {max}: {}",
                    text.len(),
                    shorten(&text)
                ));
            }
        }
        Ok(Value::Text(text))
    }

    fn integer<'a>(&self, value: i128) -> Result<Value<'a>, String> {
        let (min, max) = match self.column {
            ColumnType::Boolean if self.dialect.is_mysql() => (-128, 127),
            ColumnType::Boolean => (0, 1),
            ColumnType::Integer { bytes, unsigned: true } => (0, (1 << (bytes * 8)) - 1),
            ColumnType::Integer { bytes, .. } => (-(1 << (bytes * 8 - 1)), (1 << (bytes * 8 - 1)) - 1),
            ColumnType::Bit { bits } => (0, (1 << bits) - 1),
            ColumnType::Year => (1901, 2155),
            ColumnType::Float => (-(1 << 24), 1 << 24),
            ColumnType::Double => (-(1 << 53), 1 << 53),
            ColumnType::Decimal { .. } => return self.decimal(value.to_string()),
            ColumnType::Any if self.dialect.is_mysql() => (i128::from(i64::MIN), i128::from(u64::MAX)),
            _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
        };
        if value < min || value > max {
            return Err(format!("{value} is out of range, {} takes {min} to {max}", self.column_name()));
        }
        match (&self.column, i64::try_from(value)) {
            (ColumnType::Float | ColumnType::Double, _) => Ok(Value::Double(value as f64)),
            (_, Ok(value)) => Ok(Value::Int(value)),
            // Within 0 to u64::MAX: the range above was unsigned.
            (_, Err(_)) => Ok(Value::UInt(value as u64)),
        }
    }

    /// `text`: digits, perhaps with a sign and a point, as Arrow writes decimals.
    fn decimal<'a>(&self, text: String) -> Result<Value<'a>, String> {
        let (precision, scale) = match self.column {
            ColumnType::Decimal { precision, scale } => (usize::from(precision), usize::from(scale)),
            ColumnType::Numeric { decimal: Some((precision, scale)) } => (precision.into(), scale.into()),
            ColumnType::Integer { .. } | ColumnType::Boolean => {
                let value = text.parse().map_err(|_| format!("{} is out of range", shorten(&text)))?;
                return self.integer(value);
            }
            _ => return Ok(Value::text(text)),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let needed = fraction.trim_end_matches('0').len();
        let digits = whole.trim_start_matches('-').trim_start_matches('0').len();
        if needed > scale || digits + scale > precision {
            let (found, place, most) = match needed > scale {
                true => (needed, "after", scale),
                false => (digits, "before", precision - scale),
            };
            return Err(format!(
                "{text} does not fit DECIMAL({precision},{scale}): it has {found} digits {place} the point, \
                 the column takes {most}"
            ));
        }
        let mut exact = String::with_capacity(whole.len() + scale + 1);
        exact.push_str(whole);
        if scale > 0 {
            exact.push('.');
            exact.push_str(&fraction[..fraction.len().min(scale)]);
            exact.extend(std::iter::repeat_n('0', scale.saturating_sub(fraction.len())));
        }
        Ok(Value::text(exact))
    }

    fn instant<'a>(&self, micros: i128) -> Result<Value<'a>, String> {
        let in_calendar = i64::try_from(micros)
            .ok()
            .filter(|micros| (DAY_MIN..=DAY_MAX).contains(&micros.div_euclid(MICROS_A_DAY)));
        let micros = in_calendar.ok_or_else(|| {
            let moment = i64::try_from(micros).ok().and_then(DateTime::from_timestamp_micros);
            let text = match moment {
                Some(moment) => moment.format("%Y-%m-%d %H:%M:%S%.f").to_string(),
                None => format!("{micros} microseconds since 1970"),
            };
            let name = self.column_name();
            format!("{} is out of range, {name} takes the years 1 to 9999", text.trim_start_matches('+'))
        })?;
        let cut = match self.column {
            ColumnType::DateTime { fraction } | ColumnType::Timestamp { fraction } => cut(micros, fraction),
            _ => micros,
        };
        if matches!(self.column, ColumnType::Timestamp { .. }) && !TIMESTAMP_RANGE.contains(&cut) {
            let text = value::date_time_text(micros).unwrap_or_default();
            return Err(format!(
                "{text} is out of range, TIMESTAMP takes 1970-01-01 00:00:01 to 2038-01-19 03:14:07"
            ));
        }
        Ok(Value::DateTime(cut))
    }

    fn day(&self, days: i64) -> Result<i64, String> {
        if (DAY_MIN..=DAY_MAX).contains(&days) {
            return Ok(days);
        }
        let date = i32::try_from(days).ok().and_then(NaiveDate::from_epoch_days);
        let text = date.map_or_else(|| format!("day {days} since 1970"), |date| date.to_string());
        let name = self.column_name();
        Err(format!("{} is out of range, {name} takes the years 1 to 9999", text.trim_start_matches('+')))
    }

    /// Its type, for messages.
    fn column_name(&self) -> String {
        match &self.column {
            ColumnType::Any => "the column".to_owned(),
            column => column.ddl(self.dialect),
        }
    }

    fn time_of_day<'a>(&self, micros: i128) -> Result<Value<'a>, String> {
        let in_day = i64::try_from(micros).ok().filter(|micros| (0..MICROS_A_DAY).contains(micros));
        let micros = in_day.ok_or_else(|| format!("{micros} microseconds is no time of day"))?;
        Ok(Value::Time(match self.column {
            ColumnType::Time { fraction } => cut(micros, fraction),
            _ => micros,
        }))
    }
}

/// Runs over the rows with a conversion of one.
type EachRow<'a, 'e> =
    dyn FnMut(&mut dyn FnMut(usize) -> Result<Value<'a>, String>) -> Result<(), Misfit> + 'e;

/// At most so much of a value as a reason should show.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(REASON_VALUE_CHARACTERS_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The type of the values, seen through dictionaries and runs.
fn unpacked(arrow: &DataType) -> &DataType {
    match arrow {
        DataType::Dictionary(_, value) => unpacked(value),
        DataType::RunEndEncoded(_, values) => unpacked(values.data_type()),
        other => other,
    }
}

fn prepared(unpacked: &DataType) -> DataType {
    use DataType as A;
    match unpacked {
        A::Int8 | A::Int16 | A::Int32 => A::Int64,
        A::UInt8 | A::UInt16 | A::UInt32 => A::UInt64,
        A::Float16 => A::Float32,
        A::Decimal32(precision, scale) | A::Decimal64(precision, scale) => A::Decimal128(*precision, *scale),
        other => other.clone(),
    }
}

fn finite(value: f64) -> Result<f64, String> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(format!("{value} is no number of SQL")),
    }
}

/// Drops the digits of the second behind `fraction`, towards the past.
fn cut(micros: i64, fraction: u8) -> i64 {
    let step = 10_i64.pow(u32::from(6 - fraction.min(6)));
    micros.div_euclid(step) * step
}

fn days_of<'a>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> i64 + 'a> {
    const MILLIS_A_DAY: i64 = 86_400_000;
    match array.data_type() {
        DataType::Date64 => {
            let array = array.as_primitive::<Date64Type>();
            Box::new(|row| array.value(row).div_euclid(MILLIS_A_DAY))
        }
        _ => {
            let array = array.as_primitive::<Date32Type>();
            Box::new(|row| i64::from(array.value(row)))
        }
    }
}

/// Microseconds of times, timestamps and durations of any unit; nanoseconds are cut towards the past.
fn micros_of<'a>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> i128 + 'a> {
    use DataType as A;
    macro_rules! micros {
        ($type:ty, $unit:expr) => {{
            let array = array.as_primitive::<$type>();
            let (times, by): (i128, i128) = match $unit {
                TimeUnit::Second => (1_000_000, 1),
                TimeUnit::Millisecond => (1_000, 1),
                TimeUnit::Microsecond => (1, 1),
                TimeUnit::Nanosecond => (1, 1_000),
            };
            Box::new(move |row| (i128::from(array.value(row)) * times).div_euclid(by))
        }};
    }
    match array.data_type() {
        A::Time32(TimeUnit::Second) => micros!(Time32SecondType, TimeUnit::Second),
        A::Time32(_) => micros!(Time32MillisecondType, TimeUnit::Millisecond),
        A::Time64(TimeUnit::Microsecond) => micros!(Time64MicrosecondType, TimeUnit::Microsecond),
        A::Time64(_) => micros!(Time64NanosecondType, TimeUnit::Nanosecond),
        A::Timestamp(TimeUnit::Second, _) => micros!(TimestampSecondType, TimeUnit::Second),
        A::Timestamp(TimeUnit::Millisecond, _) => micros!(TimestampMillisecondType, TimeUnit::Millisecond),
        A::Timestamp(TimeUnit::Microsecond, _) => micros!(TimestampMicrosecondType, TimeUnit::Microsecond),
        A::Timestamp(TimeUnit::Nanosecond, _) => micros!(TimestampNanosecondType, TimeUnit::Nanosecond),
        A::Duration(TimeUnit::Second) => micros!(DurationSecondType, TimeUnit::Second),
        A::Duration(TimeUnit::Millisecond) => micros!(DurationMillisecondType, TimeUnit::Millisecond),
        A::Duration(TimeUnit::Microsecond) => micros!(DurationMicrosecondType, TimeUnit::Microsecond),
        _ => micros!(DurationNanosecondType, TimeUnit::Nanosecond),
    }
}

#[cfg(test)]
mod tests;
