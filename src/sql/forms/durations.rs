//! Differences of timestamps beside intervals.
//!
//! DataFusion makes a difference an interval of nanoseconds, and compares intervals field by field: `'24 hours'` is then less
//! than `'1 day'`. Here both are compared as lengths. A month has no length, so an interval with months is refused. Where
//! intervals would be sorted, grouped or joined field by field, they are refused. And `extract(epoch FROM a - b)` keeps its
//! fraction, as milliseconds and microseconds keep theirs.

use std::str::FromStr as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, DurationMicrosecondArray};
use arrow::compute::cast;
use arrow::compute::kernels::cast_utils;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use datafusion::common::cast::as_interval_mdn_array;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, Span, exec_datafusion_err};
use datafusion::logical_expr::expr::{AggregateFunction, Between, Case, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Distinct, Expr, ExprSchemable as _, LogicalPlan, Operator, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility, cast as cast_expr, lit,
};

use super::super::intervals::MICROS_A_DAY;
use super::super::{rewrite, sql_types::in_sql};
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
            if CHOOSING.contains(&func.name()) && compared(&args.iter().collect::<Vec<_>>()) =>
        {
            let of = func.call(args.clone()).get_type(schema)?;
            let args = args.into_iter().map(length).collect::<Result<_>>()?;
            // What reads it has been planned for an interval.
            Ok(Transformed::yes(cast_expr(Expr::ScalarFunction(ScalarFunction { func, args }), of)))
        }
        Expr::ScalarFunction(ScalarFunction { func, args })
            if func.name() == "date_part" && args.len() == 2 =>
        {
            let [field, value] = <[Expr; 2]>::try_from(args).unwrap_or_default();
            match (named(&field).as_deref().map(micros_of_field), is_length(&value)) {
                (Some(Field::Epoch), true) => Ok(Transformed::yes(
                    cast_expr(micros(length(value)?), DataType::Float64) / lit(MICROSECONDS_A_SECOND),
                )),
                (Some(Field::OfSecond(micros_each)), true) if is_interval(&value) => {
                    let seconds = ScalarUDF::from(SecondsOfMinute(Length::default())).call(vec![value]);
                    Ok(Transformed::yes(micros(seconds) / lit(micros_each)))
                }
                (Some(Field::OfSecond(micros_each)), true) => {
                    Ok(Transformed::yes(micros(value) / lit(micros_each)))
                }
                _ => Ok(Transformed::no(func.call(vec![field, value]))),
            }
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

/// Functions that return one of their arguments, by comparing them.
const CHOOSING: [&str; 3] = ["greatest", "least", "nullif"];

/// What `extract` takes of a length.
#[derive(Clone, Copy, Debug)]
enum Field {
    Epoch,
    /// Of the seconds and what is shorter; how many microseconds one is.
    OfSecond(i64),
    Other,
}

fn named(field: &Expr) -> Option<String> {
    let Expr::Literal(value, _) = field else { return None };
    value.try_as_str().flatten().map(str::to_lowercase)
}

fn micros_of_field(name: &str) -> Field {
    match name {
        "epoch" => Field::Epoch,
        "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" => Field::OfSecond(1_000),
        "microsecond" | "microseconds" | "us" | "usec" | "usecs" => Field::OfSecond(1),
        _ => Field::Other,
    }
}

/// A duration as a number. Why two casts: the unit may still change when types are coerced.
fn micros(duration: Expr) -> Expr {
    cast_expr(cast_expr(duration, DataType::Duration(TimeUnit::Microsecond)), DataType::Int64)
}

/// # Errors
/// Intervals whose order or equality is asked for, field by field; a field that no value of the type has.
pub(super) fn check(part: &Expr, schema: &DFSchema) -> Result<()> {
    match part {
        Expr::WindowFunction(window) => {
            let order = window.params.order_by.iter().map(|key| &key.expr);
            check_keys(window.params.partition_by.iter().chain(order), schema)
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            let is_compared = params.distinct || ["max", "min", "median", "mode"].contains(&func.name());
            check_keys(params.args.iter().filter(|_| is_compared), schema)?;
            check_keys(params.order_by.iter().map(|key| &key.expr), schema)
        }
        Expr::Case(Case { expr, .. }) => check_keys(expr.as_deref(), schema),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "date_part" => {
            let [field, value] = args.as_slice() else { return Ok(()) };
            let (Some(field), of) = (named(field), value.get_type(schema)?) else { return Ok(()) };
            if has_field(&of, &field) {
                return Ok(());
            }
            let fields = if is_length(&of) { "week, day, hour" } else { "hour" };
            let message = format!("{} has no field '{field}'", in_sql(&of.to_string()));
            let hint = format!("fields are {fields}, minute, second, millisecond, microsecond and epoch");
            Err(refused(message, &hint, rewrite::place(value).first()))
        }
        Expr::InSubquery(InSubquery { expr, .. }) => check_keys([expr.as_ref()], schema),
        _ => Ok(()),
    }
}

/// Whether `extract` finds the field in values of a type.
fn has_field(of: &DataType, field: &str) -> bool {
    use cast_utils::IntervalUnit as U;
    match (of, U::from_str(field)) {
        _ if field == "epoch" => true,
        (DataType::Time32(_) | DataType::Time64(_), unit) => matches!(
            unit,
            Ok(U::Hour | U::Minute | U::Second | U::Millisecond | U::Microsecond | U::Nanosecond)
        ),
        (DataType::Duration(_), unit) => matches!(unit, Ok(unit) if !matches!(unit, U::Year | U::Month)),
        (DataType::Interval(_), unit) => unit.is_ok(),
        _ => true,
    }
}

/// # Errors
/// As [`check`], for rows.
pub(super) fn check_node(node: &LogicalPlan) -> Result<()> {
    match node {
        LogicalPlan::Sort(sort) => check_keys(sort.expr.iter().map(|key| &key.expr), sort.input.schema()),
        LogicalPlan::Aggregate(aggregate) => check_keys(&aggregate.group_expr, aggregate.input.schema()),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
            check_keys(&columns, input.schema())
        }
        LogicalPlan::Distinct(Distinct::On(on)) => check_keys(&on.on_expr, on.input.schema()),
        LogicalPlan::Join(join) => check_keys(join.on.iter().map(|(left, _)| left), join.left.schema()),
        _ => Ok(()),
    }
}

fn check_keys<'a>(keys: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Result<()> {
    for key in keys {
        if !matches!(key, Expr::GroupingSet(_)) && is_interval(&key.get_type(schema)?) {
            return Err(refused(
                "intervals are sorted, grouped or told apart, but `24 hours` and `1 day` are one length"
                    .to_owned(),
                "take their seconds: `extract(epoch FROM x)`",
                rewrite::place(key).first(),
            ));
        }
    }
    Ok(())
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

/// The seconds of an interval that are no whole minute.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SecondsOfMinute(Length);

const NANOSECONDS_A_MINUTE: i64 = 60_000_000_000;

impl ScalarUDFImpl for SecondsOfMinute {
    fn name(&self) -> &'static str {
        "interval_seconds"
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let intervals = args.args[0].to_array(args.number_rows)?;
        let intervals = cast(&intervals, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let seconds = as_interval_mdn_array(&intervals)?
            .iter()
            .map(|interval| interval.map(|interval| interval.nanoseconds % NANOSECONDS_A_MINUTE / 1000));
        Ok(ColumnarValue::Array(Arc::new(seconds.collect::<DurationMicrosecondArray>())))
    }
}

const MICROSECONDS_A_SECOND: f64 = 1e6;

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
            let days = i64::from(interval.days).checked_mul(MICROS_A_DAY);
            let length = days.and_then(|days| days.checked_add(interval.nanoseconds / 1000));
            length.map(Some).ok_or_else(|| exec_datafusion_err!("an interval is too long to be compared"))
        });
        let lengths: ArrayRef = Arc::new(lengths.collect::<Result<DurationMicrosecondArray>>()?);
        debug_assert_eq!(lengths.len(), args.number_rows, "one length for each interval");
        Ok(ColumnarValue::Array(lengths))
    }
}
