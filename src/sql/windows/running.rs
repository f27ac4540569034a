//! Functions whose value at a row follows from the rows before it in its partition: counts, sums and extremes from the
//! first row to this one or one before, numbers of rows, and values a number of rows away. Each runs over the rows of all
//! partitions once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray as _, Int64Array, PrimitiveArray, PrimitiveBuilder,
    RecordBatch, UInt64Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Date32Type, Date64Type, Decimal128Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::windows::WindowUDFExpr;

use crate::sql::numbers::{Exact, Total, refused, with_exact};

/// A function that can run over all partitions.
#[derive(Clone, Debug)]
pub(super) struct Running {
    kind: Kind,
    /// None where it has no argument that matters.
    argument: Option<Arc<dyn PhysicalExpr>>,
    /// As the call is written.
    name: Arc<str>,
    result: DataType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// ROWS BETWEEN UNBOUNDED PRECEDING AND n PRECEDING (0 = CURRENT ROW).
    Aggregate(Aggregate, isize),
    RowNumber,
    /// The value of the row that many rows after this one; below 0, before it.
    Away(isize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Count,
    Sum,
    Min,
    Max,
}

impl Running {
    /// What a planned function is; `None` where it is none of these.
    pub fn of(planned: &dyn WindowExpr) -> Option<Self> {
        let (name, result) = (planned.name().into(), planned.field().ok()?.data_type().clone());
        if let Some(aggregate) = planned.as_any().downcast_ref::<PlainAggregateWindowExpr>() {
            let distance = distance(planned.get_window_frame())?;
            let function = aggregate.get_aggregate_expr();
            let is_plain = !function.is_distinct()
                && !function.ignore_nulls()
                && function.order_bys().is_empty()
                && text_ends(aggregate, "filter: None }");
            let kind = match function.fun().name() {
                "count" => Aggregate::Count,
                "sum" => Aggregate::Sum,
                "min" => Aggregate::Min,
                "max" => Aggregate::Max,
                _ => return None,
            };
            let [argument] = <[_; 1]>::try_from(function.expressions()).ok()?;
            let kind = Kind::Aggregate(kind, distance);
            return is_plain.then_some(Self { kind, argument: Some(argument), name, result });
        }
        let function = planned.as_any().downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
        let function = function.as_any().downcast_ref::<WindowUDFExpr>()?;
        if !text_ends(function, "is_reversed: false, ignore_nulls: false }") {
            return None;
        }
        let away = || match function.args() {
            [_] => Some(1),
            [_, offset] => match offset.downcast_ref::<Literal>()?.value() {
                ScalarValue::Int64(Some(rows)) if *rows >= 0 => isize::try_from(*rows).ok(),
                _ => None,
            },
            _ => None,
        };
        let (kind, argument) = match function.fun().name() {
            "row_number" => (Kind::RowNumber, None),
            "lag" => (Kind::Away(-away()?), function.args().first().cloned()),
            "lead" => (Kind::Away(away()?), function.args().first().cloned()),
            _ => return None,
        };
        Some(Self { kind, argument, name, result })
    }

    /// Its values for all rows; `None` where values of this type are left to DataFusion.
    pub fn evaluate(&self, rows: &RecordBatch, partitions: &[Range<usize>]) -> Result<Option<ArrayRef>> {
        let argument = match &self.argument {
            Some(argument) => Some(argument.evaluate(rows)?.into_array(rows.num_rows())?),
            None => None,
        };
        Ok(match (self.kind, argument) {
            (Kind::RowNumber, _) => Some(cast(&row_numbers(partitions), &self.result)?),
            (Kind::Away(offset), Some(values)) => Some(away(&values, partitions, offset)?),
            (Kind::Aggregate(Aggregate::Count, distance), Some(values)) => {
                Some(counts(&values, partitions, distance.unsigned_abs()))
            }
            (Kind::Aggregate(aggregate, distance), Some(values)) => {
                match self.running(aggregate, &values, partitions)? {
                    Some(running) if distance > 0 => Some(away(&running, partitions, -distance)?),
                    running => running,
                }
            }
            (_, None) => None,
        })
    }

    /// Sums or extremes up to each row; `None` for other types of values.
    fn running(
        &self,
        aggregate: Aggregate,
        values: &ArrayRef,
        partitions: &[Range<usize>],
    ) -> Result<Option<ArrayRef>> {
        match (aggregate, values.data_type()) {
            (Aggregate::Sum, DataType::Float64) => Ok(Some(float_sums(values, partitions))),
            (Aggregate::Sum, of) => {
                with_exact!(of, exact_sums(values, partitions, &self.name, &self.result), Ok(None))
            }
            _ => Ok(extremes(aggregate, values, partitions, &self.result)),
        }
    }
}

/// Whether the text of a planned function ends with these fields. Why by its text: nothing else tells. Should it change,
/// such functions are computed by DataFusion, and a test fails.
fn text_ends(planned: &dyn fmt::Debug, fields: &str) -> bool {
    format!("{planned:?}").ends_with(fields)
}

/// How many rows before the current one a frame ends that begins with the partition; `None` for other frames.
fn distance(frame: &WindowFrame) -> Option<isize> {
    let starts_with_partition =
        matches!(&frame.start_bound, WindowFrameBound::Preceding(rows) if rows.is_null());
    if frame.units != WindowFrameUnits::Rows || !starts_with_partition {
        return None;
    }
    match &frame.end_bound {
        WindowFrameBound::CurrentRow => Some(0),
        WindowFrameBound::Preceding(ScalarValue::UInt64(Some(rows))) => isize::try_from(*rows).ok(),
        _ => None,
    }
}

fn row_numbers(partitions: &[Range<usize>]) -> ArrayRef {
    let numbers = partitions.iter().flat_map(|range| (1..).take(range.len()));
    Arc::new(Int64Array::from_iter_values(numbers))
}

/// The value `offset` rows behind in the same partition, or before where that is negative; NULL where there is none.
fn away(values: &ArrayRef, partitions: &[Range<usize>], offset: isize) -> Result<ArrayRef> {
    let rows = partitions.iter().flat_map(|range| {
        range.clone().map(|row| row.checked_add_signed(offset).filter(|row| range.contains(row)))
    });
    let rows: UInt64Array = rows.map(|row| row.map(|row| row as u64)).collect();
    Ok(take(values, &rows, None)?)
}

/// How many values there are up to `distance` rows before.
fn counts(values: &ArrayRef, partitions: &[Range<usize>], distance: usize) -> ArrayRef {
    let nulls = values.logical_nulls();
    let mut counts = vec![0_i64; values.len()];
    for range in partitions {
        let mut count = 0;
        // The counts of the rows before are none.
        for (counted, at) in
            range.clone().zip((range.start.saturating_add(distance)).min(range.end)..range.end)
        {
            count += i64::from(nulls.as_ref().is_none_or(|nulls| nulls.is_valid(counted)));
            counts[at] = count;
        }
    }
    Arc::new(Int64Array::from(counts))
}

/// Extremes up to each row; `None` for other types of values.
fn extremes(
    aggregate: Aggregate,
    values: &ArrayRef,
    partitions: &[Range<usize>],
    result: &DataType,
) -> Option<ArrayRef> {
    macro_rules! extremes {
        ($($name:pat => $type:ty),* $(,)?) => {
            match values.data_type() {
                $($name => Some(extreme::<$type>(aggregate, values, partitions, result)),)*
                // Not floats and texts: DataFusion decides how those are ordered.
                _ => None,
            }
        };
    }
    extremes!(
        DataType::Int8 => Int8Type,
        DataType::Int16 => Int16Type,
        DataType::Int32 => Int32Type,
        DataType::Int64 => Int64Type,
        DataType::UInt8 => UInt8Type,
        DataType::UInt16 => UInt16Type,
        DataType::UInt32 => UInt32Type,
        DataType::UInt64 => UInt64Type,
        DataType::Date32 => Date32Type,
        DataType::Date64 => Date64Type,
        DataType::Decimal128(..) => Decimal128Type,
        DataType::Timestamp(TimeUnit::Second, _) => TimestampSecondType,
        DataType::Timestamp(TimeUnit::Millisecond, _) => TimestampMillisecondType,
        DataType::Timestamp(TimeUnit::Microsecond, _) => TimestampMicrosecondType,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => TimestampNanosecondType,
    )
}

fn float_sums(values: &ArrayRef, partitions: &[Range<usize>]) -> ArrayRef {
    let add = |sum: Option<f64>, value: f64| sum.unwrap_or_default() + value;
    folded(values.as_primitive::<Float64Type>(), partitions, &DataType::Float64, add)
}

/// Sums that are exact; each row's is an answer, so each has to fit.
fn exact_sums<T: Exact>(
    values: &ArrayRef,
    partitions: &[Range<usize>],
    name: &str,
    result: &DataType,
) -> Result<Option<ArrayRef>> {
    let values = values.as_primitive::<T>();
    let mut built = PrimitiveBuilder::<T>::with_capacity(values.len()).with_data_type(result.clone());
    let (room, mut do_all_fit) = (T::room(result), true);
    for range in partitions {
        let mut total = Total::default();
        for row in range.clone() {
            if values.is_valid(row) {
                total.add(values.value(row));
            }
            do_all_fit &= total.is_within(room);
            built.append_option((total.count > 0).then_some(total.sum));
        }
    }
    if do_all_fit { Ok(Some(Arc::new(built.finish()))) } else { Err(refused(name, "the sum", result)) }
}

fn extreme<T: ArrowPrimitiveType>(
    aggregate: Aggregate,
    values: &ArrayRef,
    partitions: &[Range<usize>],
    result: &DataType,
) -> ArrayRef {
    let values = values.as_primitive::<T>();
    let is_beyond = |value: T::Native, extreme: T::Native| match aggregate {
        Aggregate::Min => value.is_lt(extreme),
        _ => value.is_gt(extreme),
    };
    folded(values, partitions, result, |extreme, value| match extreme {
        Some(extreme) if !is_beyond(value, extreme) => extreme,
        _ => value,
    })
}

/// What `step` has made of the values up to each row that are there; NULL before the first.
fn folded<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    partitions: &[Range<usize>],
    result: &DataType,
    step: impl Fn(Option<T::Native>, T::Native) -> T::Native,
) -> ArrayRef {
    let mut built = PrimitiveBuilder::<T>::with_capacity(values.len()).with_data_type(result.clone());
    for range in partitions {
        let mut folded = None;
        for row in range.clone() {
            if values.is_valid(row) {
                folded = Some(step(folded, values.value(row)));
            }
            built.append_option(folded);
        }
    }
    Arc::new(built.finish())
}
