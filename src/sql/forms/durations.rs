//! Differences of timestamps beside intervals.
//!
//! DataFusion makes a difference an interval of nanoseconds, and compares intervals field by field: `'24 hours'` is then less
//! than `'1 day'`. Here both are compared as lengths. A month has no length, so an interval with months is refused. And
//! `extract(epoch FROM a - b)` keeps its fraction.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, DurationMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::cast::as_interval_mdn_array;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, Span, exec_datafusion_err};
use datafusion::logical_expr::expr::{Between, InList, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, cast as cast_expr, lit,
};

use super::refused;

pub(super) fn rewrite(part: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_length = |value: &Expr| value.get_type(schema).is_ok_and(|kind| is_length(&kind));
    let is_interval = |value: &Expr| value.get_type(schema).is_ok_and(|kind| is_interval(&kind));
    let compared = |values: &[&Expr]| {
        values.iter().all(|value| is_length(value)) && values.iter().any(|value| is_interval(value))
    };
    let span = part.column_refs().into_iter().next().and_then(|column| column.spans.first());
    let length = |value: Expr| if is_interval(&value) { length_of(value, span) } else { Ok(value) };
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op) && compared(&[&left, &right]) =>
        {
            let (left, right) = (Box::new(length(*left)?), Box::new(length(*right)?));
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(left, op, right))))
        }
        Expr::Between(Between { expr, negated, low, high }) if compared(&[&expr, &low, &high]) => {
            let (expr, low, high) = (length(*expr)?, length(*low)?, length(*high)?);
            let between = Between::new(Box::new(expr), negated, Box::new(low), Box::new(high));
            Ok(Transformed::yes(Expr::Between(between)))
        }
        Expr::InList(InList { expr, list, negated })
            if compared(&list.iter().chain([expr.as_ref()]).collect::<Vec<_>>()) =>
        {
            let list = list.into_iter().map(length).collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::InList(InList::new(Box::new(length(*expr)?), list, negated))))
        }
        Expr::ScalarFunction(ScalarFunction { func, args })
            if func.name() == "date_part" && args.len() == 2 && is_length(&args[1]) && is_epoch(&args[0]) =>
        {
            let value = length(args[1].clone())?;
            // Why a cast: the unit may still change when types are coerced.
            let micros =
                cast_expr(cast_expr(value, DataType::Duration(TimeUnit::Microsecond)), DataType::Int64);
            Ok(Transformed::yes(cast_expr(micros, DataType::Float64) / lit(MICROSECONDS_A_SECOND)))
        }
        part => Ok(Transformed::no(part)),
    }
}

fn is_interval(kind: &DataType) -> bool {
    matches!(kind, DataType::Interval(_))
}

fn is_length(kind: &DataType) -> bool {
    is_interval(kind) || matches!(kind, DataType::Duration(_))
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_epoch(field: &Expr) -> bool {
    let Expr::Literal(value, _) = field else { return false };
    value.try_as_str().flatten().is_some_and(|name| name.eq_ignore_ascii_case("epoch"))
}

/// An interval as a duration.
fn length_of(interval: Expr, span: Option<Span>) -> Result<Expr> {
    let months = match &interval {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(value)), _) => value.months,
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _) => *months,
        _ => 0,
    };
    if months != 0 {
        return Err(refused(
            "an interval with months or years is compared, but a month has no fixed length".to_owned(),
            "compare with days: `INTERVAL '30 days'`; or add it to the earlier timestamp: \
             `later > earlier + INTERVAL '1 month'`",
            span,
        ));
    }
    Ok(ScalarUDF::from(Length::default()).call(vec![interval]))
}

/// How long an interval is; an error if it has months.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl Default for Length {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

const MICROSECONDS_A_SECOND: f64 = 1e6;
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

impl ScalarUDFImpl for Length {
    fn name(&self) -> &'static str {
        "interval_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Duration(TimeUnit::Microsecond))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let intervals = args.args[0].to_array(args.number_rows)?;
        let intervals = cast(&intervals, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let intervals = as_interval_mdn_array(&intervals)?;
        let lengths = intervals.iter().map(|interval| {
            let Some(interval) = interval else { return Ok(None) };
            if interval.months != 0 {
                return Err(exec_datafusion_err!(
                    "an interval with months or years has no fixed length, so it cannot be compared"
                ));
            }
            let days = i64::from(interval.days) * MICROSECONDS_A_DAY;
            Ok(Some(days + interval.nanoseconds / 1000))
        });
        let lengths: ArrayRef = Arc::new(lengths.collect::<Result<DurationMicrosecondArray>>()?);
        debug_assert_eq!(lengths.len(), args.number_rows, "one length for each interval");
        Ok(ColumnarValue::Array(lengths))
    }
}
