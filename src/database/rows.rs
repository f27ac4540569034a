//! Rows that a database gave, as Arrow: one builder a column, chosen by the column's type. A value that its
//! Arrow type cannot hold is an error that names the column, never a NULL or a rounded number.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder,
    Float32Builder, Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, RecordBatch,
    StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder,
    UInt32Builder, UInt64Builder,
};
use arrow::compute::kernels::cast_utils::parse_decimal;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, SchemaRef, TimeUnit};

use super::fit::shorten;
use super::value::{self, Value};
use crate::diagnostic::Finding;

/// Collects rows of one schema into record batches.
pub(crate) struct RowsBuilder {
    schema: SchemaRef,
    columns: Vec<ColumnBuilder>,
    rows: usize,
}

enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt8(UInt8Builder),
    UInt16(UInt16Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Instant(TimestampMicrosecondBuilder),
}

impl RowsBuilder {
    /// A builder for the types that [`super::ColumnType::arrow`] gives.
    pub fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().iter().map(|field| ColumnBuilder::new(field.data_type())).collect();
        Self { schema, columns, rows: 0 }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds one row, a value for each column.
    ///
    /// # Errors
    /// The column and the value that does not fit.
    pub fn push(&mut self, row: &[Value<'_>]) -> Result<(), Finding> {
        for (index, (builder, value)) in self.columns.iter_mut().zip(row).enumerate() {
            if builder.push(value).is_none() {
                let field = self.schema.field(index);
                let message = format!(
                    "column `{}` holds {}, which is no {}",
                    field.name(),
                    shorten(&format!("{value:?}")),
                    field.data_type()
                );
                return Err(Finding::new(message).with_hint("CAST it in a `query`"));
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows so far, and an empty builder.
    pub fn finish(&mut self) -> Result<RecordBatch, String> {
        self.rows = 0;
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(|error| error.to_string())
    }
}

impl ColumnBuilder {
    fn new(arrow: &DataType) -> Self {
        use DataType as A;
        match arrow {
            A::Boolean => Self::Boolean(BooleanBuilder::new()),
            A::Int8 => Self::Int8(Int8Builder::new()),
            A::Int16 => Self::Int16(Int16Builder::new()),
            A::Int32 => Self::Int32(Int32Builder::new()),
            A::Int64 => Self::Int64(Int64Builder::new()),
            A::UInt8 => Self::UInt8(UInt8Builder::new()),
            A::UInt16 => Self::UInt16(UInt16Builder::new()),
            A::UInt32 => Self::UInt32(UInt32Builder::new()),
            A::UInt64 => Self::UInt64(UInt64Builder::new()),
            A::Float32 => Self::Float32(Float32Builder::new()),
            A::Float64 => Self::Float64(Float64Builder::new()),
            A::Decimal128(precision, scale) => Self::Decimal128(Decimal128Builder::new(), *precision, *scale),
            A::Decimal256(precision, scale) => Self::Decimal256(Decimal256Builder::new(), *precision, *scale),
            A::Binary => Self::Binary(BinaryBuilder::new()),
            A::Date32 => Self::Date(Date32Builder::new()),
            A::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::new()),
            A::Timestamp(TimeUnit::Microsecond, _) => Self::Instant(TimestampMicrosecondBuilder::new()),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    /// `None` where the value does not fit.
    fn push(&mut self, value: &Value<'_>) -> Option<()> {
        if *value == Value::Null {
            self.push_null();
            return Some(());
        }
        match self {
            Self::Boolean(builder) => builder.append_value(match integer(value)? {
                0 => false,
                1 => true,
                _ => return None,
            }),
            Self::Int8(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::Int16(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::Int32(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::Int64(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::UInt8(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::UInt16(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::UInt32(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::UInt64(builder) => builder.append_value(integer(value)?.try_into().ok()?),
            Self::Float32(builder) => builder.append_value(match value {
                Value::Float(value) => *value,
                other => double(other)? as f32,
            }),
            Self::Float64(builder) => builder.append_value(double(value)?),
            Self::Decimal128(builder, precision, scale) => {
                let text = decimal_text(value, *scale)?;
                builder.append_value(parse_decimal::<Decimal128Type>(&text, *precision, *scale).ok()?);
            }
            Self::Decimal256(builder, precision, scale) => {
                let text = decimal_text(value, *scale)?;
                builder.append_value(parse_decimal::<Decimal256Type>(&text, *precision, *scale).ok()?);
            }
            Self::Text(builder) => match value {
                Value::Int(value) => builder.append_value(value.to_string()),
                Value::UInt(value) => builder.append_value(value.to_string()),
                Value::Double(value) => builder.append_value(value.to_string()),
                Value::Float(value) => builder.append_value(value.to_string()),
                Value::DateTime(micros) => builder.append_value(value::date_time_text(*micros)?),
                Value::Date(days) => builder.append_value(value::date_text(*days)?),
                other => builder.append_value(other.as_text()?),
            },
            Self::Binary(builder) => match value {
                Value::Bytes(bytes) => builder.append_value(bytes),
                Value::Text(text) => builder.append_value(text.as_bytes()),
                _ => return None,
            },
            Self::Date(builder) => builder.append_value(match value {
                Value::Date(days) => *days,
                Value::DateTime(micros) if micros % value::MICROS_A_DAY == 0 => {
                    i32::try_from(micros / value::MICROS_A_DAY).ok()?
                }
                other => value::parse_date(other.as_text()?)?,
            }),
            Self::Time(builder) => builder.append_value(match value {
                // A span of a day or more, or a negative one, is no time of day.
                Value::Time(micros) if (0..value::MICROS_A_DAY).contains(micros) => *micros,
                other => value::parse_time(other.as_text()?)?,
            }),
            Self::Instant(builder) => builder.append_value(match value {
                Value::DateTime(micros) => *micros,
                Value::Date(days) => i64::from(*days) * value::MICROS_A_DAY,
                other => value::parse_date_time(other.as_text()?)?,
            }),
        }
        Some(())
    }

    fn push_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::UInt8(builder) => builder.append_null(),
            Self::UInt16(builder) => builder.append_null(),
            Self::UInt32(builder) => builder.append_null(),
            Self::UInt64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal128(builder, _, _) => builder.append_null(),
            Self::Decimal256(builder, _, _) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Instant(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, String> {
        Ok(match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::UInt8(builder) => Arc::new(builder.finish()),
            Self::UInt16(builder) => Arc::new(builder.finish()),
            Self::UInt32(builder) => Arc::new(builder.finish()),
            Self::UInt64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal128(builder, precision, scale) => {
                let array = builder.finish().with_precision_and_scale(*precision, *scale);
                Arc::new(array.map_err(|error| error.to_string())?)
            }
            Self::Decimal256(builder, precision, scale) => {
                let array = builder.finish().with_precision_and_scale(*precision, *scale);
                Arc::new(array.map_err(|error| error.to_string())?)
            }
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Instant(builder) => Arc::new(builder.finish().with_timezone("UTC")),
        })
    }
}

fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(value) => Some((*value).into()),
        Value::UInt(value) => Some((*value).into()),
        // BIT(n) comes as bytes, the highest first.
        Value::Bytes(bytes) if bytes.len() <= 8 => {
            Some(bytes.iter().fold(0, |sum, byte| sum << 8 | i128::from(*byte)))
        }
        _ => None,
    }
}

fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(value) => Some(*value),
        Value::Float(value) => Some((*value).into()),
        Value::Int(value) => Some(*value as f64),
        _ => None,
    }
}

/// A decimal's digits. Doubles are SQLite's `NUMERIC` columns, which hold 15 digits.
fn decimal_text(value: &Value<'_>, scale: i8) -> Option<String> {
    match value {
        Value::Int(value) => Some(value.to_string()),
        Value::Double(value) if value.is_finite() => {
            Some(format!("{value:.digits$}", digits = usize::from(scale.unsigned_abs())))
        }
        other => other.as_text().map(str::to_string),
    }
}
