//! `min` and `max` of doubles for each group. DataFusion begins them with the largest, or the smallest, finite double, so the
//! smallest of infinities alone is a finite number, and compares so that what comes after a NaN is lost. As integers in the same
//! order, doubles have neither problem.

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray as _, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, GroupsAccumulator};
use std::sync::Arc;

use super::finished::FinishedGroups;

/// The integers that take the place of values of this type; `None` if they are no doubles.
fn integers(of: &DataType) -> Option<DataType> {
    match of {
        DataType::Float32 => Some(DataType::Int32),
        DataType::Float64 => Some(DataType::Int64),
        _ => None,
    }
}

/// The `min` or `max` of each group.
pub(super) fn groups(
    of_datafusion: &AggregateUDF,
    call: AccumulatorArgs,
) -> Result<Box<dyn GroupsAccumulator>> {
    let Some(integers) = integers(call.return_type()) else {
        return of_datafusion.create_groups_accumulator(call);
    };
    let field: FieldRef = Arc::new(Field::new(call.return_field.name(), integers, true));
    let fields = [Arc::clone(&field)];
    let of_integers = of_datafusion.create_groups_accumulator(AccumulatorArgs {
        return_field: field,
        expr_fields: &fields,
        ..call
    })?;
    Ok(FinishedGroups::of_others(of_integers, as_other))
}

/// Doubles as integers in the same order, and these as doubles.
fn as_other(values: &ArrayRef) -> ArrayRef {
    // The bits of negative doubles count backwards.
    let long = |bits: i64| bits ^ (bits >> 63 & i64::MAX);
    let short = |bits: i32| bits ^ (bits >> 31 & i32::MAX);
    match values.data_type() {
        DataType::Float64 => {
            mapped::<Float64Type, Int64Type>(values, |value| long(value.to_bits().cast_signed()))
        }
        DataType::Int64 => {
            mapped::<Int64Type, Float64Type>(values, |value| f64::from_bits(long(value).cast_unsigned()))
        }
        DataType::Float32 => {
            mapped::<Float32Type, Int32Type>(values, |value| short(value.to_bits().cast_signed()))
        }
        DataType::Int32 => {
            mapped::<Int32Type, Float32Type>(values, |value| f32::from_bits(short(value).cast_unsigned()))
        }
        _ => Arc::clone(values),
    }
}

fn mapped<From: ArrowPrimitiveType, To: ArrowPrimitiveType>(
    values: &ArrayRef,
    map: impl Fn(From::Native) -> To::Native,
) -> ArrayRef {
    let mapped: PrimitiveArray<To> = values.as_primitive::<From>().unary(map);
    Arc::new(mapped)
}
