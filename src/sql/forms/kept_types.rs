//! Functions whose result is one of their arguments, so it has the type of that. DataFusion's `nullif` has the type that both
//! arguments go into, where a BIGINT beside a DOUBLE loses digits. Its `ceil`, `floor` and `trunc` take integers for doubles.
//! Functions that calculate with lists take all numbers for doubles; exact ones are refused.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable as _, lit, when};

use super::super::rewrite;
use super::refused;

/// Functions of lists that calculate with doubles.
const OF_DOUBLES: [&str; 7] = [
    "array_add",
    "array_avg",
    "array_product",
    "array_scale",
    "array_subtract",
    "array_sum",
    "inner_product",
];

pub(super) fn rewrite(part: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &part else { return Ok(Transformed::no(part)) };
    if OF_DOUBLES.contains(&func.name()) {
        let types = args.iter().map(|list| list.get_type(schema)).collect::<Result<Vec<_>>>()?;
        if types.iter().any(is_of_exact) {
            return Err(refused(
                format!("`{}` of exact numbers, which it would calculate with as doubles", func.name()),
                "use `unnest` and an aggregate such as `sum`, or make the list one of doubles: `CAST(x AS DOUBLE[])`",
                rewrite::place(&part).first(),
            ));
        }
    }
    let rewritten = match (func.name(), args.as_slice()) {
        ("nullif", [value, other]) if !value.is_volatile() => {
            let of = value.get_type(schema)?;
            let is_equal = value.clone().eq(other.clone());
            Some(when(is_equal, lit(ScalarValue::try_from(&of)?)).otherwise(value.clone())?)
        }
        ("ceil" | "floor" | "trunc", [value]) if value.get_type(schema)?.is_integer() => Some(value.clone()),
        ("trunc", [value, Expr::Literal(places, _)]) if value.get_type(schema)?.is_integer() => {
            without_last_digits(value, places)
        }
        _ => None,
    };
    Ok(match rewritten {
        Some(rewritten) => Transformed::yes(rewritten),
        None => Transformed::no(part),
    })
}

/// Whether a list has decimals, or integers that a double may not have all digits of.
fn is_of_exact(of: &DataType) -> bool {
    match of {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            let item = item.data_type();
            item.is_decimal() || matches!(item, DataType::Int64 | DataType::UInt64)
        }
        _ => false,
    }
}

/// An integer with zeros in the place of its last digits; `places` says how many, below zero.
fn without_last_digits(value: &Expr, places: &ScalarValue) -> Option<Expr> {
    let Ok(ScalarValue::Int64(Some(places))) = places.cast_to(&DataType::Int64) else {
        return None;
    };
    let Ok(digits) = u32::try_from(places.checked_neg()?) else { return Some(value.clone()) };
    if digits == 0 {
        return Some(value.clone());
    }
    let dropped = match 10_i64.checked_pow(digits) {
        Some(power) => value.clone() % lit(power),
        // More digits than the largest integer has.
        None => value.clone(),
    };
    Some(value.clone() - dropped)
}
